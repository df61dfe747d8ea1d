"""Archives with long directories do not take more memory than their budget, however many arrive at once."""

import io
import threading
from contextlib import ExitStack

import pytest

from tests.batches.archives.support import LIMITS, contents, end, local_header, read, record
from tests.support.memory import peak_bytes
from visage.batches.archive_directory import DIRECTORY_BUDGET, MemoryBudget
from visage.batches.archives import read_archive
from visage.errors import ArchiveTooLarge

SETUP = """
import io, threading
from visage.batches.archives import ArchiveLimits, read_archive

limits = ArchiveLimits(files=10_000, file_bytes=1000, total_bytes=1000)
"""

TEN_AT_ONCE = """
threads = [threading.Thread(target=lambda: list(read_archive(io.BytesIO(data), limits))) for _ in range(10)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def archive_of_names(count: int, name: bytes) -> bytes:
    """An archive of `count` empty files, whose names in the directory begin with six digits."""
    file = local_header(b"x", b"\3\0", b"") + b"\3\0"
    listed = b"".join(record(name + b"%06d" % each, b"\3\0", b"", each * len(file)) for each in range(count))
    return file * count + listed + end(count, len(listed), len(file) * count)


def test_ten_archives_with_long_directories_stay_within_the_budget() -> None:
    # System files are skipped, so the archive has no files.
    data = archive_of_names(40_900, b"__MACOSX/" + "😀".encode() + 80 * b"n")
    assert contents(data) == {}

    peak = peak_bytes(SETUP, TEN_AT_ONCE, data)

    # Each thread has its own heap, which keeps a part of what was freed. Without the budget they take 400 MB.
    assert peak < 200_000_000


def test_a_directory_with_very_long_names_is_rejected() -> None:
    with pytest.raises(ArchiveTooLarge, match="send at most 20000, with shorter names"):
        read(archive_of_names(12_000, b"__MACOSX/" + 960 * b"n"))


def test_ten_thousand_files_in_deep_folders_are_read() -> None:
    assert len(read(archive_of_names(10_000, 10 * b"a folder of photos/"))) == 10_000


def test_an_archive_waits_until_the_budget_has_room() -> None:
    budget, second_entered = MemoryBudget(100), threading.Event()

    def second() -> None:
        with budget.reserve(50):
            second_entered.set()

    with ExitStack() as first:
        first.enter_context(budget.reserve(60))
        thread = threading.Thread(target=second)
        thread.start()
        assert not second_entered.wait(0.1)
    thread.join(10)

    assert second_entered.is_set()


def test_an_archive_that_needs_more_than_the_budget_is_read_alone() -> None:
    with MemoryBudget(100).reserve(1000):
        pass


def test_an_iterator_that_is_dropped_frees_its_part_of_the_budget() -> None:
    files = read_archive(io.BytesIO(archive_of_names(3, b"")), LIMITS)
    next(files)
    del files

    with DIRECTORY_BUDGET.reserve(80_000_000):
        pass
