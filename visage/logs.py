"""The logger and request IDs. Logs never contain images or names of files."""

import logging
import os
import re
from contextvars import ContextVar

logger = logging.getLogger("visage")

# A client's request ID must be short, and safe to log.
_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# The ID of the current request, which every log line gets; empty outside of requests.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def new_request_id() -> str:
    """A random ID of 32 hexadecimal digits."""
    return os.urandom(16).hex()


def valid_request_id(sent: str) -> str:
    """The ID that a client has `sent`, or a new one if that is invalid or empty."""
    return sent if _VALID_REQUEST_ID.fullmatch(sent) else new_request_id()


def cause(error: BaseException) -> str:
    """Type and message of an expected error's cause, or of the error itself, without the path of an OSError.

    A path may contain the ID of a batch, which gives access to the batch.
    """
    reason = error.__cause__ or error
    return f"{type(reason).__name__}: {(reason.strerror if isinstance(reason, OSError) else None) or reason}"
