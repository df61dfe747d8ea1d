"""The comparison with gunicorn's parser finds each difference that could smuggle a request."""

from collections.abc import Callable

import pytest

from fuzz import wire

HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"

# What the comparison must not excuse, beside a request that gunicorn rejects.
REJECTED = b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            HEAD.replace(b" ", b"  ", 1) + b"Content-Length: 2\r\n\r\nhi" + NEXT, id="spaces before the address"
        ),
        pytest.param(HEAD.replace(b" HTTP", b"   HTTP") + b"\r\n" + NEXT, id="spaces behind the address"),
        pytest.param(CHUNKED + b"2;=odd\r\nhi\r\n0\r\n\r\n" + NEXT, id="odd chunk extension"),
        pytest.param(HEAD + b"X: " + b" " * 9000 + b"\r\n\r\n" + NEXT, id="blanks in a header"),
        pytest.param(CHUNKED + b"0" * 4100 + b"2\r\nhi\r\n0\r\n\r\n" + NEXT, id="zeros before a chunk size"),
    ],
)
def test_what_llhttp_alone_accepts_ends_no_request_elsewhere(data: bytes) -> None:
    assert len(wire.requests_in(data)) == 2
    assert wire.compare(data) == ""


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param(b"X: two  spaces\r\n", id="spaces in a header"),
        pytest.param(b"Expect: 100-continue\r\n", id="Expect"),
        pytest.param(b"X: y\r\nContent-Length: 10\r\n\r\n5;a\r\nhello", id="what looks like a chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n2;=odd\r\nhi\r\n0;=odd\r\n\r\n", id="odd chunk extension"),
    ],
)
def test_a_request_that_only_visage_reads_is_found_whatever_stands_beside_it(
    beside: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = HEAD + beside + (b"" if b"\r\n\r\n" in beside else b"\r\n") + REJECTED
    monkeypatch.setattr(wire, "_receive", _reading_one_more(wire._receive))

    assert wire.compare(data)


def _reading_one_more(receive: Callable[[list[bytes]], tuple[list[tuple[str, str, bytes]], str]]) -> object:
    """A faulty parser: it reads the request that gunicorn rejects."""

    def faulty(pieces: list[bytes]) -> tuple[list[tuple[str, str, bytes]], str]:
        requests, _ = receive(pieces)
        return [*requests, ("GET", "/\xff", b"")], "waits"

    return faulty


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(CHUNKED + b"2;=odd\r\nhi\r\n0\r\n\r\n" + NEXT, id="another body"),
        pytest.param(CHUNKED + b"2;=odd\r\nhi\r\nno size\r\n0\r\n\r\n", id="invalid chunk behind it"),
        pytest.param(CHUNKED + b"2;=odd\r\nhi\r\n0\r\nno trailer\r\n\r\n", id="invalid trailer behind it"),
        pytest.param(CHUNKED + b"2 ;=odd\r\nhi\r\n0\r\n\r\n", id="space before it"),
    ],
)
def test_an_odd_chunk_extension_excuses_nothing_else(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_receive", lambda _pieces: ([("POST", "/a", b"hi!")], "waits"))

    assert wire.compare(data)
