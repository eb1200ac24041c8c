"""Reads a dataset's accepted records back from its Parquet parts, whatever storage they lie in."""

import base64
import binascii
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assay.db import datasets
from assay.db.engine import Database
from assay.errors import ErrorCode, Unavailable
from assay.jobs import Part, StoredParquet
from assay.kernel.identity import Ids, ids_of_open_parquet
from assay.kernel.normalise import IDENTITY_COLUMNS, Kept, kept_of_table
from assay.kernel.write import check_footer, footer_size
from assay.storage.base import Storage

PARTS_A_LOOK = 32
# The most text of a page: a record may have 16 MiB, a page a thousand records, and an answer costs some times as much.
PAGE_TEXT_BYTES = 16 * 1024 * 1024
END_BYTES = 64 * 1024  # as many as Arrow asks for first
# Files that others took the place of are kept so long for readers who hold a list with them, an export for one.
OLD_FILES_STAY_FOR = timedelta(hours=24)


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
    """An object of the storage as a file to read and seek in, so that only the ranges that are needed are fetched.

    `end` is the object's end with all of its footer, which is there already.
    """

    def __init__(self, storage: Storage, file: StoredParquet, *, end: bytes) -> None:
        self._storage = storage
        self._key = file.key
        self._size_bytes = file.size_bytes
        self._end = end
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
        data = self._read(self._position, rest if size is None or size < 0 else min(size, rest))
        self._position += len(data)
        return data

    def _read(self, start: int, length: int) -> bytes:
        end_starts = self._size_bytes - len(self._end)
        if start >= end_starts:
            return self._end[start - end_starts : start - end_starts + length]
        before = self._storage.read_range(self._key, start, min(length, end_starts - start))
        is_whole = len(before) == end_starts - start
        return before + self._end[: length - len(before)] if is_whole else before


@contextmanager
def telling_damage(key: str) -> Iterator[None]:
    """Around the reading of a stored Parquet file: what shows that it is damaged becomes `Unavailable`."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError, binascii.Error) as error:
        # Any of them, for a page whose checksum is wrong, a footer that is none, or names that are no text.
        message = f"The stored file {key} is damaged: restore it from a backup, or import its upload again."
        raise Unavailable(message, code=ErrorCode.STORAGE_DAMAGED) from error


@contextmanager
def open_parquet(storage: Storage, file: StoredParquet) -> Iterator[pq.ParquetFile]:
    """A stored Parquet file, read by ranges. Raises `Unavailable` when the storage does, or for a damaged file."""
    with telling_damage(file.key):
        source = pa.PythonFile(open_stored(storage, file), mode="r")
        with pq.ParquetFile(source, page_checksum_verification=True) as parquet:
            yield parquet


def open_stored(storage: Storage, file: StoredParquet) -> StoredFile:
    """The file with its footer seen to be the one that was written; within `telling_damage`.

    Arrow begins with the same bytes at the end, and gets those that were looked at: nothing is read twice.
    """
    length = min(END_BYTES, file.size_bytes)
    try:
        end = storage.read_range(file.key, file.size_bytes - length, length)
    except Unavailable as error:
        if storage.stat(file.key) is None:
            message = f"The stored file {file.key} is gone: restore it from a backup."
            raise Unavailable(message, code=ErrorCode.STORAGE_DAMAGED) from error
        raise
    more = footer_size(end) - length
    if 0 < more <= file.size_bytes - length:
        end = storage.read_range(file.key, file.size_bytes - length - more, more) + end
        length += more
    if len(end) != length:
        raise pa.ArrowInvalid("the file is shorter than it was")
    if file.footer_hash is None:
        check_against_itself(pq.ParquetFile(pa.BufferReader(end)))
    else:
        check_footer(end, file.footer_hash)
    return StoredFile(storage, file, end=end)


def check_against_itself(file: pq.ParquetFile) -> None:
    """For a footer that nobody took a hash of: it says most things twice, and damage changes one of them, if not all
    damage does.
    """
    footer = file.metadata
    told = pa.ipc.read_schema(pa.py_buffer(base64.b64decode((footer.metadata or {}).get(b"ARROW:schema", b""))))
    rows = sum(footer.row_group(index).num_rows for index in range(footer.num_row_groups))
    if not told.equals(file.schema_arrow) or rows != footer.num_rows:
        raise pa.ArrowInvalid("the footer contradicts itself")


def read_datapoints(db: Database, storage: Storage, dataset_id: UUID, *, from_row: int, limit: int) -> DatapointPage:
    """A page of the dataset's records in their stable order: by import as they were committed, then by record index.

    A page has fewer than `limit` where they would be more than `PAGE_TEXT_BYTES` of text, but one at least. What other
    imports commit in the meantime comes after everything that is there now. The whole page is of one moment, and so of
    one schema. Files that were replaced stay for `OLD_FILES_STAY_FOR`; where that was not enough, or the hash of a
    footer may be another file's, the page is read anew.
    """
    parts = _parts_of_page(db, dataset_id, from_row=from_row, limit=limit)
    while True:
        try:
            return _read_page(storage, parts, from_row=from_row, limit=limit)
        except Unavailable:
            listed_before, parts = parts, _parts_of_page(db, dataset_id, from_row=from_row, limit=limit)
            parts = _with_hashes_of_files(db, dataset_id, parts)
            if parts == listed_before:
                raise


def _parts_of_page(db: Database, dataset_id: UUID, *, from_row: int, limit: int) -> list[Part]:
    """The parts that a page's rows lie in and, if there is one, the next row's."""
    found: list[Part] = []
    row = from_row
    with db.read() as tx:
        while row <= from_row + limit:
            more = datasets.list_parts(tx, dataset_id, from_row=row, limit=PARTS_A_LOOK)
            if not more:
                break
            found += more
            row = more[-1].first_row + more[-1].record_count
    return found


def _with_hashes_of_files(db: Database, dataset_id: UUID, parts: Iterable[Part]) -> list[Part]:
    """A page has not always all parts of a file, and these may not agree: see `agreed`."""
    with db.read() as tx:
        hashes = {file.key: file.footer_hash for file in datasets.list_files(tx, dataset_id)}
    return [replace(part, footer_hash=hashes.get(part.key, part.footer_hash)) for part in parts]


def _read_page(storage: Storage, parts: list[Part], *, from_row: int, limit: int) -> DatapointPage:
    count = parts[-1].first_row + parts[-1].record_count if parts else from_row
    end = min(from_row + limit, count)
    found: list[Datapoint] = []
    left_bytes = PAGE_TEXT_BYTES
    # Parts that share a file lie together, and the file is read once for all of them.
    for _, sharing in groupby((part for part in parts if part.first_row < end), key=lambda part: part.key):
        of_file = list(sharing)
        import_ids: list[UUID] = []
        for part in of_file:
            rows = min(end, part.first_row + part.record_count) - max(from_row, part.first_row)
            import_ids += [part.import_id] * rows
        first = of_file[0]
        start = first.row_in_file + max(0, from_row - first.first_row)
        for table in _read_rows(storage, first, start=start, count=len(import_ids)):
            sizes = np.cumsum(_text_bytes(table))
            fitting = max(0 if found else 1, int(np.searchsorted(sizes, left_bytes, side="right")))
            found += _datapoints(table.slice(0, fitting), import_ids[:fitting])
            if fitting < len(table):
                return DatapointPage(datapoints=found, next_row=from_row + len(found))
            left_bytes -= int(sizes[-1])
            import_ids = import_ids[fitting:]
    return DatapointPage(datapoints=found, next_row=end if end < count else None)


def _read_rows(storage: Storage, part: Part, *, start: int, count: int) -> Iterator[pa.Table]:
    """Rows of the part's file, `count` of them from `start` on: a table for each row group that they lie in."""
    with open_parquet(storage, part.file) as file:
        first = 0
        for index in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(index).num_rows
            if first + rows > start and first < start + count:
                skipped = max(0, start - first)
                yield file.read_row_group(index).slice(skipped, start + count - first - skipped)
            first += rows


def _text_bytes(table: pa.Table) -> NDArray[np.int64]:
    """How much text each row has, which is all that can make it large."""
    sizes = np.zeros(len(table), np.int64)
    for column in table.columns:
        if column.type == pa.string():
            sizes += pc.binary_length(column).fill_null(0).to_numpy()
    return sizes


def _datapoints(table: pa.Table, import_ids: list[UUID]) -> list[Datapoint]:
    """One for each row, of the import whose id stands in the same place."""
    fields = [(field.name, _json_value_of(field.type)) for field in table.schema][2:]
    columns = [table.column(name).to_pylist() for name in table.column_names]
    return [
        Datapoint(
            id=_as_uuid(identifier),
            import_id=import_id,
            record_index=record_index,
            data={name: as_json(value) for (name, as_json), value in zip(fields, values, strict=True)},
        )
        for import_id, identifier, record_index, *values in zip(import_ids, *columns, strict=True)
    ]


def agreed(parts: Iterable[Part]) -> Iterator[Part]:
    """These parts, whole files of them. Where those of a file don't agree on the hash of its footer, nobody knows it: a
    release that knew of no hashes put them together, and they have those of the files that they came from."""
    for _, sharing in groupby(parts, key=lambda part: part.key):
        of_file = list(sharing)
        is_known = len({part.footer_hash for part in of_file}) == 1
        yield from of_file if is_known else (replace(part, footer_hash=None) for part in of_file)


def list_all_parts(db: Database, dataset_id: UUID) -> Iterator[Part]:
    """All parts of a dataset whose records nobody else adds to or moves, as those of a running job's dataset."""
    return agreed(_list_in_turn(db, dataset_id))


def _list_in_turn(db: Database, dataset_id: UUID) -> Iterator[Part]:
    row = 0
    while True:
        with db.read() as tx:
            parts = datasets.list_parts(tx, dataset_id, from_row=row, limit=PARTS_A_LOOK)
        if not parts:
            return
        yield from parts
        row = parts[-1].first_row + parts[-1].record_count


def read_known_ids(db: Database, storage: Storage, dataset_id: UUID) -> Iterator[Callable[[], Ids]]:
    """For each file of a running job's dataset what reads its records' ids, from any thread."""
    for _, sharing in groupby(list_all_parts(db, dataset_id), key=lambda part: part.key):
        part = next(sharing)
        yield partial(read_ids, storage, part.file)


def read_ids(storage: Storage, file: StoredParquet) -> Ids:
    """The ids of a file's records, in their order."""
    with open_parquet(storage, file) as parquet:
        ids = ids_of_open_parquet(parquet)
        _check_row_count(len(ids), parquet)
        return ids


def read_kept(storage: Storage, parts: Iterable[Part]) -> Iterator[Kept]:
    """The records of these parts, part by part, by their ids and their indices in their upload."""
    read: tuple[str, Kept] | None = None
    for part in parts:
        if read is None or read[0] != part.key:
            read = part.key, kept_of_table(_read_columns(storage, part.file, list(IDENTITY_COLUMNS)))
        rows = slice(part.row_in_file, part.row_in_file + part.record_count)
        yield Kept(read[1].rows[rows], read[1].ids[rows])


def _read_columns(storage: Storage, file: StoredParquet, columns: list[str]) -> pa.Table:
    """These columns of a file of records, whole in memory."""
    with open_parquet(storage, file) as parquet:
        table = parquet.read(columns=columns)
        _check_row_count(table.num_rows, parquet)
        return table


def read_row_groups(storage: Storage, file: StoredParquet) -> Iterator[pa.Table]:
    """A file of records, a row group at a time."""
    with open_parquet(storage, file) as parquet:
        for index in range(parquet.num_row_groups):
            yield parquet.read_row_group(index)


def _check_row_count(count: int, parquet: pq.ParquetFile) -> None:
    """Arrow reads a single column, and batches, as short as damage has made them."""
    if count != parquet.metadata.num_rows:
        raise pa.ArrowInvalid("the file has other rows than its footer says")


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
