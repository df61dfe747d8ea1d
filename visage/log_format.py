"""The format of the log: one JSON object a line."""

import json
import logging
import re
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from visage.logs import request_id

# A batch's ID in a path. Anyone with the whole ID can access the batch, so tracebacks keep only its beginning.
_BATCH_ID = re.compile(r"(?<=/)([A-Za-z0-9_-]{8})[A-Za-z0-9_-]{16}(?=/|\b)")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of ASCII JSON. `extra={"fields": {...}}` adds fields."""

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
        # json escapes everything but ASCII: a log may have another encoding, and file names may be invalid UTF-8.
        return json.dumps(event)


def log_config(level: str) -> dict[str, Any]:
    """A `logging.config` dictionary. The events of Visage and gunicorn go to standard error."""
    logger = {"level": level.upper(), "handlers": ["standard_error"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"standard_error": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {"visage": logger, "gunicorn.error": logger},
        "root": {"level": "WARNING", "handlers": ["standard_error"]},
    }
