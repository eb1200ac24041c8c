"""A file is cut at record boundaries into chunks; one chunk in, one result out. Nothing is shared between chunks.

A chunk is small enough for memory, carries all that its check needs, and may be checked anywhere: in this process, in
another one, on another machine. What comes out doesn't depend on where the file was cut.
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.kernel import rehearsal
from assay.kernel.arrays import int64_array
from assay.kernel.columns import (
    Accepted,
    Rejected,
    accepted_arrow_schema,
    accepted_from_values,
    merged,
    rejections_table,
)
from assay.kernel.doubts import judge_doubts, judge_torn
from assay.kernel.files import (
    SCAN_BYTES,
    SNIFFED_BYTES,
    FileFault,
    ReadRange,
    check_first_lines,
    check_header,
    is_blank,
    line_end_length,
    read_header,
    record_end,
    text_offset,
)
from assay.kernel.formats import FORMATS
from assay.kernel.framing import IN_QUOTES, Frames, Framing, Offsets
from assay.kernel.identity import Ids, content_hashes, datapoint_ids, ids_to_arrow
from assay.kernel.judge import Judge
from assay.rejections import RAW_FIELD, Fault, fault
from assay.schema import DatasetSchema

__all__ = ["Chunk", "ChunkResult", "ChunkTask", "FileFault", "ReadRange", "check_chunk", "plan_chunks"]

DEFAULT_CHUNK_BYTES = 12 * 1024 * 1024
DEFAULT_RECORD_LIMIT_BYTES = 16 * 1024 * 1024
MAX_FIRST_FAULTS = 1000
MAX_CELLS = 2**20

# What the fast pass must have to do to be worth its millisecond a chunk, and its half second to load in a process.
FAST_PASS = "assay.kernel.fast_pass"
FAST_BYTES = 64 * 1024
FAST_BYTES_TO_LOAD = 4 * 1024 * 1024


@dataclass(frozen=True)
class Chunk:
    """A byte range of the upload that begins and ends with whole records.

    A record past the limit has a chunk of its own with nothing to read: `length` is 0 and `skipped_bytes` is its
    length, line end included. `line_ends`, if known, are where its lines end, from its start.
    """

    index: int
    offset: int
    length: int
    first_record_index: int
    header: tuple[str, ...] | None
    record_count: int
    skipped_bytes: int = 0
    skipped_line_end_bytes: int = 0
    line_ends: Offsets | None = field(default=None, compare=False, repr=False)

    @property
    def end(self) -> int:
        return self.offset + self.length + self.skipped_bytes


@dataclass(frozen=True)
class ChunkTask:
    chunk: Chunk
    format: str
    schema: DatasetSchema
    dataset_id: UUID
    record_limit_bytes: int = DEFAULT_RECORD_LIMIT_BYTES


@dataclass
class ChunkResult:
    """`ids` are those of `table`, in order. `rejections` has every fault; `first_faults` the first one of each rejected
    record as (record index, field, reason), of at most 1,000 records."""

    record_count: int
    accepted_count: int
    rejected_count: int
    ids: Ids
    table: pa.Table
    rejections: pa.Table
    first_faults: list[tuple[int, str, str]]


def plan_chunks(
    read: ReadRange,
    *,
    size_bytes: int,
    format: str,
    schema: DatasetSchema,
    chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    record_limit_bytes: int = DEFAULT_RECORD_LIMIT_BYTES,
    block_bytes: int = SCAN_BYTES,
    is_known: bool = False,
) -> Iterator[Chunk]:
    """The file's chunks, in order, read no further than they are asked for, a block at a time. Raises `FileFault`,
    perhaps late: a quote that is never closed shows only at the end. A file that `is_known` was imported before, maybe
    by an earlier release and under another schema: whether it suits this one is not asked."""
    framing = FORMATS[format].framing
    header, offset = beginning(read, size_bytes, format, record_limit_bytes, None if is_known else schema)
    # Bounds what a chunk of very short records, or of blank lines, takes in memory once it is taken apart.
    most_lines = max(1, MAX_CELLS // max(1, len(schema.fields)))  # whoever looks for the records alone names none
    block_bytes = min(block_bytes, chunk_bytes)
    chunk, lines, line_ends = Chunk(0, offset, 0, 0, header, 0), 0, list[Offsets]()
    while chunk.end < size_bytes:
        block = read(chunk.end, block_bytes)
        is_last = chunk.end + len(block) >= size_bytes
        at = 0
        while len(ends := _ends(block, at, framing, is_last, most_lines - lines)):
            fitting = ends[: np.searchsorted(ends, at + chunk_bytes - chunk.length, side="right")]
            if len(fitting):
                records = framing.count(block, at, fitting)
                line_ends.append(fitting + (chunk.length - at))
                end = int(fitting[-1])
                chunk, lines, at = _longer(chunk, end - at, records), lines + len(fitting), end
            if len(fitting) == len(ends) and lines < most_lines:
                break
            yield from _with_records(chunk, line_ends)
            chunk, lines = _next(chunk), 0
        if at == 0 and not is_last and block_bytes < chunk_bytes:
            block_bytes = min(2 * block_bytes, chunk_bytes)
        elif at == 0:
            yield from _with_records(chunk, line_ends)
            scan_bytes = min(chunk_bytes, SCAN_BYTES)
            chunk = _long_record(read, _next(chunk), framing, block_bytes=scan_bytes, limit=record_limit_bytes)
            yield from _with_records(chunk, line_ends)
            chunk, lines = _next(chunk), 0
    yield from _with_records(chunk, line_ends)
    if chunk.first_record_index + chunk.record_count == 0:
        raise FileFault("The file has no records.")


def beginning(
    read: ReadRange, size_bytes: int, format: str, record_limit_bytes: int, schema: DatasetSchema | None
) -> tuple[tuple[str, ...] | None, int]:
    """The header's names, where there is one, and where the records begin; both as the schema asks, if there is one."""
    if FORMATS[format].has_header:
        header = read_header(read, size_bytes=size_bytes, record_limit_bytes=record_limit_bytes)
        if schema is not None:
            check_header(header.names, schema)
        return header.names, header.end
    offset = text_offset(read, size_bytes)
    if schema is not None:
        keys = [field.key for field in schema.fields]
        check_first_lines(read(offset, SNIFFED_BYTES), is_whole=offset + SNIFFED_BYTES >= size_bytes, keys=keys)
    return None, offset


def _longer(chunk: Chunk, length: int, record_count: int) -> Chunk:
    return replace(chunk, length=chunk.length + length, record_count=chunk.record_count + record_count)


def _next(chunk: Chunk) -> Chunk:
    """An empty one behind it."""
    return Chunk(
        index=chunk.index + (chunk.record_count > 0),
        offset=chunk.end,
        length=0,
        first_record_index=chunk.first_record_index + chunk.record_count,
        header=chunk.header,
        record_count=0,
    )


def _with_records(chunk: Chunk, line_ends: list[Offsets]) -> Iterator[Chunk]:
    """The chunk with where its lines end, if these were found, and if there are records."""
    if chunk.record_count:
        yield replace(chunk, line_ends=np.concatenate(line_ends)) if line_ends else chunk
    line_ends.clear()


def _ends(window: bytes, start: int, framing: Framing, is_last: bool, most_lines: int) -> Offsets:
    """The ends of whole records, from `start` in the window, of at most `most_lines` lines."""
    ends = framing.ends(window, start, most_lines)
    rest = int(ends[-1]) if len(ends) else start
    if is_last and rest < len(window) and len(ends) < most_lines and framing.end(window, rest)[1] != IN_QUOTES:
        return np.append(ends, len(window))
    return ends


def _long_record(read: ReadRange, chunk: Chunk, framing: Framing, *, block_bytes: int, limit: int) -> Chunk:
    """The empty chunk with a single record that is longer than a chunk should be, or that never ends."""
    end, in_quotes = record_end(read, chunk.offset, framing, block_bytes=block_bytes)
    if in_quotes:
        raise FileFault(
            f"Record {chunk.first_record_index}, at byte {chunk.offset}, has a quote that is never "
            "closed, so where it ends can't be told. Close the quote and try again."
        )
    if end == chunk.offset:
        raise EOFError(f"The file ends at byte {end}, before its size.")
    length, line_end = end - chunk.offset, line_end_length(read, end)
    if length - line_end <= limit:
        return _longer(chunk, length, len(framing.frames(read(chunk.offset, length))))
    skipping = _longer(chunk, 0, 0 if is_blank(read, chunk.offset, end, framing) else 1)
    return replace(skipping, skipped_bytes=length, skipped_line_end_bytes=line_end)


def check_chunk(data: bytes | memoryview, task: ChunkTask) -> ChunkResult:
    """Judges every record of the chunk; `data` are its `length` bytes at its `offset`."""
    chunk = task.chunk
    format = FORMATS[task.format]
    data = data if isinstance(data, bytes) else bytes(data)
    if chunk.skipped_bytes:
        length = np.array([chunk.skipped_bytes - chunk.skipped_line_end_bytes])
        frames = Frames(np.zeros_like(length), length, np.zeros_like(length), length)
    elif chunk.line_ends is not None:
        frames = format.framing.lines(data, 0, chunk.line_ends)
    else:
        frames = format.framing.frames(data)
    lengths = frames.stops - frames.starts
    too_long = np.flatnonzero(lengths > task.record_limit_bytes)
    faults = [_too_long(int(lengths[row]), task.record_limit_bytes) for row in too_long]
    recognised, refused_at_once, rest = _recognised(data, frames, task, lengths <= task.record_limit_bytes)
    judge = format.judge(task.schema, chunk.header or ())
    accepted, refused = judge_exactly(data, frames, rest, judge, task.schema)
    rejected = _in_record_order([refused, *refused_at_once, Rejected(too_long, faults)])
    return _result(data, frames, task, merged([accepted, recognised]), rejected)


def _too_long(length: int, limit: int) -> Fault:
    return fault(RAW_FIELD, "record_too_long", found=length, limit=limit)


def _fast_pass(size_bytes: int) -> Any:
    """The module of the fast pass if so many bytes pay for it; None where the exact one alone is quicker."""
    if FAST_PASS not in sys.modules and (size_bytes < FAST_BYTES_TO_LOAD or rehearsal.is_under_way()):
        return None
    return importlib.import_module(FAST_PASS) if size_bytes >= FAST_BYTES else None


def _recognised(
    data: bytes, frames: Frames, task: ChunkTask, readable: NDArray[np.bool_]
) -> tuple[Accepted, list[Rejected], Offsets]:
    """What the fast pass accepts of the readable records, what is rejected by what it tells of them, and which are left
    for the exact pass to read."""
    fast_pass = _fast_pass(len(data))
    if fast_pass is None:
        return Accepted(np.empty(0, np.int64), []), [], np.flatnonzero(readable)
    header = task.chunk.header or ()
    accepted, doubts = fast_pass.recognise(data, frames, task.format, schema=task.schema, header=header, among=readable)
    format = FORMATS[task.format]
    rejected = [
        judge_doubts(data, doubts, format.field_judges(task.schema), format.value_of),
        judge_torn(doubts, lambda found: format.torn(found, header)),
    ]
    left = readable.copy()
    for part in (accepted, *rejected):
        left[part.rows] = False
    return accepted, rejected, np.flatnonzero(left)


def judge_exactly(
    data: bytes, frames: Frames, rows: Offsets, judge: Judge, schema: DatasetSchema
) -> tuple[Accepted, Rejected]:
    """Judges the records of these rows one by one."""
    starts, stops = frames.starts[rows].tolist(), frames.stops[rows].tolist()
    accepted_rows, records = [], []
    faulty_rows: list[int] = []
    faults: list[Fault] = []
    for row, start, stop in zip(rows.tolist(), starts, stops, strict=True):
        values, found = judge(data[start:stop])
        if found:
            faulty_rows += [row] * len(found)
            faults += found
        else:
            accepted_rows.append(row)
            records.append(values)
    return accepted_from_values(schema, accepted_rows, records), Rejected(np.array(faulty_rows, np.int64), faults)


def _in_record_order(parts: list[Rejected]) -> Rejected:
    """As one. All faults of a record are in the same part."""
    filled = [part for part in parts if len(part.rows)]
    if len(filled) < 2:
        return filled[0] if filled else parts[0]
    rows = np.concatenate([part.rows for part in filled])
    order = np.argsort(rows, kind="stable")
    faults = [fault for part in filled for fault in part.faults]
    return Rejected(rows[order], [faults[at] for at in order.tolist()])


def _result(data: bytes, frames: Frames, task: ChunkTask, accepted: Accepted, rejected: Rejected) -> ChunkResult:
    first = task.chunk.first_record_index
    rows = accepted.rows
    fast_pass = _fast_pass(len(data))
    hash_all = content_hashes if fast_pass is None else fast_pass.content_hashes
    hashes = hash_all(data, frames.content_starts[rows], frames.content_stops[rows])
    ids = datapoint_ids(hashes, task.dataset_id, task.chunk.header)
    table = pa.Table.from_arrays(
        [ids_to_arrow(ids), int64_array(rows + first), *accepted.columns], schema=accepted_arrow_schema(task.schema)
    )
    rejections = rejections_table(
        rejected, first_record_index=first, byte_offset=task.chunk.offset, starts=frames.starts, stops=frames.stops
    )
    rejected_rows, first_at = np.unique(rejected.rows, return_index=True)
    shown = zip(rejected_rows[:MAX_FIRST_FAULTS].tolist(), first_at[:MAX_FIRST_FAULTS].tolist(), strict=True)
    return ChunkResult(
        record_count=len(frames),
        accepted_count=len(rows),
        rejected_count=len(rejected_rows),
        ids=ids,
        table=table,
        rejections=rejections,
        first_faults=[(row + first, rejected.faults[at].field, rejected.faults[at].reason) for row, at in shown],
    )
