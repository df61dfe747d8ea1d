"""What is known of a request that is rejected before its headers are complete: its own Origin, and no other."""

import pytest

from tests.server.http.parsing import CHUNKED, FORM, GET, HEAD, in_memory, parsed
from visage.server.http.request_parser import RequestParser

ORIGIN = b"Origin: https://app.example\r\n"
FAULTS = {
    "no header": b"no header\r\n\r\n",
    "invalid name": b"X(y): z\r\n\r\n",
    "control character": b"\x01",
    "long header": b"X: " + b"x" * 9000 + b"\r\n\r\n",
    "endless header": b"X: " + b"x" * 90000,
    "two lengths": b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
}


@pytest.mark.parametrize("step", [None, 1, 7, 50, 1000])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_origin_of_a_rejected_request_is_known_however_its_bytes_are_split(fault: str, step: int | None) -> None:
    parser = parsed(FORM + HEAD + ORIGIN + FAULTS[fault], step)

    assert parser.error
    assert parser.known_head.header("origin") == "https://app.example"


@pytest.mark.parametrize("step", [None, 1, 40])
def test_the_origin_of_a_request_that_stalls_is_known(step: int | None) -> None:
    parser = parsed(HEAD + ORIGIN, step)

    assert parser.known_head.header("origin") == "https://app.example"


def test_half_an_origin_is_not_taken_for_a_whole_one() -> None:
    assert parsed(HEAD + ORIGIN[:-4]).known_head.header("origin") == ""


def test_an_origin_in_a_body_is_not_one_of_the_next_request() -> None:
    body = b"\r\n" + ORIGIN
    parser = RequestParser(in_memory)
    parser.feed(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    parser.feed(b"GET / HTTP/1.1\r\nno header\r\n\r\n")

    assert parser.error
    assert parser.known_head.header("origin") == ""


# The end of each is found in another way.
FIRST = {
    "no body": GET[:-2] + ORIGIN + b"\r\n",
    "length": HEAD + ORIGIN + b"Content-Length: 5\r\n\r\nhello",
    "length, with Origin in the body": HEAD + b"Content-Length: %d\r\n\r\n\r\n" % (len(ORIGIN) + 2) + ORIGIN,
    "chunks": CHUNKED[:-2] + ORIGIN + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"5\r\nhello\r\n0\r\n" + ORIGIN + b"\r\n",
}
SECOND = {
    "no header": b"GET / HTTP/1.1\r\nno header\r\n\r\n",
    "invalid line": b"nonsense\r\n\r\n",
    "incomplete": b"GET / HTTP/1.1\r\nHost: x\r\n",
}


@pytest.mark.parametrize("step", [None, 1, 7, 50])
@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", FIRST)
def test_the_origin_of_a_request_is_not_that_of_the_next_one(first: str, second: str, step: int | None) -> None:
    parser = parsed(FIRST[first] + SECOND[second], step)

    assert len(parser.requests) == 1
    assert parser.known_head.header("origin") == ""


@pytest.mark.parametrize("first", FIRST)
def test_the_origin_of_a_request_is_not_that_of_the_one_before(first: str) -> None:
    parser = parsed(b"GET / HTTP/1.1\r\nno header\r\n\r\n" + FIRST[first])

    assert parser.error
    assert parser.known_head.header("origin") == ""
