"""How a batch goes on, as server-sent events (WHATWG HTML, 9.2)."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from visage.batches import Batches
from visage.batches.batch import Progress, State
from visage.errors import BatchError, BatchNotFound

# Of the last event: who comes again with it, as browsers do, need not come once more.
LAST_ID = "end"

# How often a batch is looked at, and how soon a client that was sent away may come again.
_LOOK_SECONDS = 0.5
_RETRY_MILLISECONDS = 2000

# Proxies give up on answers that say nothing for a minute; and so a client that has left is noticed.
_SIGN_SECONDS = 10.0


def events(batches: Batches, batch_id: str, stopping: threading.Event, *, once: bool) -> Iterator[str]:
    """Yield an event `progress` whenever something has changed, and at last one `end`; with `once`, one event.

    The end is that of the batch, deleted or not. When the process is `stopping` there is none: the client comes again.
    """
    yield f"retry: {_RETRY_MILLISECONDS}\n\n"
    last, said = None, time.monotonic()
    while True:
        try:
            progress = batches.progress(batch_id)
        except BatchNotFound:
            yield _event("end", {"id": batch_id, "state": State.CANCELLED.value})
            return
        except BatchError:
            return
        if progress.state in {State.DONE, State.FAILED}:
            yield _event("end", progress_as_json(progress))
            return
        if progress != last:
            last, said = progress, time.monotonic()
            yield _event("progress", progress_as_json(progress))
        elif time.monotonic() > said + _SIGN_SECONDS:
            said = time.monotonic()
            yield ":\n\n"
        if once or stopping.wait(_LOOK_SECONDS):
            return


def progress_as_json(progress: Progress) -> dict[str, Any]:
    """How far a batch is, as plain data."""
    reason = {"reason": progress.reason} if progress.reason else {}
    return {
        "id": progress.id,
        "task": progress.task.value,
        "state": progress.state.value,
        "total": progress.total,
        "done": progress.done,
        "failed": progress.failed,
        "created": _as_text(progress.created),
        "expires": _as_text(progress.expires),
        **reason,
    }


def _event(kind: str, content: dict[str, Any]) -> str:
    number = f"id: {LAST_ID}\n" if kind == "end" else ""
    return f"event: {kind}\n{number}data: {json.dumps(content)}\n\n"


def _as_text(seconds: float) -> str:
    """A time as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
