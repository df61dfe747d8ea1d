"""Random streams of requests, valid and invalid, for the fuzz target `wire` and its tests."""

from random import Random

_HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

SEEDS: tuple[bytes, ...] = (
    b"GET /healthz HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
    _HEAD + b"Content-Type: image/jpeg\r\nContent-Length: 11\r\n\r\nhello world",
    _HEAD + b"Content-Length: 00011\r\n\r\nhello worldGET / HTTP/1.1\r\n\r\n",
    _HEAD + b"Expect: 100-continue\r\nContent-Length:\t5 \r\n\r\nhello",
    _CHUNKED + b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n",
    _CHUNKED + b'05;name="quoted"\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n',
    _CHUNKED + b"fffffffff\r\n",
    _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\n?\r\n0\r\n\r\n",
    _HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    _HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    _HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)

_ENDS = (b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"\r\n ")
_SYMBOLS = (b";", b" ", b"\t", b", ", b"-1", b"0x5", b"+5", b"5_0", b"\xb2", b"\0", b"0" * 16, b"f" * 16)
_WORDS = (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"content_length", b"chunked", b"identity")
_PARTS = (*_ENDS, *_SYMBOLS, *_WORDS, b"x" * 4096, b"x" * 2**16)

_BODIES = (b"", b"hello", b"GET /s HTTP/1.1\r\nHost: s\r\n\r\n", b"\r\n\r\n", b"0\r\n\r\n")
_LENGTH_NAMES = (
    *(
        b"Content-Length",
        b"content-length",
        b"CONTENT-LENGTH",
        b"Content_Length",
        b"Content-Length ",
        b" Content-Length",
    ),
    *(b"Content-Lengt\xe8", b"X-Content-Length"),
)
_ZEROS = (1, 5, 98, 99, 100, 101, 3900, 3999, 4000, 4001, 4095, 4098, 4099, 4100, 4250, 4298, 4299, 4300)
_CODINGS = (
    *6 * (b"Transfer-Encoding: chunked",),
    b"Transfer-Encoding:chunked",
    b"transfer-encoding: Chunked ",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: chunked, chunked",
    b"X: y\rTransfer-Encoding: chunked",
)
_CHUNKS = (b"a", b"hello", b"GET /t HTTP/1.1\r\n\r\n", b"\r\n")
_LAST_CHUNKS = (b"0", b"0", b"0", b"00", b"0;x", b"-0", b"+0", b"0x0", b"0_0", b" 0")
_TRAILERS = (b"", b"", b"X: y\r\n", b"Content-Length: 5\r\n", b"Host: y\r\n", b"bad\r\n", b"X: y\n")
_OTHERS = (
    *(b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue", b"X: \0", b": y", b"noc"),
    *(b"X:" + b"a" * 8000, b"X:" + b"a" * 9000, b"Host: y", b"Upgrade: h2c\r\nConnection: upgrade"),
)
_METHODS = (*6 * (b"GET", b"POST"), b"HEAD", b"CONNECT", b"get")
_TARGETS = (*8 * (b"/a", b"/b?c"), b"http://x/y", b"*", b"/\xff", b"")
_VERSIONS = (*20 * (b"HTTP/1.1",), b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1")


def mutate(random: Random, request: bytes) -> bytes:
    """Mutate a request: delete, copy, insert or replace parts of it."""
    data = bytearray(request or random.choice(SEEDS))
    for _ in range(random.choice((1, 1, 2, 4))):
        start = random.randrange(len(data) + 1)
        end = min(len(data), start + random.choice((1, 2, 4, 16)))
        other = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                del data[start:end]
            case 1:
                data[other:other] = data[start:end]
            case 2:
                data[start:start] = random.choice(_PARTS)
            case _:
                data[start:end] = random.choice(_PARTS)
    return bytes(data)


def stream(random: Random) -> bytes:
    """One to three requests in a row, with the ambiguities that request smuggling uses."""
    data = bytearray(b"".join(_request(random) for _ in range(random.randint(1, 3))))
    if random.random() < 0.15:
        start, length = random.randrange(len(data)), random.randint(0, 2)
        data[start : start + length] = bytes([random.choice((0, 9, 10, 13, 32, 58, 48, 59, 255))]) * random.randint(
            0, 2
        )
    return bytes(data)


def _request(random: Random) -> bytes:
    before = random.choice((b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ")) if random.random() < 0.1 else b""
    body, headers = random.choice(_BODIES), [b"Host: x"]
    kind = random.random()
    if kind < 0.45:
        headers += _length_headers(random, body)
    elif kind < 0.85:
        headers.append(random.choice(_CODINGS))
        body = _chunked_body(random)
        if random.random() < 0.1:
            headers.append(b"Content-Length: %d" % len(body))
    if random.random() < 0.1:
        headers.append(random.choice(_OTHERS))
    random.shuffle(headers)
    line = b" ".join(random.choice(parts) for parts in (_METHODS, _TARGETS, _VERSIONS))
    return before + b"".join(each + _line_end(random) for each in (line, *headers, b"")) + body


def _length_headers(random: Random, body: bytes) -> list[bytes]:
    length = str(len(body)).encode()
    value = random.choice(
        (
            *3 * (length,),
            b"0" * random.choice(_ZEROS) + length,
            *(b"+" + length, length + b" ", b"\t" + length, length + b",", length + b", " + length, b""),
            *(length + b"\0", b"\xb2", b"0x1", length + b"\x0b"),
        )
    )
    header = random.choice(_LENGTH_NAMES) + b":" + random.choice((b" ", b"", b"\t", b"  ")) + value
    return [header] * (2 if random.random() < 0.1 else 1)


def _chunked_body(random: Random) -> bytes:
    body = b""
    for _ in range(random.randint(0, 3)):
        chunk = random.choice(_CHUNKS)
        size = b"%x" % len(chunk)
        line = random.choice(
            (
                *8 * (size,),
                b"0" * random.choice((1, 50, 4000, 4090, 4096, 8000)) + size,
                *(size + b";a=b", size + b" ;a", size + b";" + b"x" * random.choice((10, 4085, 4090, 4096, 8000))),
                *(b"+" + size, b"0x" + size, size + b"_", b"1_0", size + b" ", b"-" + size, b"\xb2"),
            )
        )
        body += line + _line_end(random) + chunk + _line_end(random)
    return body + random.choice(_LAST_CHUNKS) + _line_end(random) + random.choice(_TRAILERS) + _line_end(random)


def _line_end(random: Random) -> bytes:
    return b"\r\n" if random.random() < 0.97 else random.choice((b"\n", b"\r", b"\r\n ", b"\r\r\n", b"\n\r\n"))
