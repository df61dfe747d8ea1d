"""A worker's first photo is its own: what takes long only once is behind it when the first client comes.

That is more than nets: a thread, its memory, every table on the way from the socket and back. Of several slots it is
the way of the first.
"""

import socket
import time

import cv2
import numpy as np

from visage.logs import logger
from visage.server.worker import PatientWorker
from visage.settings import Settings

# In pixels, width and height; grey all over, so without a face. The last fits into the least that settings allow.
_SIZES = (800, 600), (1, 1)

_MOST_SECONDS = 60.0

# How often it is looked whether there is more to do than to wait.
_ROUND_SECONDS = 0.1

_BOUNDARY = "rehearsal"


def rehearse(worker: PatientWorker) -> None:
    """Have `worker`, which serves nobody yet, answer a photo as if a client had sent it. It is not counted or logged.

    One that goes wrong is told in the log: what is wrong will meet the clients too.
    """
    app, engine = worker.wsgi, worker.wsgi.extensions["engine"]
    cache, engine.cache = engine.cache, None
    app.extensions["self_test"] = True
    started = time.monotonic()
    try:
        answer = _answered(worker, _request(engine.settings), started + _MOST_SECONDS)
    except OSError as error:
        answer = str(error)
    finally:
        app.extensions["self_test"] = False
        engine.cache = cache
        # Nobody has been here: what is ready stays so until the first photo has used it, and no request is used up.
        engine.admission.idle_since = None
        worker.nr = 0
    if answer.startswith("HTTP/1.1 200 "):
        logger.debug("rehearsed", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})
    else:
        logger.warning("rehearsal_failed", extra={"fields": {"reason": answer or "no answer"}})


def _answered(worker: PatientWorker, request: bytes, deadline: float) -> str:
    """The first line of what `worker` answers."""
    inside, outside = socket.socketpair()
    with outside:
        outside.settimeout(_ROUND_SECONDS)
        outside.sendall(request)
        worker.welcome(inside, ("", 0), ("", 0))
        while True:
            try:
                return outside.recv(2**12).partition(b"\r")[0].decode("latin-1")
            except TimeoutError:
                # What the main loop would do, which has not begun: send what a thread could not send by itself.
                worker.notify()
                worker.method_queue.run_callbacks(None)
                if time.monotonic() > deadline:
                    raise


def _request(settings: Settings) -> bytes:
    """What curl would send of a grey picture, the largest that is allowed."""
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
    _, picture = cv2.imencode(".jpg", np.full((height, width, 3), 127, np.uint8))
    head = 'Content-Disposition: form-data; name="image"; filename="grey.jpg"\r\nContent-Type: image/jpeg'
    return f"--{_BOUNDARY}\r\n{head}\r\n\r\n".encode() + picture.tobytes() + f"\r\n--{_BOUNDARY}--\r\n".encode()
