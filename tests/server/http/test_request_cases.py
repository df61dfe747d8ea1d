"""Valid and invalid requests, after the cases of gunicorn's and llhttp's own tests, at once and byte by byte."""

import pytest

from tests.server.http.parsing import CHUNKED, HEAD, bodies, parsed

VALID = {
    "curl": (b"GET /test HTTP/1.1\r\nUser-Agent: curl/8\r\nHost: 0.0.0.0:5000\r\nAccept: */*\r\n\r\n", [b""]),
    "no headers": (b"GET /no_headers HTTP/1.1\r\n\r\n", [b""]),
    "empty line before": (b"\r\nGET / HTTP/1.1\r\n\r\n", [b""]),
    "query with a question mark": (b"GET /test.cgi?query=?foo HTTP/1.1\r\n\r\n", [b""]),
    "quotes in the query": (b'GET /with_"quotes"?foo="bar" HTTP/1.1\r\n\r\n', [b""]),
    "header without spaces": (b"GET / HTTP/1.1\r\nHost:x\r\n\r\n", [b""]),
    "empty header": (b"GET / HTTP/1.1\r\nX-Empty:\r\n\r\n", [b""]),
    "tab before a value": (HEAD + b"Content-Length:\t5\r\n\r\nhello", [b"hello"]),
    "space after a length": (HEAD + b"Content-Length: 5 \r\n\r\nhello", [b"hello"]),
    "leading zeros": (HEAD + b"Content-Length: 00005\r\n\r\nhello", [b"hello"]),
    "length of zero": (HEAD + b"Content-Length: 0\r\n\r\n", [b""]),
    "options for all": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", [b""]),
    "absolute address": (b"GET http://x/y HTTP/1.1\r\nHost: x\r\n\r\n", [b""]),
    "chunked": (CHUNKED + b"1e\r\nall your base are belong to us\r\n0\r\n\r\n", [b"all your base are belong to us"]),
    "upper-case chunk size": (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", [b"0123456789"]),
    "no chunk": (CHUNKED + b"0\r\n\r\n", [b""]),
    "zeros for the last chunk": (CHUNKED + b"5\r\nhello\r\n000\r\n\r\n", [b"hello"]),
    "trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n", [b"hello"]),
    "chunk extensions": (CHUNKED + b'5;a;b=c;d="e;f"\r\nhello\r\n0;g=h\r\n\r\n', [b"hello"]),
    "name of a coding in capitals": (CHUNKED.replace(b"chunked", b"Chunked") + b"0\r\n\r\n", [b""]),
    "HTTP/1.0 kept alive": (2 * b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [b"", b""]),
    "HTTP/1.0": (2 * b"GET / HTTP/1.0\r\n\r\n", [b""]),
    "two in a row": (HEAD + b"Content-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\n\r\n", [b"hi", b""]),
}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("name", VALID)
def test_a_valid_request_is_read(name: str, step: int | None) -> None:
    data, expected = VALID[name]

    parser = parsed(data, step)

    assert bodies(parser) == expected
    assert parser.error is None


LINES = {
    "bare line feeds": b"GET / HTTP/1.1\nHost: here\n\n",
    "bare carriage return": b"GET / HTTP/1.1\rHost: here\r\r",
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "version 0.9": b"GET / HTTP/0.9\r\n\r\n",
    "version 1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "version 2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "version of two digits": b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    "version in lower case": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "preface of the PROXY protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
    "method in lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    "method of symbols": b":GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no address": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative address": b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in the address": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "control character in the address": b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw byte in the address": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "tabs": b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "* and a path": b"GET *a/b HTTP/1.1\r\nHost: x\r\n\r\n",
    "* and a path for OPTIONS": b"OPTIONS *a HTTP/1.1\r\nHost: x\r\n\r\n",
    "* for a POST": b"POST * HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
}
HEADERS = {
    "no colon": b"nonsense",
    "no name": b": y",
    "space before the colon": b"Content-Length : 5",
    "space before the name": b" Content-Length: 5",
    "continued line": b"X: y\r\n Transfer-Encoding: chunked",
    "continued line with a tab": b"X: y\r\n\tz",
    "null byte": b"X: a\0b",
    "control character": b"X: a\x01b",
    "bare carriage return": b"X: y\rTransfer-Encoding: chunked",
    "bare line feed": b"X: y\nTransfer-Encoding: chunked",
    "Latin-1 in a name": b"Content-Lengt\xe8: 5",
    "symbols in a name": b"X(y): z",
    "two hosts": b"Host: there",
    "two content types": b"Content-Type: a/b\r\nContent-Type: c/d",
    "unknown expectation": b"Expect: wonders",
    "empty expectation": b"Expect:",
    "second expectation": b"Expect: 100-continue\r\nExpect: wonders",
}
LENGTHS = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6",
    "the same length twice": b"Content-Length: 5\r\nContent-Length: 5",
    "list of lengths": b"Content-Length: 5, 5",
    "no digits": b"Content-Length: five",
    "empty length": b"Content-Length:",
    "plus": b"Content-Length: +5",
    "minus": b"Content-Length: -5",
    "hexadecimal": b"Content-Length: 0x5",
    "underscore": b"Content-Length: 5_0",
    "two numbers": b"Content-Length: 5 5",
    "superscript": b"Content-Length: \xb2",
    "vertical tab": b"Content-Length: \x0b5",
    "more than 64 bits": b"Content-Length: 18446744073709551621",
    "99 leading zeros": b"Content-Length: " + b"0" * 99 + b"5",
    "4099 digits": b"Content-Length: " + b"5".zfill(4099),
    "4100 digits": b"Content-Length: " + b"5".zfill(4100),
    "4300 digits": b"Content-Length: " + b"5".zfill(4300),
    "4301 digits": b"Content-Length: " + b"5".zfill(4301),
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "chunked in two headers": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "chunked, then nothing": b"Transfer-Encoding: chunked\r\nTransfer-Encoding:",
    "chunked, then gzip": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
    "chunked, then identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "nothing, then chunked": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    "gzip, then chunked": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "identity, then chunked": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "chunked, another header, then chunked": b"Transfer-Encoding: chunked\r\nX: y\r\nTransfer-Encoding: chunked",
    "identity": b"Transfer-Encoding: identity",
    "no coding": b"Transfer-Encoding:",
    "unknown coding": b"Transfer-Encoding: nonsense",
    "gzip": b"Transfer-Encoding: gzip, chunked",
    "chunked first": b"Transfer-Encoding: chunked, gzip",
    "parameter": b"Transfer-Encoding: chunked;a=b",
    "almost chunked": b"Transfer-Encoding: xchunked",
    "vertical tab before chunked": b"Transfer-Encoding: \x0bchunked",
    "space before the coding's colon": b"Transfer-Encoding : chunked",
}
CHUNK_LINES = {
    "no number": b"five\r\n",
    "no size": b"\r\nhello\r\n",
    "minus": b"-5\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "underscore": b"0_5\r\nhello\r\n",
    "space before": b" 5\r\nhello\r\n",
    "space after": b"5 \r\nhello\r\n",
    "superscript": b"\xb2\r\nhello\r\n",
    "17 digits": b"f" * 17 + b"\r\n",
    "bare line feed": b"5\nhello\r\n",
    "bare carriage return": b"5\rhello\r\n",
    "line feed in an extension": b"5;a\nb\r\nhello\r\n",
    "carriage return in an extension": b"5;a\rb\r\nhello\r\n",
    "chunk longer than its size": b"3\r\nhello\r\n",
    "chunk without its line end": b"5\r\nhello??5\r\nhello\r\n",
    "bare line feed after a chunk": b"5\r\nhello\n0\r\n\r\n",
    "bare carriage return after a chunk": b"5\r\nhello\r?5\r\nhello\r\n",
    "trailer without a colon": b"0\r\nnonsense\r\n\r\n",
    "trailer with a bare line feed": b"0\r\nX: y\n\r\n",
    "length as a trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "host as a trailer": b"0\r\nHost: x\r\n\r\n",
}
INVALID = {
    **{f"request line: {name}": line for name, line in LINES.items()},
    **{f"header: {name}": HEAD + header + b"\r\n\r\n" for name, header in HEADERS.items()},
    **{f"length: {name}": HEAD + header + b"\r\n\r\nhello" for name, header in LENGTHS.items()},
    **{f"chunk: {name}": CHUNKED + chunk for name, chunk in CHUNK_LINES.items()},
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_request_is_rejected(name: str, step: int | None) -> None:
    parser = parsed(INVALID[name], step)

    assert not parser.requests
    assert parser.error
