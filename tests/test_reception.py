"""Where a request ends is found byte by byte; what it means is left to the parser that reads it next."""

import pytest

from visage.web.reception import MOST_HEAD_BYTES, Reception

HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
FORM = HEAD + b"Content-Length: 11\r\n\r\nhello world"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n"


def received(data: bytes, step: int | None = None) -> Reception:
    reception = Reception()
    for start in range(0, len(data), step or len(data)):
        reception.feed(data[start : start + (step or len(data))])
    return reception


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize("whole", [GET, FORM, CHUNKS, CHUNKS[:-2] + b"Trailer: 1\r\n\r\n"])
def test_a_request_is_complete_with_its_last_byte(whole: bytes, step: int | None) -> None:
    assert not received(whole[:-1], step).complete
    assert received(whole, step).complete


@pytest.mark.parametrize(
    ("data", "length"), [(GET, 0), (FORM, 11), (HEAD + b"content-LENGTH:\t999 \r\n\r\n", 999), (CHUNKS, 11)]
)
def test_the_length_of_the_body_is_known_as_soon_as_it_is_told(data: bytes, length: int) -> None:
    assert received(data, 1).body_bytes == length


def test_a_body_that_is_longer_than_allowed_shows_before_it_comes() -> None:
    announced = received(CHUNKED + b"ffffff\r\n")

    assert announced.body_bytes == 0xFFFFFF
    assert not announced.complete


def test_what_follows_a_request_is_kept_with_it() -> None:
    assert b"".join(received(FORM + GET).parts()) == FORM + GET


def test_the_head_is_told_apart_from_the_rest() -> None:
    head, body = received(FORM).parts()

    assert head.endswith(b"\r\n\r\n")
    assert body == b"hello world"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\n\n", id="line ends without a carriage return"),
        pytest.param(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two lengths"),
        pytest.param(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", id="a length and chunks"),
        pytest.param(HEAD + b"Content-Length: five\r\n\r\n", id="a length that is no number"),
        pytest.param(HEAD + b"Content-Length: -5\r\n\r\n", id="a negative length"),
        pytest.param(CHUNKED + b"five\r\n", id="a chunk's length that is no number"),
        pytest.param(CHUNKED + b"-5\r\n", id="a chunk of negative length"),
        pytest.param(CHUNKED + b"f" * 17 + b"\r\n", id="a chunk of astronomic length"),
        pytest.param(CHUNKED + b"3\r\nhello\r\n", id="a chunk that is longer than it says"),
        pytest.param(CHUNKED + b"5;" + b"x" * 5000, id="a chunk's line without an end"),
    ],
)
def test_what_is_not_http_is_passed_on_at_once(data: bytes) -> None:
    assert received(data).complete


def test_a_head_without_an_end_is_too_long_some_time() -> None:
    filled = HEAD + b"X-Filler: " + b"x" * MOST_HEAD_BYTES

    assert received(filled).head_too_long
    assert not received(HEAD).head_too_long
    assert not received(filled + b"\r\n\r\n").head_too_long


def test_only_who_asks_and_has_not_sent_his_body_waits_for_the_go_ahead() -> None:
    asking = HEAD + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"

    assert received(asking).waits_for_go_ahead
    assert not received(asking + b"hello").waits_for_go_ahead
    assert not received(HEAD + b"Content-Length: 5\r\n\r\n").waits_for_go_ahead
    assert not received(HEAD + b"Content-Length: 50\r\n\r\nExpect: 100-continue\r\n").waits_for_go_ahead
