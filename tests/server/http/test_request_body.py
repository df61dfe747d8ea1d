"""A body counts towards the budget from its first byte until it is closed."""

from pathlib import Path

import pytest

from tests.support.memory import traced
from visage.errors import BatchesUnavailable, StorageFull
from visage.server.http.request_body import BufferBudget, RequestBody


def test_a_body_in_memory_is_counted_until_it_is_closed() -> None:
    budget = BufferBudget()
    body = RequestBody(budget)
    body.write(b"hel")
    body.write(b"lo")

    assert body.open().read() == b"hello"
    assert (body.size, budget.in_memory, budget.files) == (5, 5, 0)
    body.close()
    body.close()
    assert budget.in_memory == 0


@pytest.mark.parametrize("expected", [0, 3_000_000], ids=["chunked", "announced"])
def test_a_body_is_in_memory_once(expected: int) -> None:
    piece = bytes(range(256)) * 12
    with traced() as peak:
        body = RequestBody(BufferBudget(), expected=expected)
        for _ in range(3_000_000 // len(piece)):
            body.write(piece)
        rest = bytes(3_000_000 % len(piece))
        body.write(rest)
        content = body.open().read()
        body.close()

    assert len(content) == 3_000_000
    assert content[: len(piece)] == piece
    # A buffer that grows is an eighth too long at most.
    assert peak() < 3_500_000


def test_a_body_that_was_only_announced_takes_no_memory() -> None:
    with traced() as peak:
        RequestBody(BufferBudget(), expected=3_000_000)

    assert peak() < 10_000


def test_a_body_that_is_empty_can_be_opened() -> None:
    assert RequestBody(BufferBudget(), expected=5).open().read() == b""


def test_a_body_in_a_file_is_counted_until_it_is_closed(tmp_path: Path) -> None:
    budget = BufferBudget()
    with (tmp_path / "body").open("w+b") as file:
        body = RequestBody(budget, file=file)
        body.write(b"hello")

        assert body.open().read() == b"hello"
        assert (budget.in_memory, budget.on_disk, budget.files) == (0, 5, 1)
        body.close()
        assert file.closed
    assert (budget.on_disk, budget.files) == (0, 0)


@pytest.mark.parametrize(("device", "error"), [("/dev/full", StorageFull), ("/dev/null", BatchesUnavailable)])
def test_a_file_that_cannot_be_written_is_an_error(device: str, error: type[Exception]) -> None:
    budget = BufferBudget()
    with Path(device).open("wb" if device == "/dev/full" else "rb") as file:
        body = RequestBody(budget, file=file)

        with pytest.raises(error):
            body.write(b"hello")

        body.close()
    assert (budget.on_disk, budget.files) == (0, 0)
