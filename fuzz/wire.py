"""Fuzz target for request framing: the end of a request does not depend on its pieces, and is that of gunicorn."""

from itertools import pairwise
from random import Random

from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.http import get_parser  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]

from visage.server.request_framing import MAX_HEAD_BYTES, RequestFraming

_HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

SEEDS: tuple[bytes, ...] = (
    b"GET /healthz HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
    _HEAD + b"Content-Type: image/jpeg\r\nContent-Length: 11\r\n\r\nhello world",
    _HEAD + b"Content-Length: 00011\r\n\r\nhello worldGET / HTTP/1.1\r\n\r\n",
    _HEAD + b"Expect: 100-continue\r\nContent-Length:\t5 \r\n\r\nhello",
    _CHUNKED + b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n",
    _CHUNKED + b'05 ; name = "quoted"\r\nhello\r\n0\r\nTrailer: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n',
    _CHUNKED + b"fffffffff\r\n",
    _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\n?\r\n0\r\n\r\n",
    _HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)

_ENDS = (b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"\r\n ")
_SYMBOLS = (b";", b" ", b"\t", b", ", b"-1", b"0x5", b"+5", b"5_0", b"\xb2", b"\0", b"0" * 16, b"f" * 16)
_WORDS = (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"content_length", b"chunked", b"identity")
_PARTS = (*_ENDS, *_SYMBOLS, *_WORDS, b"x" * 4096, b"x" * MAX_HEAD_BYTES)

# Bytes of a line in a body.
_LONG_LINE = 4096

# Requests of at most this many bytes are also received byte by byte.
_MAX_PIECES = 512

_CONFIG = Config()


def mutate(random: Random, request: bytes) -> bytes:
    """Mutate a request: delete, copy, insert or replace parts of it."""
    data = bytearray(request or random.choice(SEEDS))
    for _ in range(random.choice((1, 1, 2, 4))):
        start = random.randrange(len(data) + 1)
        end = min(len(data), start + random.choice((1, 2, 4, 16)))
        other = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                del data[start:end]
            case 1:
                data[other:other] = data[start:end]
            case 2:
                data[start:start] = random.choice(_PARTS)
            case _:
                data[start:end] = random.choice(_PARTS)
    return bytes(data)


def check(data: bytes) -> None:
    """Receive `data` at once, in few pieces and in many, and compare with gunicorn's parser.

    Raises:
        AssertionError: the result depends on the pieces, a complete request becomes incomplete, or gunicorn finds
            another end.
    """
    at_once = _receive([data])
    # Equal bytes have equal pieces in every run, so that a failure can be repeated.
    random = Random(data)
    edges = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(random.randrange(12)))})
    step = len(data) // _MAX_PIECES + 1
    for cuts in (edges, [*range(0, len(data), step), len(data)]):
        framing = _receive([data[start:end] for start, end in pairwise(cuts)])
        assert (framing.complete, framing.body_bytes) == (at_once.complete, at_once.body_bytes), len(cuts)
        assert framing.data == at_once.data
    if end := _end_by_gunicorn(data):
        assert _receive([data[:end]]).complete, end
        # Framing does not wait for the end of a longer line. gunicorn rejects the request if the end is missing.
        if max(map(len, data.split(b"\r\n"))) < _LONG_LINE:
            assert not _receive([data[: end - 1]]).complete, end


def _receive(pieces: list[bytes]) -> RequestFraming:
    framing = RequestFraming()
    for piece in pieces:
        complete = framing.complete
        framing.feed(piece)
        assert framing.complete >= complete
    return framing


def _end_by_gunicorn(data: bytes) -> int:
    """The number of bytes that gunicorn reads as one complete request; 0 if it finds none."""
    parser = get_parser(_CONFIG, iter([data] if data else []), ("127.0.0.1", 1))
    try:
        request = next(parser)
        body = request.body.read()
    except (ParseException, StopIteration, OSError):
        return 0
    length = next((int(value) for name, value in request.headers if name == "CONTENT-LENGTH"), 0)
    if len(body) < length:
        return 0
    return len(data) - len(parser.unreader.take_buffered())
