"""Shows the memory of the service when idle, after requests and at rest: `python -m benchmarks.memory PHOTO...`.

It prints the PSS of all processes (Linux only). PSS counts a page that several processes share once, so the sum is the
memory that the machine provides.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from tests.support.paths import SHARED
from tests.support.processes import pss, settled_pss
from tests.support.service import serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="*", default=sorted((SHARED / "photos").glob("*.jpg")))
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    photos = [path.read_bytes() for path in arguments.photos]
    settings = {
        "WEB_CONCURRENCY": str(arguments.workers),
        "VISAGE_QUEUE": str(arguments.connections),
        "VISAGE_WAIT_SECONDS": "60",
    }
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", arguments.pack, **settings) as service:
        print(f"pack {arguments.pack}, {arguments.workers} workers\n\n| | PSS, MB |\n|---|--:|")
        print(f"| idle | {settled_pss(service):.0f} |")
        started = time.perf_counter()
        with ThreadPoolExecutor(arguments.connections) as pool:
            for response in pool.map(service.post, islice(cycle(photos), arguments.requests)):
                response.raise_for_status()
        rate = arguments.requests / (time.perf_counter() - started)
        name = f"after {arguments.requests} requests at {arguments.connections} connections"
        print(f"| {name} ({rate:.0f} per second) | {pss(service):.0f} |")
        print(f"| some seconds later | {settled_pss(service):.0f} |")


if __name__ == "__main__":
    main()
