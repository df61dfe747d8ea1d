"""How glibc, or jemalloc in its place, keeps memory for photos and nets; of others nothing is asked."""

import contextlib
import ctypes

# The largest block that is kept, in bytes: what compact's face net is fed of a tile of 680 pixels has 5.5 million. With
# 4 MB every tile met fresh memory, a tenth of the time of closer looks (benchmarks/README.md).
_KEPT = 5_600_000

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

# All arenas are purged by the number that stands for them, MALLCTL_ARENAS_ALL in jemalloc.h.
_PURGE = b"arena.4096.purge"


def tune_allocator() -> None:
    """Have the C library serve all threads from one heap, and give large blocks back when they are freed.

    glibc gives a new thread a heap of its own, up to eight a core: the first photo of every thread then paid for fresh
    memory, and every heap kept its share. And it comes to keep freed blocks of up to 32 MB, which is what photos and
    nets use (figures of both in benchmarks/README.md).
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _KEPT)
        library.mallopt(_M_TRIM_THRESHOLD, 2**24)


def release_memory() -> None:
    """Give back what is free."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        if hasattr(library, "mallctl"):
            library.mallctl(_PURGE, None, None, None, ctypes.c_size_t(0))
        else:
            library.malloc_trim(0)
