"""A server of files that can fail in many ways."""

import gzip
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from visage.packs.download import CHUNK_BYTES


@dataclass(frozen=True)
class Request:
    path: str
    range: str | None
    encoding: str | None


class Server(ThreadingHTTPServer):
    """Serves `contents` by path. A response in `responses` replaces the next regular one."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.responses: deque[Respond] = deque()
        self.requests: list[Request] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def requested_ranges(self) -> list[str | None]:
        return [each.range for each in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(Request(self.path, self.headers["Range"], self.headers["Accept-Encoding"]))
        respond = self.server.responses.popleft() if self.server.responses else as_requested
        with suppress(ConnectionError):
            respond(self, self.server.contents.get(self.path))

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


Respond = Callable[[Handler, bytes | None], None]


def as_requested(handler: Handler, content: bytes | None) -> None:
    if content is None:
        return handler.send(404, b"not here")
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
    if not wanted:
        return handler.send(200, content)
    first = int(wanted[1])
    if first >= len(content):
        return handler.send(416, b"", Content_Range=f"bytes */{len(content)}")
    return handler.send(206, content[first:], Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}")


def without_ranges(handler: Handler, content: bytes | None) -> None:
    handler.send(200, content or b"")


def with_status(status: int) -> Respond:
    return lambda handler, content: handler.send(status, b"")


def with_body(body: bytes) -> Respond:
    return lambda handler, content: handler.send(200, body)


def cut_after(count: int) -> Respond:
    def respond(handler: Handler, content: bytes | None) -> None:
        assert content
        handler.close_connection = True
        handler.send(200, content[:count], Content_Length=str(len(content)))

    return respond


def compressed(handler: Handler, content: bytes | None) -> None:
    handler.send(200, gzip.compress(content or b""), Content_Encoding="gzip")


def endless(handler: Handler, content: bytes | None) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(CHUNK_BYTES))


@contextmanager
def running_server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.005))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
