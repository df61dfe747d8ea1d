"""Shows the memory of a worker whose clients do not read large responses: `python -m benchmarks.slow_readers`.

Each client asks for the same BMP, enlarged. It prints a Markdown table with the number of responses, their megabytes
together, and those of the worker.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import requests

from tests.support.clients import connect_slow_reader
from tests.support.processes import resident, workers
from tests.support.service import Service, serving

# No connection deadline passes before the end.
SETTINGS = {"VISAGE_BODY_SECONDS": "3600", "WEB_CONCURRENCY": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--side", type=int, default=1800, help="side of the image, in pixels")
    arguments = parser.parse_args()
    image = cv2.imencode(".bmp", np.full((arguments.side, arguments.side, 3), 127, np.uint8))[1].tobytes()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder, "log"), "compact", **SETTINGS) as service,
        ExitStack() as stack,
    ):
        size = len(service.post(image, "/enhance").content) / 1e6
        (worker,) = workers(service)
        print("| responses | responses, MB | worker, MB |\n|--:|--:|--:|")
        print(f"| 0 | 0 | {resident(worker):.0f} |", flush=True)
        for count in range(1, arguments.clients + 1):
            stack.enter_context(connect_slow_reader(service)).sendall(request(image))
            while enhanced_images(service) <= count:
                time.sleep(0.1)
            # The response is counted before the worker buffers it.
            time.sleep(0.5)
            print(f"| {count} | {count * size:.0f} | {resident(worker):.0f} |", flush=True)


def request(image: bytes) -> bytes:
    head = "POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/bmp\r\nContent-Length: "
    return f"{head}{len(image)}\r\n\r\n".encode() + image


def enhanced_images(service: Service) -> int:
    """The number of images that the service has enhanced."""
    lines = requests.get(f"{service.url}/metrics", timeout=60).text.splitlines()
    name = 'visage_requests_total{route="/enhance",status="200"} '
    return int(float(next(line for line in lines if line.startswith(name)).removeprefix(name)))


if __name__ == "__main__":
    main()
