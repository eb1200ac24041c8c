"""Reads back what an import rejected: every fault, and the records themselves as they stand in the upload.

Both go through the import's rejection parts, in file order, and hold a bounded piece of them at a time.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.batches import read_batches
from assay.db.engine import Database
from assay.db.rejection_parts import list_rejection_parts
from assay.errors import Conflict, ErrorCode, Unavailable
from assay.jobs import TERMINAL, Import, RecordError, StoredParquet
from assay.kernel.files import read_header, text_offset
from assay.kernel.formats import FORMATS
from assay.kernel.normalise import NULLED
from assay.migrations import Migration, NulledValue, nulled_values
from assay.reading import PARTS_A_LOOK
from assay.storage.base import Storage

ERROR_COLUMNS = ["record_index", "field", "reason"]
BLOCK_BYTES = 4 * 1024 * 1024
GAP_BYTES = 512 * 1024  # reading over a gap of accepted records is cheaper than asking the storage once more
LF, CR = b"\n\r"

Offsets = NDArray[np.int64]
Row = TypeVar("Row")


@dataclass(frozen=True)
class ErrorPage:
    """`next_fault` is where the next page starts, or None at the end."""

    errors: list[RecordError]
    next_fault: int | None


def read_errors(db: Database, storage: Storage, job: Import, *, from_fault: int, limit: int) -> ErrorPage:
    """A page of all faults of an import's records, in file order. `Conflict` while the import has not ended."""
    check_ended(job)
    faults = read_faults(db, storage, job.id, from_fault=from_fault, columns=ERROR_COLUMNS)
    errors, has_more = _first(faults, limit, _record_errors)
    return ErrorPage(errors, next_fault=from_fault + limit if has_more else None)


def _record_errors(batch: pa.RecordBatch) -> list[RecordError]:
    return [RecordError(*row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]


def _first(
    batches: Generator[pa.RecordBatch, None, None], limit: int, rows_of: Callable[[pa.RecordBatch], list[Row]]
) -> tuple[list[Row], bool]:
    """The first rows of the batches, and whether there are more."""
    found: list[Row] = []
    with closing(batches):
        # One more than is shown tells whether there is another page.
        while len(found) <= limit and (batch := next(batches, None)) is not None:
            found += rows_of(batch.slice(0, limit + 1 - len(found)))
    return found[:limit], len(found) > limit


@dataclass(frozen=True)
class NulledPage:
    """`next_value` is where the next page starts, or None at the end."""

    values: list[NulledValue]
    next_value: int | None


def read_nulled(db: Database, storage: Storage, migration: Migration, *, from_value: int, limit: int) -> NulledPage:
    """A page of all values that a migration made null, in the dataset's order. `Conflict` until it has ended."""
    if migration.state not in TERMINAL:
        message = "The migration has not ended; what it makes null is known when it has. Poll its status."
        raise Conflict(message, code=ErrorCode.NOT_ENDED)
    faults = read_faults(db, storage, migration.id, from_fault=from_value, columns=NULLED.names)
    values, has_more = _first(faults, limit, nulled_values)
    return NulledPage(values, next_value=from_value + limit if has_more else None)


def read_rejected(
    db: Database, storage: Storage, job: Import, *, record_limit_bytes: int
) -> Generator[bytes, None, None]:
    """The rejected records, byte for byte with their line ends, after the file's byte order mark and a CSV's header.

    Where no record was rejected there is a CSV's header alone, and nothing of a file that was not taken at all.
    Raises `Conflict` while the import has not ended, and `Unavailable`, perhaps late, when the storage does.
    """
    check_ended(job)
    has_header = FORMATS[job.format].has_header
    with closing(read_faults(db, storage, job.id, from_fault=0, columns=["byte_offset", "byte_length"])) as batches:
        first = next(batches, None)
        if first is None and not (has_header and job.counts.accepted):
            return
        upload = ImportedUpload(storage, job)
        yield upload.head(has_header, record_limit_bytes=record_limit_bytes)
        last_start = -1
        for batch in () if first is None else chain([first], batches):
            starts, lengths = (np.asarray(column) for column in batch.columns)
            # A record with several faults stands in as many rows.
            is_new = np.diff(starts, prepend=last_start) != 0
            last_start = int(starts[-1])
            yield from upload.records(starts[is_new], (starts + lengths)[is_new])


def check_ended(job: Import) -> None:
    if job.state not in TERMINAL:
        message = f"The import is {job.state.value}; what it rejects is known when it has ended. Poll its status."
        raise Conflict(message, code=ErrorCode.NOT_ENDED)


def read_faults(
    db: Database, storage: Storage, job_id: UUID, *, from_fault: int, columns: list[str]
) -> Generator[pa.RecordBatch, None, None]:
    """The faults from `from_fault` on, in order; the files that have them are opened one at a time."""
    at = from_fault
    while True:
        with db.read() as tx:
            parts = list_rejection_parts(tx, job_id, from_fault=at, limit=PARTS_A_LOOK)
        if not parts:
            return
        for part in parts:
            stored = storage.stat(part.key)
            if stored is None:
                raise Unavailable(f"The stored file {part.key} is gone.", code=ErrorCode.STORAGE_DAMAGED)
            file = StoredParquet(part.key, stored.size_bytes, part.footer_hash)
            yield from read_batches(storage, file, first_row=at - part.first_fault, columns=columns)
            at = part.first_fault + part.fault_count


class ImportedUpload:
    """Copies byte ranges out of an upload, in blocks, once it has seen that this is the file that was imported."""

    def __init__(self, storage: Storage, job: Import) -> None:
        self._storage = storage
        self._key = job.file_key
        stored = storage.stat(job.file_key)
        is_same = stored is not None and stored.size_bytes == job.size_bytes
        # Where there is a hash the upload came in through us, and nothing replaces it.
        if stored is None or not is_same or (job.upload_hash is None and stored.version != job.upload_version):
            message = "The stored upload is not the one that was imported: it was replaced or removed."
            raise Unavailable(message, code=ErrorCode.STORAGE_DAMAGED)
        self._size_bytes = stored.size_bytes

    def head(self, has_header: bool, *, record_limit_bytes: int) -> bytes:
        """What stands before the first record: a byte order mark, if there is one, and the header with its line end."""
        if has_header:
            end = read_header(self.read, size_bytes=self._size_bytes, record_limit_bytes=record_limit_bytes).end
        else:
            end = text_offset(self.read, self._size_bytes)
        return self.read(0, end)

    def records(self, starts: Offsets, stops: Offsets) -> Iterator[bytes]:
        """The records at these places, each with the line end that it has; ascending."""
        at = 0
        while at < len(starts):
            until = _end_of_window(starts, stops, at)
            if until - at == 1 and stops[at] - starts[at] > BLOCK_BYTES:
                yield from self._long_record(int(starts[at]), int(stops[at]))
            else:
                yield self._window(starts[at:until], stops[at:until])
            at = until

    def _window(self, starts: Offsets, stops: Offsets) -> bytes:
        """Records that lie close together, by one look at the storage."""
        origin = int(starts[0])
        # Two bytes more than the last record: its line end, or what stands for it past the end of the file.
        data = self.read(origin, int(stops[-1]) + 2 - origin).ljust(int(stops[-1]) + 2 - origin, b"\0")
        whole = np.frombuffer(data, np.uint8)
        ends = stops + _line_end_lengths(whole[stops - origin], whole[stops - origin + 1])
        # Records that follow one another are copied in one piece.
        firsts = np.flatnonzero(np.append(True, starts[1:] != ends[:-1]))
        lasts = np.append(firsts[1:], len(starts)) - 1
        pieces = zip((starts[firsts] - origin).tolist(), (ends[lasts] - origin).tolist(), strict=True)
        return b"".join(data[start:end] for start, end in pieces)

    def _long_record(self, start: int, stop: int) -> Iterator[bytes]:
        first, second = self.read(stop, 2).ljust(2, b"\0")
        end = stop + int(_line_end_lengths(np.array([first]), np.array([second]))[0])
        for at in range(start, end, BLOCK_BYTES):
            yield self.read(at, min(BLOCK_BYTES, end - at))

    def read(self, offset: int, length: int) -> bytes:
        return self._storage.read_range(self._key, offset, length)


def _end_of_window(starts: Offsets, stops: Offsets, at: int) -> int:
    """The first record after `at` that is not read together with it: too far from its neighbour, or too much."""
    most = int(np.searchsorted(stops, starts[at] + BLOCK_BYTES, side="right"))
    gaps = starts[at + 1 : most] - stops[at : most - 1]
    far = np.flatnonzero(gaps > GAP_BYTES)
    return max(at + 1, at + 1 + int(far[0]) if len(far) else most)


def _line_end_lengths(first: NDArray[Any], second: NDArray[Any]) -> Offsets:
    """By the two bytes after a record: LF, CRLF, or a CR that ends the file."""
    lengths: Offsets = np.where(first == LF, 1, np.where(first == CR, 1 + (second == LF), 0))
    return lengths
