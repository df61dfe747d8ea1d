"""The WSGI environment has what the request says, and nothing that a client could forge."""

from typing import Any

import pytest

from tests.server.http.parsing import parsed
from visage.errors import RequestError
from visage.server.http.environ import Environs

SECURE = {"X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"}


def environ(
    *headers: bytes,
    line: bytes = b"POST /a%2Fb%C3%A9?c=%20 HTTP/1.1",
    trusted: str = "127.0.0.1",
    client: str = "127.0.0.1",
) -> dict[str, Any]:
    lines = b"\r\n".join((line, b"Host: here:1", *headers, b"Content-Length: 2", b"\r\nhi"))
    (request,) = parsed(lines).requests
    return Environs([trusted], SECURE).make(request, (client, 5), ("127.0.0.2", 80), "connection")


def test_the_request_line_and_the_addresses_are_variables() -> None:
    found = environ()

    assert found["wsgi.input"].read() == b"hi"
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b\xc3\xa9",
        "QUERY_STRING": "c=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.2",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": "2",
        "HTTP_HOST": "here:1",
        "visage.client": "connection",
    }
    assert {name: found[name] for name in expected} == expected


def test_headers_are_variables_and_repeated_ones_are_joined() -> None:
    found = environ(b"Content-Type: text/plain", b"X-Two: a", b"x-two: b")

    assert found["CONTENT_TYPE"] == "text/plain"
    assert found["HTTP_X_TWO"] == "a,b"


def test_a_header_with_an_underscore_does_not_pass_for_one_with_a_dash() -> None:
    assert "HTTP_X_REQUEST_ID" not in environ(b"X_Request_ID: forged")


@pytest.mark.parametrize(
    ("trusted", "header", "scheme"),
    [
        ("127.0.0.1", b"X-Forwarded-Proto: https", "https"),
        ("127.0.0.0/8", b"X-Forwarded-Proto: https", "https"),
        ("*", b"X-Forwarded-Ssl: on", "https"),
        ("127.0.0.1", b"X-Forwarded-Proto: http", "http"),
        ("127.0.0.1", b"X-Other: https", "http"),
        ("192.0.2.1", b"X-Forwarded-Proto: https", "http"),
    ],
)
def test_only_a_trusted_proxy_tells_the_scheme(trusted: str, header: bytes, scheme: str) -> None:
    assert environ(header, trusted=trusted)["wsgi.url_scheme"] == scheme


@pytest.mark.parametrize(
    ("trusted", "client", "scheme"),
    [
        ("127.0.0.1", "::ffff:127.0.0.1", "https"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "https"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", "https"),
        ("::1", "::1", "https"),
        ("127.0.0.1", "::ffff:192.0.2.1", "http"),
        ("127.0.0.1", "::127.0.0.1", "http"),
        ("127.0.0.1", "64:ff9b::7f00:1", "http"),
        ("::1", "::ffff:127.0.0.1", "http"),
    ],
)
def test_an_ipv4_proxy_of_a_listener_for_both_versions_is_trusted_by_its_ipv4_address(
    trusted: str, client: str, scheme: str
) -> None:
    assert environ(b"X-Forwarded-Proto: https", trusted=trusted, client=client)["wsgi.url_scheme"] == scheme


@pytest.mark.parametrize(
    ("trusted", "header", "prefix"),
    [
        ("127.0.0.1", b"X-Forwarded-Prefix: /visage", "/visage"),
        ("127.0.0.1", b"X-Forwarded-Prefix: /tools/visage/", "/tools/visage"),
        ("127.0.0.1", b"X-Forwarded-Prefix: /forged, /visage", "/visage"),
        ("127.0.0.1", b"X-Forwarded-Prefix: /", ""),
        ("127.0.0.1", b"X-Forwarded-Prefix:", ""),
        ("192.0.2.1", b"X-Forwarded-Prefix: /forged", ""),
    ],
)
def test_only_a_trusted_proxy_tells_the_prefix_of_the_path(trusted: str, header: bytes, prefix: str) -> None:
    assert environ(header, trusted=trusted)["SCRIPT_NAME"] == prefix


@pytest.mark.parametrize("prefix", [b"//evil.example", b"visage", b"/<b>", b"/a b", b"/a\xc3\xa4", b"/a?b", b"/a//b"])
def test_a_prefix_that_is_no_plain_path_is_rejected(prefix: bytes) -> None:
    with pytest.raises(RequestError, match="such as /visage"):
        environ(b"X-Forwarded-Prefix: " + prefix)


def test_contradicting_headers_of_a_proxy_are_rejected() -> None:
    with pytest.raises(RequestError, match="contradict"):
        environ(b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off")
