"""The progress bar shows how much of each file is stored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import pytest

from tests.packs.file_server import Server, without_ranges
from tests.packs.manifest import CONTENTS, HELLO, Fetch, fill
from visage.packs.pack import Pack


@dataclass
class Bar:
    """Records what a progress bar would show. It has the interface of `tqdm`."""

    name: str
    total: int | None
    count: int
    updates: list[int] = field(default_factory=list)
    closed: bool = False

    def update(self, count: int) -> None:
        self.count += count
        self.updates.append(count)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True


@pytest.fixture
def bars() -> list[Bar]:
    return []


@pytest.fixture
def new_bar(bars: list[Bar]) -> Callable[[str, int | None, int], Bar]:
    def make(name: str, total: int | None, initial: int) -> Bar:
        bars.append(Bar(name, total, initial))
        return bars[-1]

    return make


def test_progress_covers_each_file_from_zero_to_its_size(
    fetch: Fetch, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fetch(progress=new_bar)

    assert {bar.name: (bar.count, bar.total, bar.closed) for bar in bars} == {
        name: (len(content), len(content), True) for name, content in CONTENTS.items()
    }


def test_progress_starts_at_the_size_of_the_partial_file(
    fetch: Fetch, pack: Pack, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fill(pack.folder, without="age.net")
    pack.folder.joinpath("age.net.part").write_bytes(HELLO[:2])

    fetch(progress=new_bar)

    assert [(bar.count, bar.updates) for bar in bars] == [(6, [4])]


def test_progress_goes_back_when_a_download_starts_again(
    fetch: Fetch, pack: Pack, server: Server, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fill(pack.folder, without="age.net")
    pack.folder.joinpath("age.net.part").write_bytes(HELLO[:2])
    server.responses.append(without_ranges)

    fetch(progress=new_bar)

    assert [(bar.count, bar.updates) for bar in bars] == [(6, [-2, 6])]
