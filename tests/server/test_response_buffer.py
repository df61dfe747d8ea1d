"""What one client is sent: a head with what follows it, and everything in the end, however slowly it is taken."""

import socket
from collections.abc import Iterator

import pytest

from visage.server.response_buffer import Outbox


@pytest.fixture
def ends() -> Iterator[tuple[Outbox, socket.socket]]:
    """An outbox, and its client's end of the connection, which does not wait."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)
        yield Outbox(ours, patience=60), theirs


def test_a_head_that_is_kept_back_goes_with_the_first_piece_of_the_body(ends: tuple[Outbox, socket.socket]) -> None:
    outbox, client = ends
    outbox.keep_next_back()
    outbox.sendall(b"head ")
    with pytest.raises(BlockingIOError):
        client.recv(100)
    outbox.sendall(b"body")
    assert client.recv(100) == b"head body"


def test_only_the_next_piece_is_kept_back(ends: tuple[Outbox, socket.socket]) -> None:
    outbox, client = ends
    outbox.keep_next_back()
    for piece in (b"head ", b"one"):
        outbox.sendall(piece)
    assert client.recv(100) == b"head one"
    outbox.sendall(b"two")
    assert client.recv(100) == b"two"


def test_a_head_without_a_body_goes_when_the_answer_is_done(ends: tuple[Outbox, socket.socket]) -> None:
    outbox, client = ends
    outbox.keep_next_back()
    outbox.sendall(b"head")
    assert outbox.flush()
    assert client.recv(100) == b"head"


def test_a_client_that_takes_little_at_a_time_gets_every_byte_once(ends: tuple[Outbox, socket.socket]) -> None:
    outbox, client = ends
    pieces = [bytes([number]) * length for number, length in enumerate([5, 300_000, 0, 1, 400_000, *[7] * 40])]
    for piece in pieces:
        outbox.sendall(piece)
    taken = b""
    while not outbox.flush():
        taken += client.recv(10_000)
    while len(taken) < sum(map(len, pieces)):
        taken += client.recv(10_000)
    assert taken == b"".join(pieces)
    assert outbox.held == 0
