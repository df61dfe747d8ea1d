"""The log: without pictures and names of files; the ids tie the lines of a request together."""

import logging
import os
import re
from contextvars import ContextVar

logger = logging.getLogger("visage")

# A caller's id is taken over when it is short and harmless in a log.
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# What ties the lines of one request together; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def new_request_id() -> str:
    """An id that no other request has."""
    return os.urandom(16).hex()


def valid_request_id(sent: str) -> str:
    """The id that a caller has `sent` for his request, or a new one where it does not fit."""
    return sent if _ACCEPTABLE_ID.fullmatch(sent) else new_request_id()


def cause(error: BaseException) -> str:
    """What a log has of an error that was foreseen, or of what led to it: no path, which may name a batch."""
    reason = error.__cause__ or error
    return f"{type(reason).__name__}: {(reason.strerror if isinstance(reason, OSError) else None) or reason}"
