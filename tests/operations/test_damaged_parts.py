"""A stored Parquet file of which one bit has changed: it is read as it was written, or told of as damaged."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import product
from random import Random
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from assay.appending import KnownIds
from assay.batches import read_batches
from assay.compacting import compact_dataset
from assay.db import datasets
from assay.db.engine import Database
from assay.errors import ErrorCode, Unavailable
from assay.exporting import EXPORT_FORMATS, export_records, take_snapshot
from assay.jobs import DataFile, StoredParquet
from assay.kernel.write import footer_hash, footer_size, parquet_bytes
from assay.reading import list_all_parts, read_datapoints, read_ids, read_kept, read_known_ids, read_row_groups
from assay.storage.local import LocalStorage
from operations.appends import AGES, ages, append, jsonl
from operations.steps import make_dataset

KEY = "datasets/a/parts/a.parquet"


def part_bytes(records: int = 40) -> bytes:
    """A part as an import writes it, of all the types of columns."""
    table = pa.table(
        {
            "datapoint_id": pa.ExtensionArray.from_storage(
                pa.uuid(),
                pa.array([uuid.uuid5(uuid.NAMESPACE_OID, str(n)).bytes for n in range(records)], pa.binary(16)),
            ),
            "record_index": pa.array(range(records), pa.int64()),
            "age": pa.array([None if n % 5 == 0 else n * 3 for n in range(records)], pa.int64()),
            "kind": ["a" if n % 2 else "bb" for n in range(records)],
            "name": [f"name {n * n}" for n in range(records)],
            "is_old": [bool(n % 3) for n in range(records)],
            "share": [n / 7 for n in range(records)],
        }
    )
    return parquet_bytes(table).to_pybytes()


class OneFile:
    """A storage with one file in memory, of which a bit can be flipped."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_range(self, _key: str, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def flipped(self, at: int, bit: int) -> "OneFile":
        return OneFile(self._data[:at] + bytes([self._data[at] ^ 1 << bit]) + self._data[at + 1 :])


def batches_of(storage: Any, file: StoredParquet) -> list[Any]:
    with closing(read_batches(storage, file)) as batches:
        return [batch.to_pydict() for batch in batches]


def read_whole(storage: Any, file: StoredParquet) -> pa.Table:
    return pa.concat_tables(read_row_groups(storage, file))


READERS: dict[str, Callable[[Any, StoredParquet], Any]] = {
    "whole": lambda storage, file: read_whole(storage, file).to_pydict(),
    "in batches": batches_of,
    "ids": lambda storage, file: read_ids(storage, file).tolist(),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_flipped_bit_is_told_of_or_means_nothing(read: Callable[[Any, StoredParquet], Any]) -> None:
    data = part_bytes()
    file = StoredParquet(KEY, len(data), footer_hash(data))
    whole = OneFile(data)
    good = read(whole, file)
    footer_starts = len(data) - footer_size(data)
    bits = Random(1)
    served = set()
    for at in range(len(data)):
        found, damage = read_or_damage(read, whole.flipped(at, bits.randrange(8)), file)
        if damage is None:
            assert found == good, f"the bit at byte {at} of {len(data)}, whose footer starts at {footer_starts}"
            served.add(at)
        else:
            assert (damage.code, damage.message) == (ErrorCode.STORAGE_DAMAGED, told_of(KEY))
    assert max(served) < footer_starts


def read_or_damage(
    read: Callable[[Any, StoredParquet], Any], storage: OneFile, file: StoredParquet
) -> tuple[Any, Unavailable | None]:
    try:
        return read(storage, file), None
    except Unavailable as error:
        return None, error


def test_of_a_long_column_nothing_is_served_that_stands_beside_other_records() -> None:
    """What is wrong before a page, and not in it, has no checksum: it must not move the values that come after."""
    count = 70_000
    ages = [None if n % 7 == 0 else n for n in range(count)]
    table = pa.table({"record_index": pa.array(range(count), pa.int64()), "age": pa.array(ages, pa.int64())})
    data = parquet_bytes(table).to_pybytes()
    file = StoredParquet(KEY, len(data), footer_hash(data))
    groups = pq.read_metadata(pa.BufferReader(data))
    assert groups.num_row_groups == 2
    for group, column in product(range(2), range(2)):
        starts = groups.row_group(group).column(column).data_page_offset
        for at, bit in product(range(starts, starts + 24), range(8)):
            served = list(served_batches(OneFile(data).flipped(at, bit), file))
            assert pa.Table.from_batches(served, table.schema).equals(table.slice(0, sum(map(len, served))))


def served_batches(storage: OneFile, file: StoredParquet) -> Iterator[pa.RecordBatch]:
    """Those that come before the damage is noticed."""
    with suppress(Unavailable):
        yield from read_batches(storage, file, rows_a_batch=16_384)  # type: ignore[arg-type]


def told_of(key: str) -> str:
    return f"The stored file {key} is damaged: restore it from a backup, or import its upload again."


@pytest.mark.parametrize("columns", [1, 400])
def test_a_footer_of_any_size_is_compared(columns: int) -> None:
    """A large one is not whole in what is read first."""
    data = parquet_bytes(pa.table({f"a column of number {n}": [n] for n in range(columns)})).to_pybytes()
    assert (footer_size(data) > 64 * 1024) == (columns == 400)
    file = StoredParquet(KEY, len(data), footer_hash(data))
    assert read_whole(OneFile(data), file).num_columns == columns
    for at in (len(data) - footer_size(data), len(data) - footer_size(data) // 2, len(data) - 9):
        with pytest.raises(Unavailable, match="damaged"):
            read_whole(OneFile(data).flipped(at, 0), file)


@pytest.mark.parametrize("left", [0, 3, 8, 100, -1])
def test_a_file_that_was_cut_is_told_of(left: int) -> None:
    data = part_bytes()
    for hash_of_footer in (footer_hash(data), None):
        file = StoredParquet(KEY, len(data), hash_of_footer)
        with pytest.raises(Unavailable, match="damaged"):
            read_whole(OneFile(data[:left]), file)


def change_footer(storage: LocalStorage, key: str) -> None:
    """Flip a bit that changes nothing Arrow looks at, so that only the hash can tell."""
    stored = storage.stat(key)
    assert stored is not None
    data = storage.read_range(key, 0, stored.size_bytes)
    assert data.count(b"parquet-cpp-arrow") == 1
    storage.put(key, data.replace(b"parquet-cpp-arrow", b"parquet-cqp-arrow"))


def files_of(db: Database, dataset_id: UUID) -> list[DataFile]:
    with db.read() as tx:
        return datasets.list_files(tx, dataset_id)


def export(db: Database, storage: LocalStorage, dataset_id: UUID) -> bytes:
    return b"".join(export_records(storage, take_snapshot(db, dataset_id), EXPORT_FORMATS["jsonl"]))


USERS: dict[str, Callable[[Database, LocalStorage, UUID], object]] = {
    "pages": ages,
    "exports": export,
    "known ids of imports": lambda db, storage, dataset: [read() for read in read_known_ids(db, storage, dataset)],
    "known ids of appends": lambda db, storage, dataset: append(db, storage, dataset, jsonl(1), known_ids=KnownIds()),
    "migrations": lambda db, storage, dataset: list(read_kept(storage, list_all_parts(db, dataset))),
    "compactions": compact_dataset,
}


@pytest.mark.parametrize("use", USERS.values(), ids=USERS)
def test_whoever_reads_a_part_compares_its_footer(
    database: Database, storage: LocalStorage, use: Callable[[Database, LocalStorage, UUID], object]
) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    for age in range(1, 11):
        append(database, storage, dataset_id, jsonl(age))
    files = files_of(database, dataset_id)
    change_footer(storage, files[3].key)
    with pytest.raises(Unavailable) as caught:
        use(database, storage, dataset_id)
    assert (caught.value.code, caught.value.message) == (ErrorCode.STORAGE_DAMAGED, told_of(files[3].key))
    assert files_of(database, dataset_id) == files


def test_a_compacted_file_has_the_hash_of_its_own_footer(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    for age in range(1, 11):
        append(database, storage, dataset_id, jsonl(age))
    assert compact_dataset(database, storage, dataset_id) == 9
    (file,) = files_of(database, dataset_id)
    assert file.footer_hash == footer_hash(storage.read_range(file.key, 0, file.size_bytes))
    assert ages(database, storage, dataset_id) == list(range(1, 11))
    change_footer(storage, file.key)
    with pytest.raises(Unavailable, match="damaged"):
        ages(database, storage, dataset_id)


def test_files_of_older_releases_go_on_without_a_hash(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    for age in range(1, 11):
        append(database, storage, dataset_id, jsonl(age))
    with database.write() as tx:
        tx.connection.execute(text("UPDATE parts SET footer_hash = NULL"))
    assert {file.footer_hash for file in files_of(database, dataset_id)} == {None}
    assert ages(database, storage, dataset_id) == list(range(1, 11))
    append(database, storage, dataset_id, jsonl(3, 11))
    assert compact_dataset(database, storage, dataset_id) == 10
    (file,) = files_of(database, dataset_id)
    assert file.footer_hash is not None
    assert ages(database, storage, dataset_id) == list(range(1, 12))


def compact_as_an_older_release(db: Database, storage: LocalStorage, dataset_id: UUID) -> None:
    """It knew of no hashes, and left those of the files that it put together."""
    of_rows = text("SELECT first_row, footer_hash FROM parts WHERE dataset_id = :dataset_id")
    with db.read() as tx:
        rows = tx.connection.execute(of_rows, {"dataset_id": str(dataset_id)}).all()
    assert compact_dataset(db, storage, dataset_id) == len(rows) - 1
    put_back = text("UPDATE parts SET footer_hash = :footer_hash WHERE first_row = :first_row")
    with db.write() as tx:
        tx.connection.execute(put_back, [row._asdict() for row in rows])


READERS = USERS | {
    "a page of some": lambda db, storage, dataset: read_datapoints(db, storage, dataset, from_row=3, limit=2),
}


@pytest.mark.parametrize("without", ["first_row < 0", "first_row > 0"], ids=["of all", "of one"])
@pytest.mark.parametrize("use", READERS.values(), ids=READERS)
def test_hashes_that_an_older_release_left_to_a_file_of_its_own_are_no_damage(
    database: Database,
    storage: LocalStorage,
    use: Callable[[Database, LocalStorage, UUID], object],
    without: str,
) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    for age in range(1, 11):
        append(database, storage, dataset_id, jsonl(age))
    with database.write() as tx:
        tx.connection.execute(text(f"UPDATE parts SET footer_hash = NULL WHERE {without}"))
    compact_as_an_older_release(database, storage, dataset_id)
    use(database, storage, dataset_id)
    assert ages(database, storage, dataset_id)[:10] == list(range(1, 11))
    for age in range(11, 30):
        append(database, storage, dataset_id, jsonl(age))
    assert compact_dataset(database, storage, dataset_id) > 0
    (file,) = files_of(database, dataset_id)
    assert file.footer_hash == footer_hash(storage.read_range(file.key, 0, file.size_bytes))
