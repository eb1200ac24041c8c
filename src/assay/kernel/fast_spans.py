"""What a walk over records leaves behind: where each value stands, of what kind it is, and whom to trust."""

import mmap
import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.kernel.fast_bytes import Bytes, as_integer, copy_bytes
from assay.kernel.fast_compile import compiled, inlined

# The kind of a value: absent (or null), what JSON tells apart, and a CSV cell, which may be any of them.
ABSENT, STRING, NUMBER, BOOLEAN, CONTAINER, CELL = range(6)

# A row's status: vouched for; for the exact pass to judge.
CLEAR, SUSPECT = range(2)


Numbers = NDArray[np.int64]
Words = NDArray[np.uint64]


class Spans(NamedTuple):
    """The arrays over [row, field] and [row]. A start at or past the size of the data lies in `side`."""

    starts: NDArray[np.int32]
    lengths: NDArray[np.int32]
    kinds: Bytes
    status: Bytes
    torn: Numbers  # [row]: as `Doubts` has it, of a record of which that is sure; else 0
    side: Bytes  # values that don't stand in the data as they are, escapes and doubled quotes undone: in `side_memory`
    side_view: Bytes  # the same memory, read-only, as the data are
    side_used: Numbers  # [0]


def new_spans(rows: int, fields: int, side_bytes: int) -> Spans:
    side = side_memory(side_bytes)
    side_view = side.view()
    side_view.flags.writeable = False
    return Spans(
        starts=np.empty((rows, fields), np.int32),
        lengths=np.empty((rows, fields), np.int32),
        kinds=np.empty((rows, fields), np.uint8),
        status=np.empty(rows, np.uint8),
        torn=np.empty(rows, np.int64),
        side=side,
        side_view=side_view,
        side_used=np.zeros(1, np.int64),
    )


_kept = threading.local()


def side_memory(size: int) -> Bytes:
    """At least so many bytes, at least 1, and the same ones at this thread's next call: for one chunk at a time."""
    if not hasattr(_kept, "side") or len(_kept.side) < size:
        _kept.side = _fresh_bytes(size)
    side: Bytes = _kept.side
    return side


def _fresh_bytes(size: int) -> Bytes:
    """Memory of its own from the system, so that what is never written to costs nothing."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    return np.frombuffer(mmap.mmap(-1, size, **private), np.uint8)


@inlined
def source_of(data: Bytes, spans: Spans, row: int, field: int) -> tuple[Bytes, int, int]:
    """(the array where a value stands, its first position there, the position after it)."""
    start = as_integer(spans.starts[row, field])
    length = as_integer(spans.lengths[row, field])
    if start >= data.size:
        return spans.side_view, start - data.size, start - data.size + length
    return data, start, start + length


@inlined
def note(spans: Spans, row: int, field: int, start: int, length: int, kind: int) -> None:
    spans.starts[row, field] = start
    spans.lengths[row, field] = length
    spans.kinds[row, field] = kind


@compiled
def measure(spans: Spans, rows: Numbers, fields: Numbers, offsets: NDArray[np.int32]) -> None:
    """Fills the Arrow offsets, [column, row], of the chosen rows of some fields' texts."""
    for column in range(fields.size):
        total = 0
        for at in range(rows.size):
            offsets[column, at] = total
            if spans.kinds[rows[at], fields[column]] != ABSENT:
                total += spans.lengths[rows[at], fields[column]]
        offsets[column, rows.size] = total


@compiled
def gather(
    data: Bytes,
    spans: Spans,
    rows: Numbers,
    fields: Numbers,
    offsets: NDArray[np.int32],
    firsts: Numbers,
    target: Bytes,
) -> None:
    """Copies the texts of the chosen rows to where each column begins, `firsts`; row by row, as the data lie."""
    for at in range(rows.size):
        for column in range(fields.size):
            if spans.kinds[rows[at], fields[column]] != ABSENT:
                source, start, end = source_of(data, spans, rows[at], fields[column])
                copy_bytes(target, firsts[column] + offsets[column, at], source, start, end - start)
