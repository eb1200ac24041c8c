"""Pages of an import's faults with the records they are in, as they stand in the upload, the failing value marked.

Read for a person at a screen: by field and reason, a page at a time, each record cut to what can be looked at.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from assay.db.engine import Database
from assay.errors import Unavailable
from assay.jobs import Import
from assay.kernel.files import read_header
from assay.kernel.formats import FORMATS
from assay.kernel.marking import MarkedText, mark_value
from assay.rejected import ImportedUpload, check_ended, read_faults
from assay.rejections import REJECTION_CODES
from assay.storage.base import Storage

COLUMNS = ["record_index", "byte_offset", "byte_length", "field", "code", "reason"]
RECORD_BYTES = 64 * 1024  # of a longer record the beginning is shown
READ_BYTES = 4 * 1024 * 1024
GAP_BYTES = 64 * 1024
# A filter that finds little reads on no further than this at a time, so that a page never takes long.
FAULTS_A_LOOK = 1_000_000


@dataclass(frozen=True)
class FaultFilter:
    """None lets every value through. A reason may be a code's title, as the summary has it for many reasons."""

    field: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class FaultyRecord:
    """One fault. `shown` is None where the upload can't be read any more."""

    record_index: int
    field: str
    reason: str
    shown: MarkedText | None


@dataclass(frozen=True)
class FaultyPage:
    """`next_fault` is where to read on, or None at the end; a page may be short, or empty, and not be the last."""

    faults: tuple[FaultyRecord, ...]
    next_fault: int | None


@dataclass(frozen=True)
class _Found:
    record_index: int
    byte_offset: int
    byte_length: int
    field: str
    reason: str


def read_faulty_page(
    db: Database,
    storage: Storage,
    job: Import,
    chosen: FaultFilter,
    *,
    from_fault: int,
    limit: int,
    record_limit_bytes: int,
) -> FaultyPage:
    """The next faults that the filter lets through, in file order. `Conflict` while the import has not ended."""
    check_ended(job)
    found, next_fault = _find(db, storage, job, chosen, from_fault=from_fault, limit=limit)
    try:
        shown = _marked(storage, job, found, record_limit_bytes=record_limit_bytes) if found else []
    except Unavailable:
        shown = [None] * len(found)
    faults = [
        FaultyRecord(record_index=fault.record_index, field=fault.field, reason=fault.reason, shown=text)
        for fault, text in zip(found, shown, strict=True)
    ]
    return FaultyPage(faults=tuple(faults), next_fault=next_fault)


def _find(
    db: Database, storage: Storage, job: Import, chosen: FaultFilter, *, from_fault: int, limit: int
) -> tuple[list[_Found], int | None]:
    found: list[_Found] = []
    at = from_fault
    with closing(read_faults(db, storage, job.id, from_fault=from_fault, columns=COLUMNS)) as batches:
        for batch in batches:
            if len(found) == limit or at - from_fault >= FAULTS_A_LOOK:
                return found, at
            kept = _kept(batch, chosen)
            rows = kept[: limit - len(found)]
            found += [_Found(row[0], row[1], row[2], row[3], row[5]) for row in _rows(batch, rows)]
            if len(found) == limit and rows[-1] + 1 < batch.num_rows:
                return found, at + rows[-1] + 1
            at += batch.num_rows
    return found, None


def _kept(batch: pa.RecordBatch, chosen: FaultFilter) -> list[int]:
    """The rows that the filter lets through."""
    mask = pa.repeat(pa.scalar(True), batch.num_rows)
    if chosen.field is not None:
        mask = pc.and_(mask, pc.equal(batch.column("field"), chosen.field))
    if chosen.reason is not None:
        codes = pa.array([code for code, row in REJECTION_CODES.items() if row.title == chosen.reason], pa.string())
        is_reason = pc.equal(batch.column("reason"), chosen.reason)
        mask = pc.and_(mask, pc.or_(is_reason, pc.is_in(batch.column("code"), value_set=codes)))
    rows: list[int] = pc.indices_nonzero(mask).to_pylist()
    return rows


def _rows(batch: pa.RecordBatch, rows: list[int]) -> Iterator[tuple[int, int, int, str, str, str]]:
    taken = batch.take(pa.array(rows, pa.int64()))
    yield from zip(*(column.to_pylist() for column in taken.columns), strict=True)


def _marked(
    storage: Storage, job: Import, found: Sequence[_Found], *, record_limit_bytes: int
) -> list[MarkedText | None]:
    upload = ImportedUpload(storage, job)
    header: tuple[str, ...] = ()
    if FORMATS[job.format].has_header:
        size_bytes = job.size_bytes or 0
        header = read_header(upload.read, size_bytes=size_bytes, record_limit_bytes=record_limit_bytes).names
    shown: list[MarkedText | None] = []
    for run in _runs(found):
        origin = run[0].byte_offset
        data = upload.read(origin, max(_end(fault) for fault in run) - origin)
        for fault in run:
            start = fault.byte_offset - origin
            record = data[start : start + min(fault.byte_length, RECORD_BYTES)]
            marked = mark_value(
                record,
                fault.field,
                fault.reason,
                format=job.format,
                header=header,
                is_whole=fault.byte_length <= RECORD_BYTES,
            )
            shown.append(marked)
    return shown


def _end(fault: _Found) -> int:
    return fault.byte_offset + min(fault.byte_length, RECORD_BYTES)


def _runs(found: Sequence[_Found]) -> Iterator[list[_Found]]:
    """Records that lie close together are read by one look at the storage."""
    run: list[_Found] = []
    for fault in found:
        if run and (fault.byte_offset - _end(run[-1]) > GAP_BYTES or _end(fault) - run[0].byte_offset > READ_BYTES):
            yield run
            run = []
        run.append(fault)
    if run:
        yield run
