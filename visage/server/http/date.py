"""The value of the header `Date`, which every response has (RFC 9110, section 6.6.1)."""

import time
from email.utils import formatdate
from functools import lru_cache


def http_date() -> str:
    """Return the current time."""
    return _formatted(int(time.time()))


# Under overload, hundreds of responses a second have the same date.
@lru_cache(maxsize=2)
def _formatted(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
