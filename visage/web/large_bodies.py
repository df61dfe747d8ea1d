"""Large bodies are parsed one at a time: while a body is parsed, its photo is in memory twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock
from typing import IO

# Photos of phones are smaller, and parsing them takes a millisecond.
_LARGE_BYTES = 2**23

_parsing = Lock()


@contextmanager
def parsed_alone(size: int | None) -> Iterator[None]:
    """Parse a body of `size` bytes (None if unknown) in the block, alone if it is large."""
    if size is not None and size < _LARGE_BYTES:
        yield
    else:
        with _parsing:
            yield


def free(body: IO[bytes]) -> None:
    """Free the memory of a body that was parsed. Its position stays."""
    if isinstance(body, BytesIO):
        body.truncate(0)
