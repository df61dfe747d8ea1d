"""A client receives every byte once, however slowly it reads."""

import socket
from collections.abc import Iterator

import pytest

from visage.server.http.response_buffer import ClientGone, ResponseBuffer


@pytest.fixture
def pair() -> Iterator[tuple[ResponseBuffer, socket.socket]]:
    """A response buffer, and its client's non-blocking socket."""
    server, client = socket.socketpair()
    with server, client:
        server.settimeout(0)
        client.settimeout(0)
        yield ResponseBuffer(server, time_limit=60), client


def test_pieces_that_belong_together_are_sent_in_order(pair: tuple[ResponseBuffer, socket.socket]) -> None:
    buffer, client = pair

    buffer.sendall(b"head ", b"one ")
    buffer.sendall(b"two")

    assert client.recv(100) == b"head one two"


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


def test_a_client_that_has_left_has_an_error_of_its_own(pair: tuple[ResponseBuffer, socket.socket]) -> None:
    buffer, client = pair
    client.close()

    with pytest.raises(ClientGone):
        buffer.sendall(b"head")
