"""The self-test request: a worker answers one photo through the full stack before it serves.

It takes the one-time costs (nets, a thread, its memory, caches of every layer) off the first client. It uses only the
first slot.
"""

import socket
import time

import cv2
import numpy as np

from visage.logs import logger
from visage.server.worker import BufferingWorker
from visage.settings import Settings

# Width and height in pixels of a gray image without a face. The last one fits the lowest limits that settings allow.
_SIZES = (800, 600), (1, 1)

_TIMEOUT_SECONDS = 60.0

_POLL_SECONDS = 0.1

_BOUNDARY = "self-test"


def run_self_test(worker: BufferingWorker) -> None:
    """Send one photo to `worker`, which does not serve yet. The request is neither counted nor logged.

    A failure is logged, and does not stop the worker: clients will see the same error.
    """
    app, engine = worker.wsgi, worker.wsgi.extensions["engine"]
    cache, engine.cache = engine.cache, None
    app.extensions["self_test"] = True
    started = time.monotonic()
    try:
        status_line = _answer(worker, _request(engine.settings), started + _TIMEOUT_SECONDS)
    except OSError as error:
        status_line = str(error)
    finally:
        app.extensions["self_test"] = False
        engine.cache = cache
        # Undo the traces: the engine releases memory only after a real photo, and `max_requests` does not count this.
        engine.admission.idle_since = None
        worker.nr = 0
    if status_line.startswith("HTTP/1.1 200 "):
        logger.debug("self_test_passed", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})
    else:
        logger.warning("self_test_failed", extra={"fields": {"reason": status_line or "no response"}})


def _answer(worker: BufferingWorker, request: bytes, deadline: float) -> str:
    """Send `request` to `worker`, and return the first line of its response."""
    worker_side, client_side = socket.socketpair()
    with client_side:
        client_side.settimeout(_POLL_SECONDS)
        client_side.sendall(request)
        worker.server.add(worker_side, ("", 0), ("", 0))
        while True:
            try:
                return client_side.recv(2**12).partition(b"\r")[0].decode("latin-1")
            except TimeoutError:
                # The main loop, which has not started, would do this: send what the thread could not send itself.
                worker.notify()
                worker.poll(0)
                if time.monotonic() > deadline:
                    raise


def _request(settings: Settings) -> bytes:
    """The request that curl would send for the largest image of `_SIZES` that the settings allow."""
    for width, height in _SIZES:
        body = _form(width, height)
        if width * height <= settings.max_image_pixels and len(body) <= settings.max_body_bytes:
            break
    lines = (
        "POST /predict HTTP/1.1",
        "Host: localhost",
        "Accept: */*",
        f"Authorization: Bearer {settings.api_token}",
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "\r\n")).encode() + body


def _form(width: int, height: int) -> bytes:
    _, jpeg = cv2.imencode(".jpg", np.full((height, width, 3), 127, np.uint8))
    head = 'Content-Disposition: form-data; name="image"; filename="gray.jpg"\r\nContent-Type: image/jpeg'
    return f"--{_BOUNDARY}\r\n{head}\r\n\r\n".encode() + jpeg.tobytes() + f"\r\n--{_BOUNDARY}--\r\n".encode()
