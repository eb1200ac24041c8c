"""Large writes to local files past the system's page cache, where the system can: see
docs/adr/0003-parts-are-written-past-the-page-cache.md."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Such a write wants its place, length and memory at whole blocks of the disk, which have 512 or 4096 bytes.
BLOCK_BYTES = 4096
PIECE_BYTES = 512 * 1024  # copied to memory that lies so, and written from a core's cache
MIN_BYTES = 256 * 1024  # below this, the page cache is as quick

_memory = threading.local()


def write_all(descriptor: int, data: Buffer) -> None:
    """Writes all of the data where the file stands, through the page cache."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_new_file(descriptor: int, data: Buffer) -> None:
    """Writes all of the data into an empty file, whole blocks past the page cache if there are many and it can be."""
    rest = memoryview(data).cast("B")
    if len(rest) >= MIN_BYTES and _set_direct(descriptor, True):
        try:
            rest = rest[_write_blocks(descriptor, rest) :]
        finally:
            _set_direct(descriptor, False)
    write_all(descriptor, rest)


def _set_direct(descriptor: int, is_direct: bool) -> bool:
    """Whether the system knows such writes, and this file system takes them."""
    flag = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | flag if is_direct else flags & ~flag)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return flag != 0


def _write_blocks(descriptor: int, data: memoryview) -> int:
    """How many bytes at the start were written so: all that fill blocks, or fewer if the disk wants larger ones."""
    piece = _aligned_memory()
    whole = len(data) // BLOCK_BYTES * BLOCK_BYTES
    done = 0
    while done < whole:
        length = min(len(piece), whole - done)
        piece[:length] = data[done : done + length]
        try:
            written = os.write(descriptor, piece[:length])
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            break
        done += written
        if written % BLOCK_BYTES:  # the disk is nearly full: the next write, through the cache, tells
            break
    return done


def _aligned_memory() -> memoryview:
    """This thread's own; a mapping begins at a page."""
    if not hasattr(_memory, "piece"):
        _memory.piece = memoryview(mmap.mmap(-1, PIECE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    piece: memoryview = _memory.piece
    return piece
