"""A response has a length, chunks or the end of the connection, as its client understands."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from visage.server.http.request import RequestHead
from visage.server.http.response_writer import ResponseWriter, run_app

_App = Callable[..., Iterable[bytes]]


def app(*pieces: bytes, status: str = "200 OK", **headers: str) -> _App:
    """An app that answers with these pieces and headers."""

    def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [(name.replace("_", "-"), value) for name, value in headers.items()])
        return iter(pieces)

    return answer


def respond(
    app: _App, method: str = "GET", version: str = "1.1", *, keep_alive: bool = True
) -> tuple[str, bytes, bool]:
    """The head without its date, the body, and whether the connection stays open."""
    sent: list[bytes] = []
    writer = ResponseWriter(
        RequestHead(method, b"/", version), lambda *pieces: sent.extend(pieces), keep_alive=keep_alive
    )
    run_app(app, {}, writer)
    head, _, body = b"".join(sent).partition(b"\r\n\r\n")
    lines = [line for line in head.decode().split("\r\n") if not line.startswith("Date: ")]
    return "\n".join(lines), body, writer.keep_alive


def test_a_response_with_a_length_is_sent_as_it_is() -> None:
    head, body, keep_alive = respond(app(b"hel", b"lo", Content_Length="5", X_Name="value"))

    assert head == "HTTP/1.1 200 OK\nConnection: keep-alive\nContent-Length: 5\nX-Name: value"
    assert body == b"hello"
    assert keep_alive


@pytest.mark.parametrize("name", ["Date", "date"])
def test_the_date_of_the_app_is_the_only_one(name: str) -> None:
    sent: list[bytes] = []
    writer = ResponseWriter(RequestHead("GET", b"/", "1.1"), lambda *pieces: sent.extend(pieces), keep_alive=True)

    run_app(app(b"", **{name: "Sun, 06 Nov 1994 08:49:37 GMT"}), {}, writer)

    dates = [line for line in b"".join(sent).split(b"\r\n") if line.lower().startswith(b"date:")]
    assert dates == [f"{name}: Sun, 06 Nov 1994 08:49:37 GMT".encode()]


def test_a_response_without_a_date_gets_one() -> None:
    sent: list[bytes] = []
    writer = ResponseWriter(RequestHead("GET", b"/", "1.1"), lambda *pieces: sent.extend(pieces), keep_alive=True)

    run_app(app(b""), {}, writer)

    assert b"".join(sent).count(b"\r\nDate: ") == 1


def test_a_response_without_a_length_is_sent_in_chunks() -> None:
    head, body, keep_alive = respond(app(b"hello", b"", b"x" * 17))

    assert "Transfer-Encoding: chunked" in head
    assert body == b"5\r\nhello\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"
    assert keep_alive


def test_http_1_0_gets_the_end_of_the_connection_instead_of_chunks() -> None:
    head, body, keep_alive = respond(app(b"hel", b"lo"), version="1.0")

    assert head == "HTTP/1.1 200 OK\nConnection: close"
    assert body == b"hello"
    assert not keep_alive


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [("HEAD", "200 OK", True), ("GET", "304 Not Modified", False), ("GET", "204 No Content", False)],
)
def test_some_responses_have_no_body(method: str, status: str, length: bool) -> None:
    head, body, keep_alive = respond(app(b"hello", status=status, Content_Length="5"), method)

    assert ("Content-Length: 5" in head) == length
    assert "chunked" not in head
    assert body == b""
    assert keep_alive


def test_a_body_shorter_than_its_length_ends_the_connection() -> None:
    _, body, keep_alive = respond(app(b"hell", Content_Length="5"))

    assert body == b"hell"
    assert not keep_alive


def test_a_body_longer_than_its_length_is_cut() -> None:
    _, body, keep_alive = respond(app(b"hello", b" world", Content_Length="7"))

    assert body == b"hello w"
    assert keep_alive


def test_the_server_decides_about_the_connection() -> None:
    head, _, _ = respond(app(Connection="keep-alive", Transfer_Encoding="gzip", Content_Length="0"), keep_alive=False)

    assert head == "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0"


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nSet-Cookie: b"}, {"X": "a\nb"}, {"X": "a\0b"}, {"X y": "a"}, {"X\r\nY": "a"}]
)
def test_a_header_cannot_add_another_one(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not valid HTTP"):
        respond(app(b"", **headers))


def test_a_status_cannot_add_a_header() -> None:
    with pytest.raises(ValueError, match="not valid HTTP"):
        respond(app(b"", status="200 OK\r\nX: y"))


def test_the_response_is_closed_when_the_client_has_left() -> None:
    closed = []

    class Pieces:
        def __iter__(self) -> "Pieces":
            return self

        def __next__(self) -> bytes:
            return b"piece"

        def close(self) -> None:
            closed.append(True)

    def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Pieces()

    def send(*_pieces: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_app(answer, {}, ResponseWriter(RequestHead("GET", b"/", "1.1"), send, keep_alive=True))

    assert closed == [True]


def test_an_app_may_change_its_mind_until_the_first_byte() -> None:
    def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("500 Oh", [("Content-Length", "0")], (ValueError, ValueError("late"), None))
        return []

    assert respond(answer)[0] == "HTTP/1.1 500 Oh\nConnection: keep-alive\nContent-Length: 0"
