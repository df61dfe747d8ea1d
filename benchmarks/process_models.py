"""Shows how workers, slots and OpenCV threads change throughput: `python -m benchmarks.process_models`."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.support import photos
from benchmarks.support.load import post, put_under_load
from benchmarks.support.report import table
from tests.support.processes import pss
from tests.support.service import serving

# Workers, slots per worker, OpenCV threads per slot.
MODELS = ((1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 1), (4, 1, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6)
    arguments = parser.parse_args()
    photo = photos.jpeg(photos.two_faces())
    rows = []
    for workers, slots, threads in MODELS:
        settings = {
            "WEB_CONCURRENCY": str(workers),
            "VISAGE_SLOTS": str(slots),
            "VISAGE_OPENCV_THREADS": str(threads),
            "VISAGE_WAIT_SECONDS": "60",
        }
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(Path(folder) / "log", arguments.pack, **settings) as service,
        ):
            url = f"{service.url}/predict"
            for _ in range(4 * workers):
                post(url, photo)
            alone = put_under_load(url, photo, 1, arguments.seconds)
            load = put_under_load(url, photo, arguments.connections, arguments.seconds)
            figures = [alone.percentile(50) * 1000, load.rate, load.percentile(50) * 1000, load.percentile(99) * 1000]
            rows.append(
                [
                    *(str(number) for number in (workers, slots, threads)),
                    *(f"{figure:.0f}" for figure in figures),
                    f"{pss(service):.0f}",
                ]
            )
    head = ["workers", "slots", "OpenCV threads", "alone, p50 ms", "requests/s", "p50, ms", "p99, ms", "PSS, MB"]
    print(f"pack {arguments.pack}, {arguments.connections} connections\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
