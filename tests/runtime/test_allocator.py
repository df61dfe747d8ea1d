"""Memory that is free goes back to the system, by whatever keeps it."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from visage.runtime.allocator import release_memory


@pytest.mark.parametrize(
    ("name", "asked"), [("malloc_trim", (0,)), ("mallctl", (b"arena.4096.purge", None, None, None))]
)
def test_the_allocator_that_there_is_gives_back_what_is_free(
    monkeypatch: pytest.MonkeyPatch, name: str, asked: tuple[object, ...]
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(**{name: lambda *given: calls.append(given)}))

    release_memory()

    assert [call[: len(asked)] for call in calls] == [asked]


def test_an_allocator_that_gives_back_by_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())

    release_memory()
