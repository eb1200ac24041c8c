"""The records of a file that a schema is inferred from: all of them, or some of everywhere. Each as its values."""

from collections.abc import Iterator
from typing import Any

from assay.kernel.chunks import DEFAULT_RECORD_LIMIT_BYTES, Chunk, plan_chunks
from assay.kernel.csv import split_cells
from assay.kernel.files import FileFault, ReadRange, check_separator
from assay.kernel.formats import FORMATS
from assay.kernel.jsonl import read_members
from assay.rejections import Fault
from assay.schema import DatasetSchema

SAMPLE_BYTES = 1024 * 1024
BLOCK_BYTES = 4 * 1024 * 1024
SMALL_BYTES = 4 * 1024 * 1024  # all of which is looked at in about two seconds
PLACES = 8
PLACE_BYTES = 64 * 1024
START_BYTES = DEFAULT_RECORD_LIMIT_BYTES + BLOCK_BYTES  # as far as a sample ever goes

SEPARATED_RECORDS = 20  # that show whether what stands in the header's one name separates names

Values = dict[str, Any]
Raw = Values | Fault

EMPTY = Fault("_raw", "required", "it has nothing but empty cells")
"""A CSV record as spreadsheets leave at the end of a table: that it lacks a field says nothing of the others."""

_ANY = DatasetSchema(strict=False, fields=())
"""Asks for nothing, so any file can be planned with it."""


def pieces_of(read: ReadRange, *, size_bytes: int, format: str, whole: bool) -> Iterator[tuple[int, list[Raw]]]:
    """The records piece by piece, each piece with its size: of the whole file, or of its start and some places behind
    it up to its end, since a file may be sorted. A small file is always whole."""
    whole = whole or size_bytes <= SMALL_BYTES
    header: tuple[str, ...] | None = None
    end = 0
    for chunk, data in _from_start(read if whole else _start_only(read), size_bytes, format, whole):
        records = _framed(data, format)
        if not end and chunk.header is not None:
            check_separator(chunk.header, records[:SEPARATED_RECORDS])
        header, end = chunk.header, chunk.end
        yield len(data), [_values(record, header) for record in records]
    if whole:
        return
    step = (size_bytes - end) // PLACES
    for place in range(1, PLACES + 1):
        offset = max(end, end + place * step - PLACE_BYTES)
        data = read(offset, PLACE_BYTES if place < PLACES else size_bytes - offset)
        yield len(data), _realigned(data, format, header, is_last=place == PLACES)


def _from_start(read: ReadRange, size_bytes: int, format: str, whole: bool) -> Iterator[tuple[Chunk, bytes]]:
    """The file, or its start, in pieces of whole records."""
    looked_at = 0
    chunk_bytes = BLOCK_BYTES if whole else SAMPLE_BYTES
    for chunk in plan_chunks(read, size_bytes=size_bytes, format=format, schema=_ANY, chunk_bytes=chunk_bytes):
        # One that has no length is a record that is too long to be taken.
        yield chunk, read(chunk.offset, chunk.length) if chunk.length else b""
        looked_at += chunk.length
        if not whole and looked_at >= SAMPLE_BYTES // 2:
            return


def _framed(data: bytes, format: str) -> list[bytes]:
    frames = FORMATS[format].framing.frames(data)
    return [data[start:stop] for start, stop in zip(frames.starts.tolist(), frames.stops.tolist(), strict=True)]


def _realigned(data: bytes, format: str, header: tuple[str, ...] | None, *, is_last: bool) -> list[Raw]:
    """The records of a piece from the middle of a file, but for those that it cuts. Of a CSV it may begin within quotes
    or without, which is told by what makes more sense of it."""
    after = data[data.find(b"\n") + 1 :]
    readings = [_framed(after, format)]
    if header is not None and b'"' in after:
        readings.append(_framed(b'"' + after, format)[1:])
    if not is_last:
        readings = [records[:-1] for records in readings]
    found = [[_values(record, header) for record in records] for records in readings]
    return min(found, key=lambda records: sum(isinstance(record, Fault) for record in records))


def _start_only(read: ReadRange) -> ReadRange:
    """The start of a file, for a sample: whoever reads on and on finds no record there."""

    def read_start(offset: int, length: int) -> bytes:
        if offset + length > START_BYTES:
            raise FileFault(
                f"No schema can be told from the first {START_BYTES // SAMPLE_BYTES} MiB of the file: a record there "
                "is longer than records may be, or has a quote that is never closed."
            )
        return read(offset, length)

    return read_start


def _values(record: bytes, header: tuple[str, ...] | None) -> Values | Fault:
    if header is None:
        members = read_members(record)
        if isinstance(members, Fault):
            return members
        raws = ((key, bytes(raw)) for key, raw in members.items())
        return {key: None if raw == b"null" else raw for key, raw in raws}
    cells = split_cells(record)
    if isinstance(cells, Fault):
        return cells
    if len(cells) != len(header):
        return Fault("_raw", "wrong_cell_count", "a record has not as many cells as the header")
    if len(cells) > 1 and not any(cells):
        return EMPTY
    return {name: cell or None for name, cell in zip(header, cells, strict=True)}
