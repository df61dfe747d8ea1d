"""The format of the log: one JSON object a line."""

import json
import logging
import logging.config
import re
import sys
import threading
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

from visage.logs import logger, request_id

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


def configure_logging(level: str) -> None:
    """Log the events of this process in this format, also warnings and exceptions that Python would print.

    An exception that stops the process with a sentence (SystemExit) stays plain text.
    """
    logging.config.dictConfig(log_config(level))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.error("uncaught_exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    # A thread may end with SystemExit, which Python does not print either.
    if arguments.exc_value and not isinstance(arguments.exc_value, SystemExit):
        _log_uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)


def _log_unraisable(arguments: "sys.UnraisableHookArgs") -> None:
    if arguments.exc_value:
        logger.error("uncaught_exception", exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback))


def log_config(level: str) -> dict[str, Any]:
    """A `logging.config` dictionary. The events of Visage and gunicorn go to standard error."""
    ours = {"level": level.upper(), "handlers": ["standard_error"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"standard_error": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {"visage": ours, "gunicorn.error": ours},
        "root": {"level": "WARNING", "handlers": ["standard_error"]},
    }
