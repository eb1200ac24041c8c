"""How a process that checks chunk after chunk, or holds their ids, deals with memory. No bytes are looked at here."""

import ctypes

import pyarrow as pa

KEPT_BYTES = 32 * 1024 * 1024  # the most that the C library takes, for one block
KEPT_AT_END_BYTES = 64 * 1024 * 1024  # what a chunk takes and frees at the end of the heap, again and again
# More than a block of a mebibyte, of an upload that comes in or a file that the planner reads, and what is made of it.
RETURNED_BYTES = 1536 * 1024

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Lets the C library use the memory of one chunk again for the next.

    By default glibc gives large blocks back to the system at once and asks for them anew, and the system clears each
    page first: a fifth of the time that a chunk takes. Other C libraries have no such switch and are left alone. Arrow
    is told to take its memory from the C library too: two stores of freed memory hold more than one.
    """
    _set_thresholds(mapped=KEPT_BYTES, trimmed=KEPT_AT_END_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())


def return_freed_memory() -> None:
    """For a process that holds much for long, in blocks that grow: what it frees goes back to the system at once.

    By default glibc raises the size from which it does so with each large block that is freed, and keeps the gaps.
    Blocks that come and go all the time are below that size: to clear new pages for each of them took most of the time
    of an upload.
    """
    _set_thresholds(mapped=RETURNED_BYTES, trimmed=4 * RETURNED_BYTES)


def _set_thresholds(*, mapped: int, trimmed: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, mapped)
        mallopt(_M_TRIM_THRESHOLD, trimmed)
