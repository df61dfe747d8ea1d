"""Early rejection of photos under overload. It takes a tenth of the processor time that Flask would take."""

import time
from contextlib import suppress

from visage.errors import QueueFull
from visage.runtime.admission import QUEUE_FULL_MESSAGE
from visage.runtime.engine import Engine
from visage.server.connection import Connection
from visage.server.early_rejection import reject
from visage.settings import Settings

# The main loop sleeps this long between polls while the queue is full. At five times the load that two workers can
# process, rejections took 6.5 % of the processor without the pause and 3.5 % with it (tests/pressure/test_overload.py).
_PAUSE_SECONDS = 0.02


def rejects_photos(engine: Engine) -> bool:
    """Whether a photo can be rejected unparsed, because Flask would reject it too."""
    # Cached results need no slot.
    return engine.admission.full and engine.cache is None


def pause(engine: Engine) -> None:
    """Sleep briefly while photos are rejected, if the queue has a photo for each slot meanwhile."""
    if engine.admission.full and engine.settings.queue >= engine.settings.slots:
        time.sleep(_PAUSE_SECONDS)


def reject_photo(connection: Connection, settings: Settings, *, keep_alive: bool) -> bool:
    """Reject a complete photo request with 429, and return `keep_alive`.

    Keeping the connection open is cheaper for both sides than a new one.
    """
    error = QueueFull(QUEUE_FULL_MESSAGE)
    with suppress(OSError):
        connection.sock.sendall(
            reject(error, connection.request_id, connection.origin, settings, keep_alive=keep_alive)
        )
    return keep_alive
