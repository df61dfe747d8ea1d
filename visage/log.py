"""The log: one event a line, as JSON, without pictures and without names of files."""

import json
import logging
import re
import traceback
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger("visage")

# A caller's id is taken over when it is short and harmless in a log.
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# In the path of a batch's file: who knows all of it may have the batch, so a log has its beginning.
_BATCH_ID = re.compile(r"(?<=/)([A-Za-z0-9_-]{8})[A-Za-z0-9_-]{16}(?=/|\b)")

# What ties the lines of one request together; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def acceptable_id(sent: str) -> str:
    """The id that a caller has `sent` for his request, or a new one where it does not fit."""
    return sent if _ACCEPTABLE_ID.fullmatch(sent) else uuid.uuid4().hex


def cause(error: BaseException) -> str:
    """What a log has of an error that was foreseen, or of what led to it: no path, which may name a batch."""
    reason = error.__cause__ or error
    return f"{type(reason).__name__}: {(reason.strerror if isinstance(reason, OSError) else None) or reason}"


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; what was passed as `extra={"fields": {...}}` becomes fields of it."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if request_id.get():
            event["request_id"] = request_id.get()
        event |= getattr(record, "fields", {})
        if record.exc_info:
            event["traceback"] = _BATCH_ID.sub(r"\1…", "".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(event)


def log_config(level: str) -> dict[str, Any]:
    """A `logging.config` dictionary that writes Visage's and gunicorn's events to standard error."""
    own = {"level": level.upper(), "handlers": ["standard_error"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"standard_error": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {"visage": own, "gunicorn.error": own},
        "root": {"level": "WARNING", "handlers": ["standard_error"]},
    }
