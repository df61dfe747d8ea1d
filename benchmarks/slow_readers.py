"""What a worker holds for clients that read nothing of large answers: `python -m benchmarks.slow_readers`.

Each asks for the same picture, a BMP, enlarged. Prints a Markdown table: how many were answered, the megabytes of their
answers together, and those that the worker holds.
"""

import argparse
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import requests

from tests.support.processes import resident, workers
from tests.support.service import Service, serving

# Long enough that nobody's time is up before the end.
PATIENCE = {"VISAGE_BODY_SECONDS": "3600", "WEB_CONCURRENCY": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--side", type=int, default=1800, help="of the picture, in pixels")
    arguments = parser.parse_args()
    picture = cv2.imencode(".bmp", np.full((arguments.side, arguments.side, 3), 127, np.uint8))[1].tobytes()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder, "log"), "compact", **PATIENCE) as service,
        ExitStack() as stack,
    ):
        size = len(service.post(picture, "/enhance").content) / 1e6
        (worker,) = workers(service)
        print("| answered | answers, MB | the worker holds, MB |\n|--:|--:|--:|")
        print(f"| 0 | 0 | {resident(worker):.0f} |", flush=True)
        for count in range(1, arguments.clients + 1):
            stack.enter_context(deaf(service)).sendall(request(picture))
            while answered(service) <= count:
                time.sleep(0.1)
            # It is counted before the worker's loop has it.
            time.sleep(0.5)
            print(f"| {count} | {count * size:.0f} | {resident(worker):.0f} |", flush=True)


def deaf(service: Service) -> socket.socket:
    """A client whose own buffer takes next to nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
    return client


def request(picture: bytes) -> bytes:
    head = "POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/bmp\r\nContent-Length: "
    return f"{head}{len(picture)}\r\n\r\n".encode() + picture


def answered(service: Service) -> int:
    """How many pictures were enlarged."""
    lines = requests.get(f"{service.url}/metrics", timeout=60).text.splitlines()
    name = 'visage_requests_total{route="/enhance",status="200"} '
    return int(float(next(line for line in lines if line.startswith(name)).removeprefix(name)))


if __name__ == "__main__":
    main()
