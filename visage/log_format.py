"""How the log is written: one event a line, as JSON."""

import json
import logging
import re
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from visage.logs import request_id

# In the path of a batch's file: who knows all of it may have the batch, so a log has its beginning.
_BATCH_ID = re.compile(r"(?<=/)([A-Za-z0-9_-]{8})[A-Za-z0-9_-]{16}(?=/|\b)")


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
        with suppress(orjson.JSONEncodeError):
            line = orjson.dumps(event)
            if line.isascii():
                return line.decode()
        # Not every log is UTF-8, and names of files need not be it either. It escapes what is not ASCII.
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
