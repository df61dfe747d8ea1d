"""The progress of a batch as server-sent events (WHATWG HTML, 9.2)."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from visage.batches import Batches
from visage.batches.state_machine import State
from visage.errors import BatchError, BatchNotFound
from visage.web.batch_json import deletion_as_json, progress_as_json

# ID of the last event. A browser that reconnects sends it, and gets 204, which stops further attempts.
LAST_ID = "end"

_POLL_SECONDS = 0.5

# When a client reconnects whose stream ended early.
_RETRY_MILLISECONDS = 2000

# Proxies close streams that are silent for a minute. Writing also detects clients that have left.
_KEEPALIVE_SECONDS = 10.0


def batch_events(batches: Batches, batch_id: str, stopping: threading.Event, *, once: bool) -> Iterator[str]:
    """Yield an event `progress` for every change, and `end` when the batch is done, failed or deleted.

    With `once`, or when `stopping` is set, the stream ends early and the client reconnects.
    """
    yield f"retry: {_RETRY_MILLISECONDS}\n\n"
    last, sent = None, time.monotonic()
    while True:
        try:
            progress = batches.progress(batch_id)
        except BatchNotFound:
            yield _event("end", deletion_as_json(batch_id))
            return
        except BatchError:
            return
        if progress.state in {State.DONE, State.FAILED}:
            yield _event("end", progress_as_json(progress))
            return
        if progress != last:
            last, sent = progress, time.monotonic()
            yield _event("progress", progress_as_json(progress))
        elif time.monotonic() > sent + _KEEPALIVE_SECONDS:
            sent = time.monotonic()
            yield ":\n\n"
        if once or stopping.wait(_POLL_SECONDS):
            return


def _event(kind: str, content: dict[str, Any]) -> str:
    event_id = f"id: {LAST_ID}\n" if kind == "end" else ""
    return f"event: {kind}\n{event_id}data: {json.dumps(content)}\n\n"
