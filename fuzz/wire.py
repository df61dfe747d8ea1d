"""Fuzz target for HTTP: what Visage reads does not depend on the pieces, and gunicorn's own parser reads the same."""

import re
from itertools import pairwise
from random import Random

from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.http import get_parser  # type: ignore[import-untyped]
from gunicorn.http.errors import InvalidChunkExtension, ParseException  # type: ignore[import-untyped]

from fuzz.requests import SEEDS, mutate
from visage.server.http.request_body import BufferBudget, RequestBody
from visage.server.http.request_parser import MAX_PIPELINED, HeadLimits, RequestParser
from visage.settings import MAX_OVERHEAD_BYTES

__all__ = ["SEEDS", "check", "compare", "mutate", "requests_in"]

# Streams of at most this many bytes are also received byte by byte.
_MAX_PIECES = 512

# Method, target and body.
_Seen = tuple[str, str, bytes]

# Visage's own limit of a header counts no blanks before the value, gunicorn's does.
_CONFIG = Config()
_CONFIG.set("limit_request_field_size", MAX_OVERHEAD_BYTES)

# llhttp accepts several spaces in the request line (RFC 9112, 3), gunicorn does not.
_SPACED_LINE = re.compile(rb"([A-Z]+) +([^ \r\n]+) +(HTTP/1\.[01]\r\n)")

# The size of a chunk, and its extension.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)(?:;[^\r\n]*)?\r\n")


def requests_in(data: bytes) -> list[_Seen]:
    """The requests that Visage reads in `data`."""
    return _receive([data])[0]


def check(data: bytes) -> None:
    """Receive `data` at once, in few pieces and in many, and compare with gunicorn's parser.

    Raises:
        AssertionError: the requests depend on the pieces, or Visage reads a request that gunicorn does not.
    """
    at_once = _receive([data])
    # Equal bytes have equal pieces in every run, so that a failure can be repeated.
    random = Random(data)
    edges = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(random.randrange(12)))})
    step = len(data) // _MAX_PIECES + 1
    for cuts in (edges, [*range(0, len(data), step), len(data)]):
        in_pieces = _receive([data[start:end] for start, end in pairwise(cuts)])
        # Small pieces find an excess of bytes that are not the body earlier.
        if len(data) <= MAX_OVERHEAD_BYTES:
            assert in_pieces == at_once, len(cuts)
    if difference := compare(data):
        raise AssertionError(difference)


def compare(data: bytes) -> str:
    """How Visage and gunicorn differ about `data`; empty if Visage reads the requests that gunicorn reads, or fewer."""
    ours, end = _receive([data])
    theirs, error = _read_by_gunicorn(data)
    if ours == theirs[: len(ours)]:
        # Fewer requests are safe only if Visage closes the connection, or waits for the rest of the next.
        if len(ours) == len(theirs) or end != "waits" or len(ours) == MAX_PIPELINED:
            return ""
        return f"Visage waits for more after {ours}, and gunicorn reads {theirs}"
    return f"Visage reads {ours}, and gunicorn {theirs}, then {error!r}"


def _receive(pieces: list[bytes]) -> tuple[list[_Seen], str]:
    """The requests that Visage reads, and whether it waits for more, has begun the next one, ends or fails."""
    budget = BufferBudget()
    parser = RequestParser(lambda _head: RequestBody(budget), HeadLimits())
    for piece in pieces:
        parser.feed(piece)
    requests = [
        (request.head.method, request.head.target.decode("latin-1"), request.body.open().read())
        for request in parser.requests
    ]
    ends = {bool(parser.error): "fails", parser.has_begun and not parser.has_ended: "has begun"}
    parser.close()
    assert (budget.in_memory, budget.files) == (0, 0)
    return requests, ends.get(True) or ("ends" if parser.has_ended and not parser.error else "waits")


def _read_by_gunicorn(data: bytes) -> tuple[list[_Seen], Exception | None]:
    """The complete requests that gunicorn's parser reads, and why it stops.

    What llhttp alone skips is removed first: empty lines before requests, spaces in request lines, and chunk extensions
    without a name or with an invalid value.
    """
    requests: list[_Seen] = []
    while rest := data.lstrip(b"\r\n"):
        if line := _SPACED_LINE.match(rest):
            rest = b" ".join(line.groups()) + rest[line.end() :]
        parser = get_parser(_CONFIG, iter([rest]), ("127.0.0.1", 1))
        try:
            request = next(parser)
            body = request.body.read()
        except InvalidChunkExtension as error:
            data = _without_chunk_extensions(rest)
            if data == rest:
                return requests, error
            continue
        except (ParseException, StopIteration, OSError) as error:
            return requests, error
        if getattr(request.body.reader, "length", 0):
            break
        requests.append((request.method, request.uri, body))
        if request.should_close():
            break
        data = parser.unreader.take_buffered()
    return requests, None


def _without_chunk_extensions(request: bytes) -> bytes:
    """A chunked request without extensions, up to the first line that is not the size of a chunk."""
    head, empty_line, body = request.partition(b"\r\n\r\n")
    parts, position = [head, empty_line], 0
    while line := _CHUNK_LINE.match(body, position):
        size = int(line[1], 16)
        if not size or size > len(body):
            parts += [line[1], b"\r\n"]
            position = line.end()
            break
        position = line.end() + size + len(b"\r\n")
        parts += [line[1], b"\r\n", body[line.end() : position]]
    return b"".join(parts) + body[position:]
