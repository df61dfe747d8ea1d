"""Connections without a worker, for tests."""

import socket
from collections.abc import Callable

from visage.server.connection import Connection
from visage.server.http.request import RequestHead
from visage.server.http.request_body import BufferBudget, RequestBody
from visage.server.http.request_parser import HeadLimits


def connected(
    server: socket.socket,
    budget: BufferBudget | None = None,
    time_limit: float = 60,
    open_body: Callable[[RequestHead], RequestBody] | None = None,
) -> Connection:
    """A connection on the server's side of a pair of sockets, whose bodies are kept in memory, by default all."""
    used = budget or BufferBudget()
    return Connection(
        server,
        ("127.0.0.1", 1),
        ("127.0.0.1", 2),
        open_body=open_body or (lambda _head: RequestBody(used)),
        limits=HeadLimits(),
        budget=used,
        time_limit=time_limit,
    )
