"""Free memory is returned to the system by the allocator that is in use."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from visage.runtime.allocator import release_memory


@pytest.mark.parametrize(
    ("name", "expected"), [("malloc_trim", (0,)), ("mallctl", (b"arena.4096.purge", None, None, None))]
)
def test_the_allocator_in_use_is_asked_to_release_free_memory(
    monkeypatch: pytest.MonkeyPatch, name: str, expected: tuple[object, ...]
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(**{name: lambda *args: calls.append(args)}))

    release_memory()

    assert [call[: len(expected)] for call in calls] == [expected]


def test_an_allocator_without_such_a_function_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())

    release_memory()
