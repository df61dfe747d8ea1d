"""Settings of the memory allocator: glibc's, or jemalloc where it is preloaded. Others are left as they are."""

import contextlib
import ctypes

# The largest block that the allocator keeps, in bytes: the first layer of compact's detector has 9.8 million in the
# pass of `detail=auto` at 1.5 times the base scale, and more in tiles (docs/decisions.md, Memory).
_LARGEST_KEPT_BLOCK = 10_000_000

# Free memory at the end of the heap above which glibc returns it, in bytes: what the layers of that pass take. With
# half of it each such pass got fresh memory, a quarter of its time (docs/decisions.md, Memory).
_LARGEST_FREE_TAIL = 72_000_000

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

# MALLCTL_ARENAS_ALL (4096) in jemalloc.h addresses all arenas.
_PURGE_ALL_ARENAS = b"arena.4096.purge"


def tune_allocator() -> None:
    """Make glibc use one arena for all threads, and return large blocks as soon as they are freed.

    By default glibc has up to eight arenas per core: the first photo of each thread gets fresh memory, and each arena
    keeps its share. It also learns to keep freed blocks of up to 32 MB, the size of photos and layer outputs. Figures
    are in docs/decisions.md, Memory.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_FREE_TAIL)


def release_memory() -> None:
    """Return free memory to the system."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        if hasattr(library, "mallctl"):
            library.mallctl(_PURGE_ALL_ARENAS, None, None, None, ctypes.c_size_t(0))
        else:
            library.malloc_trim(0)
