"""Photos that are too many are refused by the main loop, for a tenth of what the app would take, and many at a time."""

import time
from contextlib import suppress

from visage.errors import QueueFull
from visage.runtime.admission import QUEUE_FULL_MESSAGE
from visage.runtime.engine import Engine
from visage.server.connection import Connection
from visage.server.early_rejection import refusal

# Of the clients' patience. Five times as many photos as can be answered took 6.5 % of the processor from those that are
# when each packet was looked at as it came, and take 3.5 % like this (tests/pressure/test_overload.py, two workers).
_REST_SECONDS = 0.02


def refuses_photos(engine: Engine) -> bool:
    """Whether a photo can be turned away unseen: the app would refuse it too."""
    # Answers out of the cache need no slot, and browsers do not show scripts what lacks CORS headers.
    return engine.admission.full and engine.cache is None and not engine.settings.cors_origins


def rest(engine: Engine) -> None:
    """Take a break from the clients while photos are refused, if each slot has a successor in the queue meanwhile."""
    if engine.admission.full and engine.settings.queue >= engine.settings.slots:
        time.sleep(_REST_SECONDS)


def turn_away(connection: Connection, *, keeps: bool) -> bool:
    """Refuse a photo that has come whole; the client `keeps` the connection, where a new one would cost both more."""
    with suppress(OSError):
        connection.sock.sendall(refusal(QueueFull(QUEUE_FULL_MESSAGE), connection.request_id, keeps=keeps))
    return keeps
