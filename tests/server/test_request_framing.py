"""Where a request ends is found byte by byte; what it means is left to the parser that reads it next."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visage.server.request_framing import MAX_HEAD_BYTES, Reception

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


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        pytest.param(FORM + GET, (FORM[:-11], b"hello world", GET), id="a length"),
        pytest.param(GET + GET, (GET, b"", GET), id="no body"),
        pytest.param(CHUNKS, (CHUNKED, b"", CHUNKS[len(CHUNKED) :]), id="chunks"),
        pytest.param(b"GET / HTTP/1.1\n\n", (b"", b"", b"GET / HTTP/1.1\n\n"), id="no HTTP"),
    ],
)
def test_head_body_and_what_follows_are_taken_apart(data: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    reception = received(data)

    assert reception.take() == parts
    assert not reception.data


@pytest.mark.parametrize("come", [len(FORM) - 11, len(FORM) - 4, len(FORM), len(FORM) + 7])
def test_a_body_goes_to_a_file_however_much_of_it_has_come_before(come: int) -> None:
    reception, file = received((FORM + GET)[:come]), BytesIO()

    reception.spool_to(file)
    before = reception.complete
    reception.feed((FORM + GET)[come:])

    assert before == (come >= len(FORM))
    assert reception.complete
    assert file.getvalue() == b"hello world"
    assert reception.take() == (FORM[:-11], b"", GET)


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
    filled = HEAD + b"X-Filler: " + b"x" * MAX_HEAD_BYTES

    assert received(filled).head_too_long
    assert not received(HEAD).head_too_long
    assert not received(filled + b"\r\n\r\n").head_too_long


def test_only_who_asks_and_has_not_sent_his_body_waits_for_the_go_ahead() -> None:
    asking = HEAD + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"

    assert received(asking).waits_for_go_ahead
    assert not received(asking + b"hello").waits_for_go_ahead
    assert not received(HEAD + b"Content-Length: 5\r\n\r\n").waits_for_go_ahead
    assert not received(HEAD + b"Content-Length: 50\r\n\r\nExpect: 100-continue\r\n").waits_for_go_ahead


BAD_ENDS = {
    "a bare line end, then chunks": b"GET / HTTP/1.1\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "a bare line end, then a body": b"GET / HTTP/1.1\nHost: here\r\nContent-Length: 50\r\n\r\n",
    "a chunk's line that ends too late": CHUNKED + b"5;" + b"x" * 5000 + b"\r\nhello\r\n",
    "a chunk without its line end": CHUNKED + b"5\r\nhello??5\r\nhello\r\n",
    "half a line end behind a chunk": CHUNKED + b"5\r\nhello\r?5\r\nhello\r\n",
}


@pytest.mark.parametrize("name", BAD_ENDS)
def test_what_is_no_http_in_one_piece_is_none_in_many(name: str) -> None:
    at_once, in_bytes = received(BAD_ENDS[name]), received(BAD_ENDS[name], 1)

    assert at_once.complete
    assert (in_bytes.complete, in_bytes.body_bytes) == (at_once.complete, at_once.body_bytes)


def test_trailers_without_an_end_are_too_long_some_time() -> None:
    trailers = CHUNKED + b"0\r\nX-Filler: "

    assert not received(trailers).complete
    assert received(trailers + b"x" * MAX_HEAD_BYTES).complete


def test_a_length_may_begin_with_zeros() -> None:
    assert received(HEAD + b"Content-Length: 00000000000000000011\r\n\r\n").body_bytes == 11


# What requests are made of; in any order most are none.
SCRAPS = (b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"hello", b"0", b"5", b"-", b";", b": ", b"5\r\n", b"0\r\n")
LINES = (
    b"Content-Length: 5\r\n",
    b"Content-Length: 12\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"5;name=value\r\n",
)
LONG = (b"f" * 17, b"x" * 4090, b"x" * MAX_HEAD_BYTES)
FRAGMENTS = [HEAD, CHUNKED, b"5\r\nhello\r\n", *SCRAPS, *LINES, *LONG]
PIECES = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=8)


@settings(derandomize=True, deadline=None, max_examples=1500, database=None)
@given(begin=st.sampled_from([HEAD, CHUNKED, b""]), pieces=PIECES)
def test_what_has_come_counts_and_not_in_which_pieces(begin: bytes, pieces: list[bytes]) -> None:
    at_once, in_pieces = Reception(), Reception()

    at_once.feed(begin + b"".join(pieces))
    for piece in (begin, *pieces):
        in_pieces.feed(piece)

    assert (in_pieces.complete, in_pieces.body_bytes) == (at_once.complete, at_once.body_bytes)
    assert in_pieces.take() == at_once.take()


@pytest.mark.parametrize("data", [GET, FORM, HEAD + b"Content-Length: 0\r\n\r\n"])
def test_where_an_ordinary_request_ends_is_sure(data: bytes) -> None:
    assert received(data).surely_ends


@pytest.mark.parametrize("data", [GET, FORM])
def test_where_a_request_ends_is_not_sure_before_it_is_there_or_when_something_follows(data: bytes) -> None:
    assert not received(data[:-1]).surely_ends
    assert not received(data + b"G").surely_ends


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked",
        b"Content-Length : 5",
        b"Content-Length: +5",
        b"Content-Length: 5,5",
        b"Transfer-Encoding : chunked",
    ],
)
@pytest.mark.parametrize("body", [b"", b"12345"])
def test_where_a_request_ends_that_others_may_read_otherwise_is_not_sure(framing: bytes, body: bytes) -> None:
    assert not received(HEAD + framing + b"\r\n\r\n" + body).surely_ends


def test_no_length_is_too_long_to_be_told() -> None:
    assert received(HEAD + b"Content-Length: 1000000000000000\r\n\r\n").body_bytes == 10**15
