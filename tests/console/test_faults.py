"""Pages of faults with their records: by field and reason, to the end, and whatever has become of the upload."""

from collections.abc import Generator
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from assay import faulty_records
from assay.faulty_records import FaultFilter, FaultyPage, read_faulty_page
from assay.jobs import Import
from assay.operations import get_import
from assay.rejected import read_faults
from console.conftest import Desk
from services.callers import AGES, ages_csv

ALL = FaultFilter()


def faulty_import(desk: Desk, data: bytes, *, filename: str = "ages.csv") -> Import:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, data, filename)
    return get_import(desk.services.db, UUID(dataset_id), UUID(job["import_id"]))


def page_of(desk: Desk, job: Import, chosen: FaultFilter, *, from_fault: int = 0, limit: int = 10) -> FaultyPage:
    return read_faulty_page(
        desk.services.db,
        desk.services.storage,
        job,
        chosen,
        from_fault=from_fault,
        limit=limit,
        record_limit_bytes=desk.services.settings.record_limit_bytes,
    )


def marks(page: FaultyPage) -> list[str | None]:
    return [None if fault.shown is None else fault.shown.marked for fault in page.faults]


def test_pages_follow_one_another_to_the_end(desk: Desk) -> None:
    job = faulty_import(desk, ages_csv(1, *(f"old{number}" for number in range(25))))
    found: list[str | None] = []
    from_fault: int | None = 0
    while from_fault is not None:
        page = page_of(desk, job, ALL, from_fault=from_fault)
        found += marks(page)
        from_fault = page.next_fault
    assert found == [f"old{number}" for number in range(25)]


def test_filter_finds_each_fault_once_over_all_pages(desk: Desk) -> None:
    ages = [value for number in range(30) for value in (number + 1, f"old{number}", -number)]
    job = faulty_import(desk, ages_csv(*ages))
    chosen = FaultFilter(field="age", reason="Value must be an integer")
    first = page_of(desk, job, chosen, limit=20)
    assert first.next_fault is not None
    second = page_of(desk, job, chosen, from_fault=first.next_fault, limit=20)
    assert marks(first) + marks(second) == [f"old{number}" for number in range(30)]


def test_reason_may_be_the_title_of_a_code(desk: Desk) -> None:
    lines = "".join('{"age": 1' + " " * number + "\n" for number in range(3))
    job = faulty_import(desk, lines.encode() + b'{"age": 1}\n{"age": "old"}\n', filename="ages.jsonl")
    page = page_of(desk, job, FaultFilter(reason="Malformed JSON"))
    assert [fault.record_index for fault in page.faults] == [0, 1, 2]


def test_long_search_stops_and_says_where_to_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    job = faulty_import(desk, ages_csv(1, *["old"] * 5, -1))

    def one_by_one(*given: Any, **more: Any) -> Generator[pa.RecordBatch, None, None]:
        for batch in read_faults(*given, **more):
            yield from (batch.slice(row, 1) for row in range(batch.num_rows))

    monkeypatch.setattr(faulty_records, "read_faults", one_by_one)
    monkeypatch.setattr(faulty_records, "FAULTS_A_LOOK", 3)
    chosen = FaultFilter(reason="Value must be a positive integer")
    first = page_of(desk, job, chosen)
    assert (first.faults, first.next_fault) == ((), 3)
    assert marks(page_of(desk, job, chosen, from_fault=3)) == ["-1"]


def test_records_far_apart_and_very_long_ones_are_shown(desk: Desk) -> None:
    long_text = "y" * 200_000
    lines = ['{"age": "first"}', *['{"age": 1}'] * 20_000, '{"text": "' + long_text + '", "age": "last"}']
    job = faulty_import(desk, "\n".join(lines).encode(), filename="ages.jsonl")
    first, last = page_of(desk, job, ALL).faults
    assert first.shown is not None
    assert last.shown is not None
    assert first.shown.marked == '"first"'
    assert last.shown.before.startswith('{"text": "yyy') or last.shown.after.startswith('{"text": "yyy')
    assert last.shown.is_cut_after


def test_upload_that_is_gone_leaves_the_faults_without_their_records(desk: Desk) -> None:
    job = faulty_import(desk, ages_csv(1, "old"))
    desk.services.storage.delete(job.file_key)
    page = page_of(desk, job, ALL)
    assert [(fault.record_index, fault.shown) for fault in page.faults] == [(1, None)]
    path = f"/datasets/{job.dataset_id}/imports/{job.id}"
    assert "The upload can no longer be read" in desk.visitor.get(path).text
