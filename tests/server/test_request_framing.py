"""Finds the end of a request in pieces of any size, and leaves its meaning to gunicorn's parser."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visage.server.request_framing import MAX_HEAD_BYTES, RequestFraming

HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
FORM = HEAD + b"Content-Length: 11\r\n\r\nhello world"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n"


def framed(data: bytes, step: int | None = None) -> RequestFraming:
    framing = RequestFraming()
    for start in range(0, len(data), step or len(data)):
        framing.feed(data[start : start + (step or len(data))])
    return framing


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize("whole", [GET, FORM, CHUNKS, CHUNKS[:-2] + b"Trailer: 1\r\n\r\n"])
def test_a_request_is_complete_with_its_last_byte(whole: bytes, step: int | None) -> None:
    assert not framed(whole[:-1], step).complete
    assert framed(whole, step).complete


@pytest.mark.parametrize(
    ("data", "length"), [(GET, 0), (FORM, 11), (HEAD + b"content-LENGTH:\t999 \r\n\r\n", 999), (CHUNKS, 11)]
)
def test_the_body_length_is_the_content_length_or_the_sum_of_chunk_sizes(data: bytes, length: int) -> None:
    assert framed(data, 1).body_bytes == length


def test_a_chunk_size_counts_before_the_chunk_arrives() -> None:
    announced = framed(CHUNKED + b"ffffff\r\n")

    assert announced.body_bytes == 0xFFFFFF
    assert not announced.complete


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        pytest.param(FORM + GET, (FORM[:-11], b"hello world", GET), id="Content-Length"),
        pytest.param(GET + GET, (GET, b"", GET), id="no body"),
        pytest.param(CHUNKS, (CHUNKED, b"", CHUNKS[len(CHUNKED) :]), id="chunked"),
        pytest.param(b"GET / HTTP/1.1\n\n", (b"", b"", b"GET / HTTP/1.1\n\n"), id="invalid HTTP"),
    ],
)
def test_head_body_and_pipelined_bytes_are_separated(data: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    framing = framed(data)

    assert framing.take_parts() == parts
    assert not framing.data


@pytest.mark.parametrize("arrived", [len(FORM) - 11, len(FORM) - 4, len(FORM), len(FORM) + 7])
def test_a_body_is_written_to_a_file_however_much_of_it_has_arrived(arrived: int) -> None:
    framing, file = framed((FORM + GET)[:arrived]), BytesIO()

    framing.write_body_to(file)
    before = framing.complete
    framing.feed((FORM + GET)[arrived:])

    assert before == (arrived >= len(FORM))
    assert framing.complete
    assert file.getvalue() == b"hello world"
    assert framing.take_parts() == (FORM[:-11], b"", GET)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\n\n", id="bare line feeds"),
        pytest.param(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two Content-Lengths"),
        pytest.param(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", id="Content-Length and chunks"),
        pytest.param(HEAD + b"Content-Length: five\r\n\r\n", id="Content-Length not a number"),
        pytest.param(HEAD + b"Content-Length: -5\r\n\r\n", id="negative Content-Length"),
        pytest.param(CHUNKED + b"five\r\n", id="chunk size not a number"),
        pytest.param(CHUNKED + b"-5\r\n", id="negative chunk size"),
        pytest.param(CHUNKED + b"f" * 17 + b"\r\n", id="chunk size of 17 digits"),
        pytest.param(CHUNKED + b"3\r\nhello\r\n", id="chunk longer than its size"),
        pytest.param(CHUNKED + b"5;" + b"x" * 5000, id="endless chunk line"),
    ],
)
def test_invalid_http_is_complete_at_once(data: bytes) -> None:
    assert framed(data).complete


def test_an_endless_head_becomes_too_long() -> None:
    filled = HEAD + b"X-Filler: " + b"x" * MAX_HEAD_BYTES

    assert framed(filled).head_too_long
    assert not framed(HEAD).head_too_long
    assert not framed(filled + b"\r\n\r\n").head_too_long


def test_only_an_incomplete_request_with_the_expect_header_expects_100_continue() -> None:
    expecting = HEAD + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"

    assert framed(expecting).expects_100_continue
    assert not framed(expecting + b"hello").expects_100_continue
    assert not framed(HEAD + b"Content-Length: 5\r\n\r\n").expects_100_continue
    assert not framed(HEAD + b"Content-Length: 50\r\n\r\nExpect: 100-continue\r\n").expects_100_continue


INVALID = {
    "a bare line feed, then chunks": b"GET / HTTP/1.1\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "a bare line feed, then a body": b"GET / HTTP/1.1\nHost: here\r\nContent-Length: 50\r\n\r\n",
    "a chunk line that is too long": CHUNKED + b"5;" + b"x" * 5000 + b"\r\nhello\r\n",
    "a chunk without its CRLF": CHUNKED + b"5\r\nhello??5\r\nhello\r\n",
    "a chunk with a carriage return only": CHUNKED + b"5\r\nhello\r?5\r\nhello\r\n",
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_http_in_one_piece_is_invalid_byte_by_byte(name: str) -> None:
    at_once, byte_by_byte = framed(INVALID[name]), framed(INVALID[name], 1)

    assert at_once.complete
    assert (byte_by_byte.complete, byte_by_byte.body_bytes) == (at_once.complete, at_once.body_bytes)


def test_endless_trailers_become_complete() -> None:
    trailers = CHUNKED + b"0\r\nX-Filler: "

    assert not framed(trailers).complete
    assert framed(trailers + b"x" * MAX_HEAD_BYTES).complete


def test_a_content_length_may_have_leading_zeros() -> None:
    assert framed(HEAD + b"Content-Length: 00000000000000000011\r\n\r\n").body_bytes == 11


# Fragments of requests. Most random sequences of them are invalid.
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
def test_the_size_of_the_pieces_does_not_matter(begin: bytes, pieces: list[bytes]) -> None:
    at_once, in_pieces = RequestFraming(), RequestFraming()

    at_once.feed(begin + b"".join(pieces))
    for piece in (begin, *pieces):
        in_pieces.feed(piece)

    assert (in_pieces.complete, in_pieces.body_bytes) == (at_once.complete, at_once.body_bytes)
    assert in_pieces.take_parts() == at_once.take_parts()


@pytest.mark.parametrize("data", [GET, FORM, HEAD + b"Content-Length: 0\r\n\r\n"])
def test_the_framing_of_an_ordinary_request_is_unambiguous(data: bytes) -> None:
    assert framed(data).is_unambiguous


@pytest.mark.parametrize("data", [GET, FORM])
def test_the_framing_is_ambiguous_while_incomplete_and_with_pipelined_bytes(data: bytes) -> None:
    assert not framed(data[:-1]).is_unambiguous
    assert not framed(data + b"G").is_unambiguous


@pytest.mark.parametrize(
    "headers",
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
def test_framing_that_other_parsers_may_read_differently_is_ambiguous(headers: bytes, body: bytes) -> None:
    assert not framed(HEAD + headers + b"\r\n\r\n" + body).is_unambiguous


def test_a_content_length_may_have_sixteen_digits() -> None:
    assert framed(HEAD + b"Content-Length: 1000000000000000\r\n\r\n").body_bytes == 10**15
