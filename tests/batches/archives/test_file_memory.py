"""Large files of archives that are read at the same time share a budget of memory."""

import io
import threading
from contextlib import ExitStack

from tests.batches.archives.support import LIMITS, packed
from tests.support.memory import peak_bytes
from visage.batches.archive_directory import FILE_BUDGET
from visage.batches.archives import read_archive

SETUP = """
import io, threading, time
from visage.batches.archives import ArchiveLimits, read_archive
from visage.runtime.allocator import tune_allocator

# As in the service: large blocks are returned at once.
tune_allocator()
limits = ArchiveLimits(files=10, file_bytes=2**26, total_bytes=2**30)

def read():
    for file in read_archive(io.BytesIO(data), limits):
        assert len(file.content) == 30_000_000
        time.sleep(0.1)
        del file
"""

TEN_AT_ONCE = """
threads = [threading.Thread(target=read) for _ in range(10)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_the_files_of_ten_archives_stay_within_the_budget() -> None:
    noise = bytes(range(256)) * 120_000
    data = packed({"a.bmp": noise[:30_000_000], "b.bmp": noise[-30_000_000:]}, method=0)

    peak = peak_bytes(SETUP, TEN_AT_ONCE, data)

    # The budget, and what the allocator keeps. Without the budget they take 300 MB.
    assert peak < 200_000_000


def test_small_files_are_read_beside_a_large_one() -> None:
    with FILE_BUDGET.reserve(2**27 - 1000):
        files = [file.name for file in read_archive(io.BytesIO(packed({"a.png": b"x", "b.png": b"y"})), LIMITS)]

    assert files == ["a.png", "b.png"]


def test_a_large_file_waits_until_the_budget_has_room() -> None:
    done = threading.Event()

    def read() -> None:
        list(read_archive(io.BytesIO(packed({"a.png": bytes(range(256)) * 10})), LIMITS))
        done.set()

    with ExitStack() as others:
        others.enter_context(FILE_BUDGET.reserve(2**27 - 1000))
        thread = threading.Thread(target=read)
        thread.start()
        assert not done.wait(0.1)
    thread.join(10)

    assert done.is_set()
