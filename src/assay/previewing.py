"""What a schema would accept of a sample, told record by record; nothing is stored.

The sample is judged by the same kernel as an import, so that a preview promises nothing that an import breaks.
"""

from collections import deque
from dataclasses import dataclass
from uuid import UUID

from assay.db import jobs
from assay.db.engine import Database
from assay.fileformats import FILE_FORMATS
from assay.jobs import Import
from assay.kernel.chunks import beginning, plan_chunks
from assay.kernel.files import FileFault, ReadRange
from assay.kernel.formats import FORMATS
from assay.kernel.marking import MarkedText, mark_value
from assay.rejections import Fault
from assay.schema import DatasetSchema
from assay.storage.base import Storage

SAMPLE_BYTES = 128 * 1024
SAMPLE_RECORDS = 50
IMPORTS_A_LOOK = 20


@dataclass(frozen=True)
class Sample:
    """The beginning of a file, or all of it."""

    data: bytes
    format: str
    is_whole: bool


@dataclass(frozen=True)
class PreviewedRecord:
    """`shown` has the first fault's value marked, if there is one."""

    record_index: int
    faults: tuple[Fault, ...]
    shown: MarkedText


@dataclass(frozen=True)
class Preview:
    """`file_fault` says why a whole file would be refused, `is_beyond` that the sample ends within its header or its
    first record; then there are no records."""

    records: tuple[PreviewedRecord, ...]
    file_fault: str | None
    is_beyond: bool
    has_more: bool

    @property
    def accepted_count(self) -> int:
        return sum(not record.faults for record in self.records)

    @property
    def rejected_count(self) -> int:
        return len(self.records) - self.accepted_count


BEYOND = Preview(records=(), file_fault=None, is_beyond=True, has_more=True)


def sample_of_text(text: str, *, format: str | None = None) -> Sample:
    """A sample that somebody pasted; without a format, what begins with a brace is JSON Lines."""
    known = format if format in FILE_FORMATS else None
    guessed = "jsonl" if text.lstrip().startswith("{") else "csv"
    data = text.encode(errors="replace")
    return Sample(data=data[:SAMPLE_BYTES], format=known or guessed, is_whole=len(data) <= SAMPLE_BYTES)


def find_newest_upload(db: Database, dataset_id: UUID) -> Import | None:
    """The import of the dataset whose file came last."""
    with db.read() as tx:
        newest = jobs.list_imports(tx, dataset_id, limit=IMPORTS_A_LOOK, before=None)
    return next((job for job in newest if job.size_bytes), None)


def sample_of_upload(storage: Storage, job: Import) -> Sample:
    """The beginning of an import's file."""
    data = storage.read_range(job.file_key, 0, SAMPLE_BYTES)
    return Sample(data=data, format=job.format, is_whole=len(data) >= (job.size_bytes or 0))


def preview(schema: DatasetSchema, sample: Sample) -> Preview:
    """Judge the first records of the sample."""
    try:
        return _judged(schema, sample)
    except FileFault as fault:
        return Preview(records=(), file_fault=fault.reason, is_beyond=False, has_more=False)


def _judged(schema: DatasetSchema, sample: Sample) -> Preview:
    format = FORMATS[sample.format]
    data = sample.data
    if sample.is_whole:
        plan = plan_chunks(_reader(data), size_bytes=len(data), format=sample.format, schema=schema)
        deque(plan, maxlen=0)  # raises as it does for an import
    elif b"\n" not in data:
        return BEYOND
    names, offset = beginning(_reader(data), len(data), sample.format, SAMPLE_BYTES, schema)
    header = names or ()
    ends = format.framing.ends(data, offset, SAMPLE_RECORDS * 4)
    end = int(ends[-1]) if len(ends) else offset
    if sample.is_whole and len(ends) < SAMPLE_RECORDS * 4:
        end = len(data)
    body = data[offset:end]
    frames = format.framing.frames(body)
    judge = format.judge(schema, header)
    records = []
    for index in range(min(len(frames), SAMPLE_RECORDS)):
        record = body[int(frames.starts[index]) : int(frames.stops[index])]
        _, faults = judge(record)
        field, reason = (faults[0].field, faults[0].reason) if faults else ("", "")
        shown = mark_value(record, field, reason, format=sample.format, header=header)
        records.append(PreviewedRecord(record_index=index, faults=tuple(faults), shown=shown))
    has_more = len(frames) > len(records) or end < len(data)
    return Preview(records=tuple(records), file_fault=None, is_beyond=False, has_more=has_more) if records else BEYOND


def _reader(data: bytes) -> ReadRange:
    return lambda offset, length: data[offset : offset + length]
