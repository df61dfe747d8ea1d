"""Visage ignores Upgrade, as any server may (RFC 9110, 7.8): a request to switch protocols is read like all others."""

import pytest

from tests.server.http.parsing import CHUNKS, FORM, GET, bodies, parsed
from visage.errors import RequestError

# What curl --http2 and Java's HttpClient send before they know whether the server speaks HTTP/2.
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


def upgrading(request: bytes, headers: bytes = H2C) -> bytes:
    line, rest = request.split(b"\r\n", 1)
    return line + b"\r\n" + headers + rest


UPGRADES = {"length": upgrading(FORM), "chunks": upgrading(CHUNKS)}


@pytest.mark.parametrize(("name", "cut"), [(name, cut) for name, data in UPGRADES.items() for cut in range(len(data))])
def test_a_body_is_read_wherever_the_request_is_split(name: str, cut: int) -> None:
    data = UPGRADES[name]
    parser = parsed(data[:cut] or b"\r\n")
    assert not parser.requests
    parser.feed(data[cut:])

    (request,) = parser.requests
    assert bodies(parser) == [b"hello world"]
    assert (request.head.method, request.head.target) == ("POST", b"/predict")
    assert (request.head.header("host"), request.head.header("upgrade")) == ("here", "h2c")
    assert parser.error is None
    assert not parser.has_ended


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize("name", UPGRADES)
def test_requests_may_follow_a_body(name: str, step: int | None) -> None:
    parser = parsed(UPGRADES[name] + FORM + UPGRADES[name] + GET, step)

    assert bodies(parser) == [b"hello world", b"hello world", b"hello world", b""]
    assert [request.head.header("upgrade") for request in parser.requests] == ["h2c", "", "h2c", ""]
    assert parser.error is None
    assert not parser.has_ended


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    "data",
    [
        upgrading(FORM, H2C.replace(b"Upgrade,", b"close, Upgrade,")),
        upgrading(FORM, H2C).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["close", "HTTP/1.0"],
)
def test_the_body_of_a_request_that_closes_the_connection_is_the_last_one(data: bytes, step: int | None) -> None:
    parser = parsed(data + GET, step)

    assert bodies(parser) == [b"hello world"]
    assert parser.error is None
    assert parser.has_ended


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    "data",
    [
        upgrading(CHUNKS).replace(b"hello\r\n", b"hello\r\n\r\n"),
        upgrading(CHUNKS).replace(b"5\r\nhello", b"+5\r\nhello"),
        upgrading(CHUNKS)[:-2] + b"Host: there\r\n\r\n",
        upgrading(FORM, H2C + b"Transfer-Encoding: chunked\r\n"),
        upgrading(FORM, H2C + b"Content-Length: 3\r\n"),
        upgrading(FORM, H2C + b"Host: there\r\n"),
    ],
    ids=["no chunk size", "plus", "host as a trailer", "length and chunks", "two lengths", "two hosts"],
)
def test_the_framing_is_checked_as_strictly(data: bytes, step: int | None) -> None:
    parser = parsed(data, step)

    assert not parser.requests
    assert isinstance(parser.error, RequestError)


def test_a_body_may_wait_for_100_continue() -> None:
    head, body = upgrading(FORM, H2C + b"Expect: 100-continue\r\n").split(b"\r\n\r\n")
    parser = parsed(head + b"\r\n\r\n")
    assert parser.expects_100_continue

    parser.feed(body)

    assert bodies(parser) == [b"hello world"]


def test_connect_is_rejected() -> None:
    parser = parsed(b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n")

    assert str(parser.error) == "This service is not a proxy; send the request without CONNECT."
