"""The parser collects complete requests from pieces of any size, and nothing after an error."""

import time

import pytest

from tests.server.http.parsing import CHUNKED, CHUNKS, FORM, GET, HEAD, bodies, in_memory, parsed
from visage.errors import AddressTooLong, BodyTooLarge, HeadersTooLong, RequestError
from visage.server.http.request import RequestHead
from visage.server.http.request_body import BufferBudget, RequestBody
from visage.server.http.request_parser import (
    BYTES_PER_CHUNK,
    MAX_PIPELINED,
    MAX_PIPELINED_HEAD_BYTES,
    RequestParser,
)
from visage.settings import MAX_OVERHEAD_BYTES


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize(
    ("whole", "body"),
    [
        (GET, b""),
        (FORM, b"hello world"),
        (CHUNKS, b"hello world"),
        (CHUNKS[:-2] + b"X-Trailer: 1\r\n\r\n", b"hello world"),
    ],
)
def test_a_request_is_complete_with_its_last_byte(whole: bytes, body: bytes, step: int | None) -> None:
    assert not parsed(whole[:-1], step).requests
    assert bodies(parsed(whole, step)) == [body]


def test_a_head_has_the_parts_of_the_request_line_and_the_headers() -> None:
    (request,) = parsed(b"GET /a%20b?c=d%20e HTTP/1.0\r\nHost:here \r\nX-Name: \xe9\r\n\r\n").requests

    head = request.head
    assert (head.method, head.version, head.keep_alive) == ("GET", "1.0", False)
    assert head.path_and_query == ("/a b", "c=d%20e")
    assert (head.header("host"), head.header("x-name"), head.header("x-other")) == ("here", "\xe9", "")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", ("/", "")),
        (b"//here/there", ("//here/there", "")),
        (b"http://here", ("/", "")),
        (b"http://here:80/a?b", ("/a", "b")),
        (b"/a??b", ("/a", "?b")),
    ],
)
def test_a_target_has_a_path_and_a_query(target: bytes, expected: tuple[str, str]) -> None:
    assert RequestHead("GET", target, "1.1").path_and_query == expected


def test_pipelined_requests_are_separated() -> None:
    parser = parsed(FORM + GET + CHUNKS + GET[:9])

    assert [request.head.method for request in parser.requests] == ["POST", "GET", "POST"]
    assert bodies(parser) == [b"hello world", b"", b"hello world"]
    assert parser.has_begun


def test_requests_before_an_invalid_one_are_kept() -> None:
    parser = parsed(FORM + b"nonsense\r\n\r\n" + GET)

    assert bodies(parser) == [b"hello world"]
    assert isinstance(parser.error, RequestError)


def test_nothing_is_read_after_a_request_that_closes_the_connection() -> None:
    parser = parsed(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + FORM + b"nonsense")

    assert len(parser.requests) == 1
    assert parser.error is None
    assert parser.has_ended


def test_a_limited_number_of_requests_is_read_ahead() -> None:
    parser = parsed(GET * 100)

    assert len(parser.requests) == MAX_PIPELINED
    assert parser.error is None
    assert parser.has_ended


@pytest.mark.parametrize("step", [None, 1000])
def test_few_requests_with_long_heads_are_read_ahead(step: int | None) -> None:
    long = GET[:-2] + b"X: " + b"x" * 8000 + b"\r\n\r\n"

    parser = parsed(long * 16, step)

    assert len(parser.requests) == 9
    assert sum(request.head.size for request in parser.requests) < MAX_PIPELINED_HEAD_BYTES + len(long)
    assert parser.error is None
    assert parser.has_ended


def test_a_request_to_switch_protocols_is_answered_in_http_1_and_is_the_last_one() -> None:
    parser = parsed(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n") + GET)

    assert len(parser.requests) == 1
    assert parser.error is None
    assert parser.has_ended


def test_only_a_request_whose_body_has_not_begun_expects_100_continue() -> None:
    expecting = HEAD + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"

    assert parsed(expecting).expects_100_continue
    assert not parsed(expecting + b"h").expects_100_continue
    assert not parsed(expecting + b"hello").expects_100_continue
    assert not parsed(HEAD + b"Content-Length: 5\r\n\r\n").expects_100_continue
    assert not parsed(HEAD + b"Content-Length: 50\r\n\r\nExpect: 100-continue\r\n").expects_100_continue


def test_http_1_0_does_not_know_100_continue() -> None:
    old = b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    assert not parsed(old).expects_100_continue
    assert len(parsed(old + b"hello").requests) == 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(HEAD + b"X: " + b"x" * 9000 + b"\r\n\r\n", HeadersTooLong, id="long header"),
        pytest.param(HEAD + b"X: " + b"x" * 8186 + b"\r\n\r\n", HeadersTooLong, id="header one byte too long"),
        pytest.param(HEAD + b"X: " + b"x" * 90000, HeadersTooLong, id="endless header"),
        pytest.param(HEAD + b"X: x\r\n" * 200 + b"\r\n", HeadersTooLong, id="200 headers"),
        pytest.param(b"GET /" + b"x" * 90000, AddressTooLong, id="endless address"),
        pytest.param(b"GET /" + b"x" * 4081 + b" HTTP/1.1\r\n\r\n", AddressTooLong, id="address one byte too long"),
    ],
)
def test_a_head_over_a_limit_is_rejected(data: bytes, error: type[RequestError]) -> None:
    assert type(parsed(data).error) is error


def test_a_header_of_the_longest_line_is_read() -> None:
    assert len(parsed(HEAD + b"X: " + b"x" * 8185 + b"\r\n\r\n").requests) == 1


def test_trailers_count_as_headers() -> None:
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + b"X: x\r\n" * 98 + b"\r\n"

    assert parsed(head + b"0\r\n\r\n").error is None
    assert type(parsed(head + b"0\r\nX: x\r\n\r\n").error) is HeadersTooLong


def chunked(size: int, count: int) -> bytes:
    return CHUNKED + count * (b"%x\r\n" % size + size * b"x" + b"\r\n") + b"0\r\n\r\n"


@pytest.mark.parametrize("step", [None, 2**16, 1000])
@pytest.mark.parametrize("size", [1, 5, 8, 20, 63])
def test_many_small_chunks_end_the_request_early(size: int, step: int | None) -> None:
    parser = parsed(chunked(size, 100_000), step)

    assert isinstance(parser.error, RequestError)
    assert "chunks" in str(parser.error)
    assert parser.body_bytes <= MAX_OVERHEAD_BYTES * size / (BYTES_PER_CHUNK - size)


def test_a_thousand_chunks_may_have_any_size() -> None:
    assert bodies(parsed(chunked(1, 1000))) == [1000 * b"x"]


def test_chunks_as_long_as_a_line_of_base64_are_read_however_many() -> None:
    assert bodies(parsed(chunked(76, 10_000), 2**16)) == [760_000 * b"x"]


def test_reading_small_chunks_takes_linear_time() -> None:
    data = chunked(64, 50_000)
    started = time.process_time()

    parsed(data, 2**18)

    # 0.02 seconds. Copying the rest for each chunk took minutes.
    assert time.process_time() - started < 2


def test_chunks_are_written_together() -> None:
    sizes: list[int] = []
    parser = RequestParser(lambda _head: RequestBody(BufferBudget(), lambda _size, added: sizes.append(added)))

    parser.feed(chunked(10, 100))

    assert sizes == [1000]
    assert bodies(parser) == [1000 * b"x"]


@pytest.mark.parametrize("filler", [b"0\r\nX-Trailer: ", b"5;"], ids=["trailers", "a chunk's line"])
def test_endless_lines_in_a_body_end_the_request(filler: bytes) -> None:
    parser = RequestParser(in_memory)
    parser.feed(CHUNKED + filler)
    for _ in range(MAX_OVERHEAD_BYTES // 2**14 + 2):
        parser.feed(b"x" * 2**14)

    assert isinstance(parser.error, RequestError)


@pytest.mark.parametrize("length", [11, 100])
def test_a_rejected_body_is_freed_and_the_reason_kept(length: int) -> None:
    budget, sizes = BufferBudget(), []

    def check(size: int, added: int) -> None:
        sizes.append(size + added)
        if size + added > 5:
            raise BodyTooLarge

    parser = RequestParser(lambda _head: RequestBody(budget, check))
    parser.feed(HEAD + b"Content-Length: %d\r\n\r\nhello" % length)
    parser.feed(b" world")

    assert sizes == [5, 11]
    assert isinstance(parser.error, BodyTooLarge)
    assert budget.in_memory == 0


def test_empty_lines_before_a_request_take_linear_time() -> None:
    started = time.process_time()

    parsed(b"\r\n" * 2**20, 2**16)

    # 0.01 seconds. Each would be a piece of its own if it were taken for the end of a head.
    assert time.process_time() - started < 0.5


def test_an_unexpected_error_is_not_taken_for_invalid_http() -> None:
    def fail(_head: RequestHead) -> RequestBody:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RequestParser(fail).feed(GET)


def test_closing_frees_all_bodies() -> None:
    budget = BufferBudget()
    parser = RequestParser(lambda _head: RequestBody(budget))
    parser.feed(FORM + FORM + FORM[:-1])
    assert budget.in_memory == 32

    parser.close()
    parser.feed(FORM)

    assert budget.in_memory == 0
    assert not parser.requests
