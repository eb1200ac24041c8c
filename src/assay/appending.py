"""Appends: a few records in a request's body, checked here and now, and written whole or not at all.

Every file is noted as loose before it is written and adopted by the one transaction that makes the records visible;
whatever cuts an append short before that leaves nothing that could be seen, and the sweep removes its files.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_128

from assay.db import appends, datasets, loose_files
from assay.db.datasets import Dataset
from assay.db.engine import Database
from assay.errors import Conflict, ErrorCode, Invalid, Unavailable
from assay.ids import new_id
from assay.jobs import Counts, DataFile, NewAppend, NewPart, RecordError
from assay.kernel.arrays import int64_array
from assay.kernel.chunks import Chunk, ChunkResult, ChunkTask, check_chunk
from assay.kernel.files import SNIFFED_BYTES, UTF8_BOM, no_text_in_utf8
from assay.kernel.formats import FORMATS
from assay.kernel.identity import Ids
from assay.kernel.sorted_ids import SortedIds, first_of_each, sorted_ids
from assay.kernel.write import footer_hash, parquet_bytes
from assay.operations import import_folder, require_dataset
from assay.reading import read_ids
from assay.schema import DatasetSchema, stored_schema
from assay.storage.base import Storage

MAX_RECORDS = 1000
# Between the first file's note and the commit; longer than any append takes, and then the sweep has its files.
UNFINISHED_FOR = timedelta(hours=1)
# Each try that fails means that another append of the same dataset went through.
MAX_TRIES = 100
KNOWN_IDS_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Appended:
    """`accepted` includes duplicates. The errors' `record_index` counts from zero, as everywhere but in the API."""

    accepted: int
    errors: tuple[RecordError, ...]


class KnownIds:
    """Holds the ids of files that were asked about lately, sorted; files never change, so neither do these."""

    def __init__(self, *, max_bytes: int = KNOWN_IDS_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[str, SortedIds] = OrderedDict()
        self._size_bytes = 0
        self._lock = Lock()

    def which(self, ids: Ids, files: Sequence[DataFile], *, storage: Storage) -> NDArray[np.bool_]:
        """Which of the ids are those of a record in one of the files."""
        known = np.zeros(len(ids), np.bool_)
        for file in files:
            known |= self._of_file(file, storage).has(ids)
        return known

    def _of_file(self, file: DataFile, storage: Storage) -> SortedIds:
        with self._lock:
            held = self._held.get(file.key)
            if held is not None:
                self._held.move_to_end(file.key)
                return held
        read = sorted_ids(read_ids(storage, file.file))
        with self._lock:
            if file.key not in self._held and read.size_bytes <= self._max_bytes:
                self._held[file.key] = read
                self._size_bytes += read.size_bytes
            while self._size_bytes > self._max_bytes:
                _, dropped = self._held.popitem(last=False)
                self._size_bytes -= dropped.size_bytes
        return read


@dataclass(frozen=True)
class _Target:
    """A dataset as an append finds it: what its schema is, and which records it has."""

    dataset: Dataset
    schema_version: int
    schema: DatasetSchema
    files: tuple[DataFile, ...]


class _DatasetMovedError(Exception):
    """The dataset is no longer as it was looked at: look again."""


def append_records(
    db: Database, storage: Storage, dataset_id: UUID, body: bytes, *, known_ids: KnownIds, record_limit_bytes: int
) -> Appended:
    """Check JSONL records and add the accepted ones that the dataset has not yet.

    `Invalid` for a body that is no JSONL or a dataset without schema, `Conflict` while one of its jobs is in line.
    """
    target = _look(db, dataset_id)
    chunk = _framed(body)
    result = _judged(body, chunk, target, record_limit_bytes=record_limit_bytes)
    upload = _Upload(db, storage, dataset_id, body)
    for _ in range(MAX_TRIES):
        try:
            _add_new(target, result, upload=upload, known_ids=known_ids)
        except _DatasetMovedError:
            judged_by = target.schema_version
            target = _look(db, dataset_id)
            if target.schema_version != judged_by:
                result = _judged(body, chunk, target, record_limit_bytes=record_limit_bytes)
        else:
            errors = tuple(RecordError(*fault) for fault in result.first_faults)
            return Appended(accepted=result.accepted_count, errors=errors)
    message = "Too many appends to this dataset at once; try again in a moment."
    raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)


def _look(db: Database, dataset_id: UUID) -> _Target:
    with db.read() as tx:
        dataset = require_dataset(datasets.get_dataset(tx, dataset_id))
        if dataset.schema_version is None or dataset.schema is None:
            message = "The dataset has no schema yet, so records can't be checked; set one first."
            raise Invalid(message, code=ErrorCode.INVALID_REQUEST)
        if datasets.kinds_in_line(tx, dataset_id):
            raise _busy()
        files = tuple(datasets.list_files(tx, dataset_id))
    # With no job in line, the newest schema is the one in force.
    return _Target(dataset, dataset.schema_version, stored_schema(dataset.schema), files)


def _busy() -> Conflict:
    message = "An import or a migration of the dataset is queued or running; append again when it has ended."
    return Conflict(message, code=ErrorCode.DATASET_BUSY)


def _framed(body: bytes) -> Chunk:
    """The body as one chunk of records. `Invalid` for what holds none, or too many."""
    if not body:
        raise Invalid("The body is empty; send records as JSON Lines.", code=ErrorCode.INVALID_REQUEST)
    head = body[:SNIFFED_BYTES]
    if no_text := no_text_in_utf8(head):
        raise Invalid(f"The body {no_text[0]}. Send JSON Lines in UTF-8.", code=ErrorCode.INVALID_REQUEST)
    offset = len(UTF8_BOM) if head.startswith(UTF8_BOM) else 0
    count = len(FORMATS["jsonl"].framing.frames(body[offset:]))
    if count == 0:
        raise Invalid("The body has no records; send at least one.", code=ErrorCode.INVALID_REQUEST)
    if count > MAX_RECORDS:
        message = f"The body has {count:,} records; at most {MAX_RECORDS:,} are taken. Upload more of them as a file."
        raise Invalid(message, code=ErrorCode.INVALID_REQUEST)
    return Chunk(0, offset, len(body) - offset, 0, None, count)


def _judged(body: bytes, chunk: Chunk, target: _Target, *, record_limit_bytes: int) -> ChunkResult:
    task = ChunkTask(chunk, "jsonl", target.schema, target.dataset.id, record_limit_bytes)
    return check_chunk(body[chunk.offset :], task)


class _Upload:
    """Holds the files of one append as far as they are written: the body as it came, and the part."""

    def __init__(self, db: Database, storage: Storage, dataset_id: UUID, body: bytes) -> None:
        self.id = new_id()
        self.db = db
        self.storage = storage
        self.body = body
        self.file_key = f"{import_folder(dataset_id, 'uploads', self.id)}/append.jsonl"
        self.part_key = f"{import_folder(dataset_id, 'parts', self.id)}/1/part-00000.parquet"
        self._part: NewPart | None = None
        self._rows: NDArray[np.int64] | None = None

    def write(self, table: pa.Table, rows: NDArray[np.int64]) -> NewPart:
        """Store the body, and these rows of the table as the part; what is stored already stays."""
        if self._part is None:
            with self.db.write() as tx:
                loose_files.note_loose(tx, self.keys, delete_after=tx.now() + UNFINISHED_FOR)
            self.storage.put(self.file_key, self.body)
        if self._part is None or self._rows is None or not np.array_equal(self._rows, rows):
            data = parquet_bytes(table.take(int64_array(rows)))
            self.storage.put(self.part_key, data)
            self._part = NewPart(self.part_key, len(rows), size_bytes=data.size, footer_hash=footer_hash(data))
            self._rows = rows
        return self._part

    @property
    def keys(self) -> list[str]:
        return [self.file_key, self.part_key]


def _add_new(target: _Target, result: ChunkResult, *, upload: _Upload, known_ids: KnownIds) -> None:
    """Write the accepted records that are new. `_DatasetMovedError` if the dataset has changed in the meantime."""
    first = first_of_each(result.ids)
    known = known_ids.which(result.ids[first], target.files, storage=upload.storage)
    rows = first[~known]
    if not len(rows):
        return
    part = upload.write(result.table, rows)
    counts = Counts(
        accepted=result.accepted_count,
        rejected=result.rejected_count,
        duplicate=result.accepted_count - len(rows),
        processed_offset=len(upload.body),
    )
    new = NewAppend(
        id=upload.id,
        dataset_id=target.dataset.id,
        schema_version=target.schema_version,
        file_key=upload.file_key,
        size_bytes=len(upload.body),
        upload_hash=xxh3_128(upload.body).hexdigest(),
        counts=counts,
        errors=tuple(RecordError(*fault) for fault in result.first_faults),
        part=part,
    )
    _commit(target, new, upload=upload)


def _commit(target: _Target, new: NewAppend, *, upload: _Upload) -> None:
    with upload.db.write() as tx:
        # Imports get in line, migrations are published and appends are committed under this lock.
        datasets.lock_dataset(tx, new.dataset_id)
        now_stands = require_dataset(datasets.get_dataset(tx, new.dataset_id))
        if datasets.kinds_in_line(tx, new.dataset_id):
            raise _busy()
        # Records are only ever added: the same number of them are the same records.
        seen = target.dataset
        if (now_stands.record_count, now_stands.schema_version) != (seen.record_count, seen.schema_version):
            raise _DatasetMovedError
        if not loose_files.adopt(tx, upload.keys):
            message = "The append took too long and was given up; send it again."
            raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)
        appends.insert_append(tx, new, workspace_id=seen.workspace_id, first_row=now_stands.record_count)
