"""Shows the memory of a worker while clients post photos of 50 MB at once: `python -m benchmarks.large_bodies`.

The photo is a JPEG of 2 megapixels, followed by other bytes, as phones append videos. So decoding takes little memory,
and the figures are those of bodies. As JSON a photo has three quarters of the bytes.
"""

import argparse
import base64
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import requests

from benchmarks.support import photos
from tests.support.processes import peak, pss, reset_peak, resident, settled_pss, workers
from tests.support.service import Service, serving
from visage.settings import Settings

CLIENTS = (1, 3, 4, 8)

# Bytes of a form or of JSON beside the photo.
FRAMING = 1000

# Waiting is not what is measured.
SETTINGS = {"WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0", "VISAGE_WAIT_SECONDS": "60"}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| bodies | clients | answered | rejected | worker, MB | PSS, MB |\n|---|--:|--:|--:|--:|--:|", flush=True)
    for way, request in ways().items():
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder, "log"), "compact", **SETTINGS) as service:
            idle = f"| {way} | 0 | | | {resident(*workers(service)):.0f} | {settled_pss(service):.0f} |"
            print(idle, flush=True)
            for clients in CLIENTS:
                print(f"| {way} | {clients} | {measure(service, request, clients)} |", flush=True)


def ways() -> dict[str, dict[str, Any]]:
    """The arguments of a request of the largest size, by the way in which the photo is sent."""
    limit = Settings().max_body_bytes
    photo = large_photo(limit - FRAMING)
    text = base64.b64encode(photo[: (limit - FRAMING) // 4 * 3])
    return {
        "raw": {"data": photo, "headers": {"Content-Type": "image/jpeg"}},
        "form": {"files": {"image": photo}},
        "JSON": {"data": b'{"image": "' + text + b'"}', "headers": {"Content-Type": "application/json"}},
        "JSON with escapes": {
            "data": b'{"image": "' + text[: len(text) // 80 * 64].replace(b"/", rb"\/") + b'"}',
            "headers": {"Content-Type": "application/json"},
        },
    }


def large_photo(size: int) -> bytes:
    jpeg = photos.jpeg(photos.two_faces())
    return jpeg + np.random.default_rng(1).bytes(size - len(jpeg))


def measure(service: Service, request: dict[str, Any], clients: int) -> str:
    """How many requests are answered and rejected, and the peaks of the worker's memory and of PSS, in megabytes.

    The peak of PSS, of all processes, is sampled; that of the worker is the kernel's.
    """
    (worker,) = workers(service)
    reset_peak(worker)
    with sampled_pss(service) as highest, ThreadPoolExecutor(clients) as pool:
        url = f"{service.url}/predict?annotated=false"
        calls = [pool.submit(requests.post, url, timeout=600, **request) for _ in range(clients)]
        statuses = [call.result().status_code for call in calls]
    assert set(statuses) <= {200, 429}, statuses
    answered = statuses.count(200)
    return f"{answered} | {clients - answered} | {peak(worker):.0f} | {max(highest):.0f}"


@contextmanager
def sampled_pss(service: Service) -> Any:
    found, done = [0.0], threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            found.append(pss(service))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
