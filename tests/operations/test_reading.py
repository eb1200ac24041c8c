"""Records read back in pages over many parts, while others are being committed."""

import json
import uuid
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.appending import KnownIds, append_records
from assay.db import jobs
from assay.db.engine import Database
from assay.jobs import Counts, NewPart, State
from assay.kernel.write import footer_hash
from assay.reading import read_datapoints
from assay.storage.base import Storage
from db.making import claim_surely, outcome_of
from operations.steps import make_dataset, upload


def write_part(storage: Storage, key: str, values: list[int | None], *, rows_a_group: int) -> NewPart:
    """A part as the kernel writes it; each record's index is its value."""
    table = pa.table(
        {
            "datapoint_id": pa.array([uuid.uuid4().bytes for _ in values], pa.binary(16)),
            "record_index": pa.array(range(len(values)), pa.int64()),
            "age": pa.array(values, pa.int64()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=rows_a_group)
    data = sink.getvalue().to_pybytes()
    storage.put(key, data)
    return NewPart(key=key, record_count=len(values), size_bytes=len(data), footer_hash=footer_hash(data))


def commit(db: Database, storage: Storage, dataset_id: UUID, *sizes: int, first: int, rows_a_group: int = 3) -> int:
    """An import of parts of these sizes, whose values count on from `first`; the next value."""
    upload(db, storage, dataset_id)
    lease = claim_surely(db)
    parts = []
    for number, size in enumerate(sizes):
        key = f"datasets/{dataset_id}/parts/{lease.job.id}/1/part-{number:05d}.parquet"
        parts.append(write_part(storage, key, list(range(first, first + size)), rows_a_group=rows_a_group))
        first += size
    outcome = replace(outcome_of(lease), counts=Counts(accepted=sum(sizes)), parts=tuple(parts))
    with db.write() as tx:
        jobs.commit_outcome(tx, lease, outcome, to=State.COMPLETE, reason=None)
    return first


@pytest.mark.parametrize("limit", [1, 2, 7, 19, 20, 1000])
def test_pages_of_any_size_join_to_the_whole(sqlite_database: Database, storage: Storage, limit: int) -> None:
    dataset_id = make_dataset(sqlite_database)
    count = commit(sqlite_database, storage, dataset_id, 1, 7, 2, 10, first=0)
    found: list[object] = []
    row: int | None = 0
    while row is not None:
        page = read_datapoints(sqlite_database, storage, dataset_id, from_row=row, limit=limit)
        assert len(page.datapoints) == min(limit, count - row)
        found += [datapoint.data["age"] for datapoint in page.datapoints]
        row = page.next_row
    assert found == list(range(count))


def test_page_of_large_records_is_cut_and_its_cursor_goes_on(sqlite_database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(
        sqlite_database, schema={"fields": {"text": {"type": "text"}, "yes": {"type": "boolean"}}}
    )
    lengths = [9, 8, 1, 40, 2, 3, 0, 11, 4, 5]  # MiB; a page has 16, or one record
    for of_part in lengths[:5], lengths[5:]:
        lines = [json.dumps({"text": "ä" * (length << 19), "yes": True}, ensure_ascii=False) for length in of_part]
        body = "\n".join(lines).encode()
        append_records(sqlite_database, storage, dataset_id, body, known_ids=KnownIds(), record_limit_bytes=64 << 20)
    pages: list[list[int]] = []
    row: int | None = 0
    while row is not None:
        page = read_datapoints(sqlite_database, storage, dataset_id, from_row=row, limit=1000)
        pages.append([len(datapoint.data["text"].encode()) >> 20 for datapoint in page.datapoints])
        row = page.next_row
    assert pages == [[9], [8, 1], [40], [2, 3, 0, 11], [4, 5]]


def test_page_reaches_over_more_parts_than_one_look(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database)
    commit(database, storage, dataset_id, *[1] * 70, first=0)
    page = read_datapoints(database, storage, dataset_id, from_row=2, limit=66)
    assert [datapoint.data["age"] for datapoint in page.datapoints] == list(range(2, 68))
    assert page.next_row == 68


def test_import_that_commits_between_pages_comes_after_them(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database)
    commit(database, storage, dataset_id, 4, 4, first=0)
    one = read_datapoints(database, storage, dataset_id, from_row=0, limit=5)
    commit(database, storage, dataset_id, 3, first=8)
    assert one.next_row == 5
    two = read_datapoints(database, storage, dataset_id, from_row=5, limit=100)
    assert [datapoint.data["age"] for datapoint in two.datapoints] == [5, 6, 7, 8, 9, 10]
    assert len({datapoint.import_id for datapoint in two.datapoints}) == 2
    assert two.next_row is None


def test_start_past_the_end_is_an_empty_page(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database)
    commit(database, storage, dataset_id, 2, first=0)
    for row in (2, 3, 10**17):
        page = read_datapoints(database, storage, dataset_id, from_row=row, limit=5)
        assert (page.datapoints, page.next_row) == ([], None)


def test_only_the_needed_ranges_of_a_part_are_read(
    sqlite_database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset_id = make_dataset(sqlite_database)
    commit(sqlite_database, storage, dataset_id, 200_000, first=0, rows_a_group=10_000)
    read = 0
    read_range = type(storage).read_range

    def counted(self: Storage, key: str, offset: int, length: int) -> bytes:
        nonlocal read
        data = read_range(self, key, offset, length)
        read += len(data)
        return data

    monkeypatch.setattr(type(storage), "read_range", counted)
    page = read_datapoints(sqlite_database, storage, dataset_id, from_row=150_000, limit=1)
    assert [datapoint.data["age"] for datapoint in page.datapoints] == [150_000]
    (part,) = storage.list(f"datasets/{dataset_id}/parts")
    assert read < part.size_bytes / 4
