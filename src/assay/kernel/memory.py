"""How a process that checks chunk after chunk holds its memory. No bytes are looked at here."""

import ctypes

KEPT_BYTES = 256 * 1024 * 1024

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Lets the C library use the memory of one chunk again for the next.

    By default glibc gives large blocks back to the system at once and asks for them anew, and the system clears each
    page first: a tenth of the time that a chunk takes. Other C libraries have no such switch and are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
