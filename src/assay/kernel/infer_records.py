"""The records of a file that a schema is inferred from: all of them, or those at its start. Each as its values."""

from collections.abc import Iterator
from typing import Any

from assay.kernel.chunks import DEFAULT_RECORD_LIMIT_BYTES, plan_chunks
from assay.kernel.csv import split_cells
from assay.kernel.files import FileFault, ReadRange, check_separator
from assay.kernel.formats import FORMATS
from assay.kernel.jsonl import read_members
from assay.rejections import Fault
from assay.schema import DatasetSchema

SAMPLE_BYTES = 1024 * 1024
BLOCK_BYTES = 4 * 1024 * 1024
START_BYTES = DEFAULT_RECORD_LIMIT_BYTES + BLOCK_BYTES  # as far as a sample ever goes

SEPARATED_RECORDS = 20  # that show whether what stands in the header's one name separates names

Values = dict[str, Any]

_ANY = DatasetSchema(strict=False, fields=())
"""Asks for nothing, so any file can be planned with it."""


def records_of(read: ReadRange, *, size_bytes: int, format: str, whole: bool) -> Iterator[Values | Fault]:
    framing = FORMATS[format].framing
    is_first = True
    for data, header in _pieces(read if whole else _start_only(read), size_bytes, format, whole):
        frames = framing.frames(data)
        bounds = list(zip(frames.starts.tolist(), frames.stops.tolist(), strict=True))
        if is_first and header is not None:
            check_separator(header, [data[start:stop] for start, stop in bounds[:SEPARATED_RECORDS]])
        is_first = False
        for start, stop in bounds:
            yield _values(data[start:stop], header)


def _pieces(
    read: ReadRange, size_bytes: int, format: str, whole: bool
) -> Iterator[tuple[bytes, tuple[str, ...] | None]]:
    """The file, or its start, in pieces of whole records."""
    looked_at = 0
    chunk_bytes = BLOCK_BYTES if whole else SAMPLE_BYTES
    for chunk in plan_chunks(read, size_bytes=size_bytes, format=format, schema=_ANY, chunk_bytes=chunk_bytes):
        if chunk.length:  # one that has none is a record that is too long to be taken
            yield read(chunk.offset, chunk.length), chunk.header
        looked_at += chunk.length
        if not whole and looked_at >= SAMPLE_BYTES // 2:
            return


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
    return {name: cell or None for name, cell in zip(header, cells, strict=True)}
