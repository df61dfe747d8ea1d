"""A client receives every byte once, however slowly it reads, and the head together with the body."""

import socket
from collections.abc import Iterator

import pytest

from visage.server.response_buffer import ResponseBuffer


@pytest.fixture
def pair() -> Iterator[tuple[ResponseBuffer, socket.socket]]:
    """A response buffer, and its client's non-blocking socket."""
    server, client = socket.socketpair()
    with server, client:
        server.settimeout(0)
        client.settimeout(0)
        yield ResponseBuffer(server, time_limit=60), client


def test_a_delayed_head_is_sent_with_the_first_piece_of_the_body(pair: tuple[ResponseBuffer, socket.socket]) -> None:
    buffer, client = pair
    buffer.delay_next_write()
    buffer.sendall(b"head ")
    with pytest.raises(BlockingIOError):
        client.recv(100)
    buffer.sendall(b"body")
    assert client.recv(100) == b"head body"


def test_only_the_next_piece_is_delayed(pair: tuple[ResponseBuffer, socket.socket]) -> None:
    buffer, client = pair
    buffer.delay_next_write()
    for piece in (b"head ", b"one"):
        buffer.sendall(piece)
    assert client.recv(100) == b"head one"
    buffer.sendall(b"two")
    assert client.recv(100) == b"two"


def test_a_delayed_head_without_a_body_is_sent_by_flush(pair: tuple[ResponseBuffer, socket.socket]) -> None:
    buffer, client = pair
    buffer.delay_next_write()
    buffer.sendall(b"head")
    assert buffer.flush()
    assert client.recv(100) == b"head"


def test_a_slow_client_receives_every_byte_once(pair: tuple[ResponseBuffer, socket.socket]) -> None:
    buffer, client = pair
    pieces = [bytes([number]) * length for number, length in enumerate([5, 300_000, 0, 1, 400_000, *[7] * 40])]
    for piece in pieces:
        buffer.sendall(piece)
    received = b""
    while not buffer.flush():
        received += client.recv(10_000)
    while len(received) < sum(map(len, pieces)):
        received += client.recv(10_000)
    assert received == b"".join(pieces)
    assert buffer.buffered_bytes == 0
