"""The store in the memory of a worker keeps to its limits of bytes and time."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

from tests.runtime.cache.caching import Clock
from visage.runtime.cache_stores import ENTRY_BYTES, MemoryStore


def test_the_memory_store_never_exceeds_its_byte_limit() -> None:
    random = Random(1)
    store = MemoryStore(100_000, 3600)

    for _ in range(2000):
        store.set(f"key{random.randrange(300)}", bytes(random.choice((0, 10, 1000, 30_000, 99_999, 200_000))))
        assert 0 <= store.used_bytes <= 100_000

    found = [store.get(f"key{number}") for number in range(300)]
    assert store.used_bytes == sum(len(each) + ENTRY_BYTES for each in found if each is not None)


def test_the_counted_bytes_are_at_least_the_allocated_memory() -> None:
    # In a separate process, where nothing else allocates memory.
    code = (
        "import tracemalloc; from visage.runtime.cache_stores import MemoryStore; store = MemoryStore(4_000_000, 3600);"
        "tracemalloc.start(); [store.set(f'{number:064x}', bytes(number % 3000)) for number in range(30_000)];"
        "print(store.used_bytes, tracemalloc.get_traced_memory()[0])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    counted, allocated = map(int, printed.split())
    assert 0.7 * counted < allocated <= counted <= 4_000_000


def test_the_least_recently_used_content_is_evicted_first() -> None:
    store = MemoryStore(3 * (1000 + ENTRY_BYTES), 3600)
    for key in ("first", "second", "third"):
        store.set(key, bytes(1000))
    store.get("first")

    store.set("fourth", bytes(1000))

    assert store.get("second") is None
    assert None not in {store.get(key) for key in ("first", "third", "fourth")}


def test_a_content_larger_than_the_store_evicts_nothing() -> None:
    store = MemoryStore(2000, 3600)
    store.set("small", b"content")

    store.set("large", bytes(2000))

    assert store.get("large") is None
    assert store.get("small") == b"content"


def test_a_replaced_content_counts_once() -> None:
    store = MemoryStore(10_000, 3600)
    for size in (100, 300, 200):
        store.set("key", bytes(size))

    assert store.get("key") == bytes(200)
    assert store.used_bytes == 200 + ENTRY_BYTES


def test_a_content_expires_and_frees_its_memory_even_if_it_is_used() -> None:
    clock = Clock()
    store = MemoryStore(10_000, 60, clock)
    store.set("old", b"content")
    clock.now = 30
    store.set("new", b"content")
    clock.now = 59.9
    assert store.get("old") == b"content"

    clock.now = 60

    assert store.get("new") == b"content"
    assert store.used_bytes == len(b"content") + ENTRY_BYTES
    assert store.get("old") is None


def test_expired_contents_are_evicted_before_fresh_ones() -> None:
    clock = Clock()
    store = MemoryStore(2 * (1000 + ENTRY_BYTES), 60, clock)
    store.set("old", bytes(1000))
    clock.now = 30
    store.set("fresh", bytes(1000))
    store.get("old")
    clock.now = 60

    store.set("new", bytes(1000))

    assert [store.get(key) is not None for key in ("old", "fresh", "new")] == [False, True, True]


def test_the_memory_store_is_used_by_one_thread_at_a_time() -> None:
    inside = most = 0

    def clock() -> float:
        """Called during every operation. It gives other threads time to interfere."""
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1
        return 0

    store = MemoryStore(4000, 3600, clock)

    def use(seed: int) -> None:
        random = Random(seed)
        for _ in range(20):
            key = f"key{random.randrange(8)}"
            if store.get(key) is None:
                store.set(key, bytes(random.randrange(1000)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))

    assert most == 1
    kept = [store.get(f"key{number}") for number in range(8)]
    assert store.used_bytes == sum(len(each) + ENTRY_BYTES for each in kept if each is not None) <= 4000
