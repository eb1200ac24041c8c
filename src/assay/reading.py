"""Reads a dataset's accepted records back from its Parquet parts, whatever storage they lie in."""

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from assay.db import datasets
from assay.db.engine import Database
from assay.errors import ErrorCode, Unavailable
from assay.jobs import Part
from assay.storage.base import Storage

PARTS_A_LOOK = 32


@dataclass(frozen=True)
class Datapoint:
    """An accepted record; `data` has every field of the schema, in its order, None where the record has no value."""

    id: UUID
    import_id: UUID
    record_index: int
    data: dict[str, Any]


@dataclass(frozen=True)
class DatapointPage:
    """`next_row` is where the next page starts, or None at the end."""

    datapoints: list[Datapoint]
    next_row: int | None


class StoredFile(io.RawIOBase):
    """An object of the storage as a file to read and seek in, so that only the ranges that are needed are fetched."""

    def __init__(self, storage: Storage, key: str, *, size_bytes: int) -> None:
        self._storage = storage
        self._key = key
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        rest = max(0, self._size_bytes - self._position)
        data = self._storage.read_range(
            self._key, self._position, rest if size is None or size < 0 else min(size, rest)
        )
        self._position += len(data)
        return data


@contextmanager
def telling_damage(key: str) -> Iterator[None]:
    """Around the reading of a stored Parquet file: what shows that it is damaged becomes `Unavailable`."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        # Any of them, for a page whose checksum is wrong, a footer that is none, or names that are no text.
        message = f"The stored file {key} is damaged: restore it from a backup, or import its upload again."
        raise Unavailable(message, code=ErrorCode.STORAGE_DAMAGED) from error


@contextmanager
def open_part(storage: Storage, part: Part) -> Iterator[pq.ParquetFile]:
    """A part's Parquet file, read by ranges. Raises `Unavailable` when the storage does, or for a damaged file."""
    source = pa.PythonFile(StoredFile(storage, part.key, size_bytes=part.size_bytes), mode="r")
    with telling_damage(part.key), pq.ParquetFile(source, page_checksum_verification=True) as file:
        check_footer(file)
        yield file


def check_footer(file: pq.ParquetFile) -> None:
    """Pages have checksums, the footer has none; but it says most things twice, and damage changes one of them."""
    metadata = file.metadata
    told = pa.ipc.read_schema(pa.py_buffer(base64.b64decode((metadata.metadata or {}).get(b"ARROW:schema", b""))))
    rows = sum(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))
    if not told.equals(file.schema_arrow) or rows != metadata.num_rows:
        raise pa.ArrowInvalid("the footer contradicts itself")


def read_datapoints(db: Database, storage: Storage, dataset_id: UUID, *, from_row: int, limit: int) -> DatapointPage:
    """A page of the dataset's records in their stable order: by import as they were committed, then by record index.

    What other imports commit in the meantime comes after everything that is there now.
    """
    found: list[Datapoint] = []
    row = from_row
    while len(found) < limit:
        with db.read() as tx:
            parts = datasets.list_parts(tx, dataset_id, from_row=row, limit=PARTS_A_LOOK)
        for part in parts:
            if len(found) == limit:
                break
            taken = min(limit - len(found), part.first_row + part.record_count - row)
            found.extend(_read_rows(storage, part, start=part.row_in_file + row - part.first_row, count=taken))
            row += taken
        if not parts:
            return DatapointPage(datapoints=found, next_row=None)
    with db.read() as tx:
        is_more = bool(datasets.list_parts(tx, dataset_id, from_row=row, limit=1))
    return DatapointPage(datapoints=found, next_row=row if is_more else None)


def _read_rows(storage: Storage, part: Part, *, start: int, count: int) -> list[Datapoint]:
    with open_part(storage, part) as file:
        tables = []
        first = 0
        for index in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(index).num_rows
            if first + rows > start and first < start + count:
                skipped = max(0, start - first)
                tables.append(file.read_row_group(index).slice(skipped, start + count - first - skipped))
            first += rows
        table = pa.concat_tables(tables)
    fields = [(field.name, _json_value_of(field.type)) for field in table.schema][2:]
    columns = [table.column(name).to_pylist() for name in table.column_names]
    return [
        Datapoint(
            id=_as_uuid(identifier),
            import_id=part.import_id,
            record_index=record_index,
            data={name: as_json(value) for (name, as_json), value in zip(fields, values, strict=True)},
        )
        for identifier, record_index, *values in zip(*columns, strict=True)
    ]


def _as_uuid(value: UUID | bytes) -> UUID:
    return value if isinstance(value, UUID) else UUID(bytes=value)


def _json_value_of(kind: pa.DataType) -> Callable[[Any], Any]:
    if pa.types.is_date(kind):
        return _iso_date
    if pa.types.is_timestamp(kind):
        return _iso_time
    return _unchanged


def _unchanged(value: Any) -> Any:
    return value


def _iso_date(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _iso_time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="microseconds").replace("+00:00", "Z")
