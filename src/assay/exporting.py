"""All records of a dataset as one file, made while it is sent: a piece of them in memory, however many there are.

What is exported is settled at the start, by one look at the database; what is committed later is not in it.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.batches import read_batches
from assay.db import datasets
from assay.db.engine import Database
from assay.errors import ErrorCode, Unavailable
from assay.export_text import csv_header, csv_lines, json_lines
from assay.jobs import Part, StoredParquet
from assay.kernel.arrays import int64_array
from assay.kernel.columns import accepted_arrow_schema
from assay.kernel.write import gathered, parquet_writer
from assay.operations import require_dataset
from assay.reading import agreed
from assay.schema import DatasetSchema, stored_schema
from assay.storage.base import Storage

ROWS_A_BATCH = 16_384
BATCH_BYTES = 4 * 1024 * 1024
IMPORT_ID = pa.field("import_id", pa.uuid(), nullable=False)

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class _Run:
    """Rows that follow one another in one file, from `row_in_file` on; `parts` says whose they are."""

    file: StoredParquet
    row_in_file: int
    parts: tuple[Part, ...]

    @property
    def record_count(self) -> int:
        return sum(part.record_count for part in self.parts)


@dataclass(frozen=True)
class Snapshot:
    """What a dataset held at one moment: the names and types of its columns, and where its records lie."""

    schema: pa.Schema
    json_fields: frozenset[str]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ExportFormat:
    """`write` makes the file out of its columns and the records."""

    media_type: str
    extension: str
    write: Callable[[Snapshot, Batches], Iterator[bytes]]


def take_snapshot(db: Database, dataset_id: UUID) -> Snapshot:
    with db.read() as tx:
        dataset = require_dataset(datasets.get_dataset(tx, dataset_id))
        version = dataset.schema_version
        in_force = None if version is None else stored_schema(datasets.get_schema(tx, dataset_id, version=version))
        # The parts of one import are as many as its chunks, so even a large dataset's list is short.
        parts = datasets.list_parts(tx, dataset_id, from_row=0, limit=dataset.record_count) if in_force else []
    schema = DatasetSchema(strict=False, fields=()) if in_force is None else in_force
    return Snapshot(
        schema=_export_schema(schema),
        json_fields=frozenset(field.key for field in schema.fields if field.type == "json"),
        parts=tuple(agreed(parts)),
    )


def _export_schema(schema: DatasetSchema) -> pa.Schema:
    """The columns of the parts with the import after the id; not if a field of the schema has that name."""
    columns = accepted_arrow_schema(schema)
    is_taken = any(name.lower() == IMPORT_ID.name for name in columns.names)
    return columns if is_taken else columns.insert(1, IMPORT_ID)


def export_records(storage: Storage, snapshot: Snapshot, write: ExportFormat) -> Generator[bytes, None, None]:
    """The file in blocks. Raises `Unavailable` where a part can't be read; what came before it is no whole file."""
    with closing(_read_records(storage, snapshot)) as batches:
        yield from write.write(snapshot, batches)


def _read_records(storage: Storage, snapshot: Snapshot) -> Generator[pa.RecordBatch, None, None]:
    """All records in the dataset's order, in batches of bounded size with the snapshot's columns."""
    for run in _runs(snapshot.parts):
        ends = np.cumsum([part.record_count for part in run.parts])
        ids = pa.array([part.import_id.bytes for part in run.parts], pa.binary(16))
        row, count = 0, run.record_count
        batches = read_batches(storage, run.file, first_row=run.row_in_file, rows_a_batch=ROWS_A_BATCH)
        with closing(batches):
            while row < count:
                batch = next(batches, None)
                if batch is None:
                    message = f"The stored file {run.file.key} has fewer records than it should."
                    raise Unavailable(message, code=ErrorCode.STORAGE_DAMAGED)
                batch = batch.slice(0, count - row)
                owners = np.searchsorted(ends, np.arange(row, row + batch.num_rows), side="right")
                imports = pa.ExtensionArray.from_storage(pa.uuid(), ids.take(int64_array(owners)))
                yield from _pieces(_conformed(batch, imports, snapshot.schema))
                row += batch.num_rows


def _runs(parts: Iterable[Part]) -> Iterator[_Run]:
    """Parts that lie one after another in a file are read together, so that each file is opened once."""
    gathered: list[Part] = []
    for part in parts:
        last = gathered[-1] if gathered else None
        if last is not None and (part.key, part.row_in_file) != (last.key, last.row_in_file + last.record_count):
            yield _run(gathered)
            gathered = []
        gathered.append(part)
    if gathered:
        yield _run(gathered)


def _run(parts: list[Part]) -> _Run:
    first = parts[0]
    return _Run(file=first.file, row_in_file=first.row_in_file, parts=tuple(parts))


def _conformed(batch: pa.RecordBatch, imports: pa.Array, schema: pa.Schema) -> pa.RecordBatch:
    """The batch's columns as the export has them. A file of an older schema may lack some: they are empty there."""
    columns = []
    for field in schema:
        if field.name in batch.schema.names:
            column = batch.column(field.name)
            columns.append(column if column.type == field.type else column.cast(field.type))
        elif field == IMPORT_ID:
            columns.append(imports)
        else:
            columns.append(pa.nulls(batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of bounded size: a text format may need several times a piece's memory."""
    if batch.nbytes <= BATCH_BYTES or batch.num_rows <= 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


class _Sink:
    """A file to write to whose bytes are taken out as they come."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: Any) -> int:
        written = bytes(data)
        self._written.append(written)
        return len(written)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """What was written is still there to be taken."""

    def take(self) -> bytes:
        taken, self._written = b"".join(self._written), []
        return taken


def write_parquet(snapshot: Snapshot, batches: Batches) -> Iterator[bytes]:
    """Batches are gathered into row groups of a good size, whatever the sizes of the parts."""
    sink = _Sink()
    writer: pq.ParquetWriter | None = None
    for table in gathered(pa.Table.from_batches([batch], snapshot.schema) for batch in batches):
        if writer is None:
            writer = parquet_writer(sink, table)
        writer.write_table(table)
        yield sink.take()
    if writer is None:
        writer = parquet_writer(sink, snapshot.schema.empty_table())
    writer.close()
    yield sink.take()


def write_arrow(snapshot: Snapshot, batches: Batches) -> Iterator[bytes]:
    sink = _Sink()
    writer = pa.ipc.new_stream(sink, snapshot.schema)
    yield sink.take()
    for batch in batches:
        writer.write_batch(batch)
        yield sink.take()
    # Not in a `finally`: the mark of the end must not follow what broke off.
    writer.close()
    yield sink.take()


def write_json_lines(snapshot: Snapshot, batches: Batches) -> Iterator[bytes]:
    for batch in batches:
        yield json_lines(batch, json_fields=snapshot.json_fields)


def write_csv(snapshot: Snapshot, batches: Batches) -> Iterator[bytes]:
    yield csv_header(snapshot.schema.names, formula_safe=False)
    for batch in batches:
        yield csv_lines(batch, formula_safe=False)


def write_spreadsheet_csv(snapshot: Snapshot, batches: Batches) -> Iterator[bytes]:
    """A CSV whose texts no spreadsheet takes for formulas."""
    yield csv_header(snapshot.schema.names, formula_safe=True)
    for batch in batches:
        yield csv_lines(batch, formula_safe=True)


EXPORT_FORMATS = {
    "parquet": ExportFormat("application/vnd.apache.parquet", ".parquet", write_parquet),
    "jsonl": ExportFormat("application/x-ndjson", ".jsonl", write_json_lines),
    "csv": ExportFormat("text/csv", ".csv", write_csv),
    "arrow": ExportFormat("application/vnd.apache.arrow.stream", ".arrows", write_arrow),
}
SPREADSHEET_CSV = ExportFormat("text/csv", ".csv", write_spreadsheet_csv)
