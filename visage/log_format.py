"""How the log is written: one event a line, as JSON."""

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

from visage.log import request_id

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
        try:
            return orjson.dumps(event).decode()
        except orjson.JSONEncodeError:
            # Names that are no UTF-8 have surrogates in Python; nothing that happened may be missing for that.
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
