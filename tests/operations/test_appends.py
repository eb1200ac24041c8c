"""Appends: whole or not at all, nothing twice, and never beside another job of the dataset."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from assay.appending import MAX_RECORDS, UNFINISHED_FOR, KnownIds
from assay.db import datasets, jobs
from assay.db.engine import Database
from assay.errors import Conflict, ErrorCode, Invalid, NotFound
from assay.ids import new_id
from assay.jobs import RecordError, State
from assay.operations import publish_schema
from assay.storage.local import LocalStorage
from assay.sweeping import sweep_files
from db.making import claim_surely, complete
from moving_clock import Clock
from operations.appends import AGES, Between, CutShortError, StepByStep, ages, append, jsonl, keys
from operations.steps import make_dataset, upload


def test_accepted_records_are_added_and_rejected_ones_are_told(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    body = b'{"age": 1}\n\n{"age": 0}\r\n{"age": 2}\n{"age"\n{}\n{"age": 1}'
    appended = append(database, storage, dataset_id, body)
    assert appended.accepted == 3
    assert [(error.record_index, error.field) for error in appended.errors] == [(1, "age"), (3, "_raw"), (4, "age")]
    assert appended.errors[2] == RecordError(4, "age", "Field is required")
    assert ages(database, storage, dataset_id) == [1, 2]
    with database.read() as tx:
        dataset = datasets.get_dataset(tx, dataset_id)
        assert jobs.list_imports(tx, dataset_id, limit=10, before=None) == []
        assert datasets.count_states(tx, dataset_id) == {State.PARTIAL: 1}
    assert dataset is not None
    assert dataset.record_count == 2


def test_appends_come_after_all_that_is_there(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    for first in (5, 1, 3):
        append(database, storage, dataset_id, jsonl(first, first + 1))
    assert ages(database, storage, dataset_id) == [5, 6, 1, 2, 3, 4]


def test_repeating_a_body_writes_nothing_and_counts_the_same(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    body = jsonl(1, 0, 2, 2)
    first = append(database, storage, dataset_id, body)
    files = keys(storage, dataset_id)
    assert append(database, storage, dataset_id, body) == first
    assert append(database, storage, dataset_id, jsonl(2)).accepted == 1
    assert keys(storage, dataset_id) == files
    assert ages(database, storage, dataset_id) == [1, 2]


def test_body_with_nothing_acceptable_leaves_nothing(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    assert append(database, storage, dataset_id, jsonl(0, -1)).accepted == 0
    assert keys(storage, dataset_id) == set()
    with database.read() as tx:
        assert datasets.count_states(tx, dataset_id) == {}


# Note the files, store the body, store the part, commit; a transaction has a step before it begins and one at its end.
STEPS = 6


@pytest.mark.parametrize("cut_before", range(STEPS))
def test_append_that_is_cut_short_leaves_nothing(
    database: Database, storage: LocalStorage, clock: Clock, cut_before: int
) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append(database, storage, dataset_id, jsonl(1))
    sweep_files(database, storage)
    before = keys(storage, dataset_id)
    dying = StepByStep(database, storage, cut_before=cut_before)
    with pytest.raises(CutShortError):
        append(dying, dying, dataset_id, jsonl(1, 2, 3))  # type: ignore[arg-type]
    assert ages(database, storage, dataset_id) == [1]
    sweep_files(database, storage)
    clock.advance(UNFINISHED_FOR.total_seconds() + 1)
    sweep_files(database, storage)
    assert keys(storage, dataset_id) == before
    assert append(database, storage, dataset_id, jsonl(1, 2, 3)).accepted == 3
    assert ages(database, storage, dataset_id) == [1, 2, 3]


def test_append_takes_no_more_steps_than_are_cut(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    counting = StepByStep(database, storage, cut_before=-1)
    append(counting, counting, dataset_id, jsonl(1))  # type: ignore[arg-type]
    assert counting.step == STEPS


def test_files_of_an_append_that_is_under_way_are_not_swept(
    database: Database, storage: LocalStorage, clock: Clock
) -> None:
    dataset_id = make_dataset(database, schema=AGES)

    def sweep() -> None:
        clock.advance(UNFINISHED_FOR.total_seconds() - 1)
        sweep_files(database, storage)

    append(database, Between(storage, sweep), dataset_id, jsonl(1))
    clock.advance(timedelta(days=2).total_seconds())
    sweep_files(database, storage)
    assert ages(database, storage, dataset_id) == [1]
    assert len(keys(storage, dataset_id)) == 2


@pytest.mark.parametrize("bodies", [[jsonl(*range(1, 101))] * 8, [jsonl(*range(n, n + 60)) for n in range(1, 9)]])
def test_appends_at_once_write_each_record_once(database: Database, storage: LocalStorage, bodies: list[bytes]) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    known_ids = KnownIds()
    with ThreadPoolExecutor(len(bodies)) as threads:
        racing = [threads.submit(append, database, storage, dataset_id, body, known_ids=known_ids) for body in bodies]
        accepted = [race.result(60).accepted for race in racing]
    assert accepted == [body.count(b"\n") for body in bodies]
    found = ages(database, storage, dataset_id)
    assert sorted(found) == sorted({age for body in bodies for age in map(int, _digits(body))})


def _digits(body: bytes) -> list[bytes]:
    return [line.strip(b'{"age: }') for line in body.splitlines()]


def test_append_that_comes_second_takes_what_the_first_had_for_duplicates(
    database: Database, storage: LocalStorage
) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    other = Between(storage, lambda: append(database, storage, dataset_id, jsonl(2, 3)))
    assert append(database, other, dataset_id, jsonl(1, 2)).accepted == 2
    assert ages(database, storage, dataset_id) == [2, 3, 1]


def test_append_is_judged_by_the_schema_that_it_is_committed_under(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    stricter = {"fields": {"age": {"type": "integer", "minimum": 10}}}
    other = Between(storage, lambda: publish_schema(database, dataset_id, stricter))
    appended = append(database, other, dataset_id, jsonl(1, 20))
    assert (appended.accepted, len(appended.errors)) == (1, 1)
    assert ages(database, storage, dataset_id) == [20]


def _queue(database: Database, storage: LocalStorage, dataset_id: UUID) -> None:
    upload(database, storage, dataset_id)


def _run(database: Database, storage: LocalStorage, dataset_id: UUID) -> None:
    upload(database, storage, dataset_id)
    claim_surely(database)


def _migrate(database: Database, storage: LocalStorage, dataset_id: UUID) -> None:
    append(database, storage, dataset_id, jsonl(100))
    publish_schema(database, dataset_id, {"fields": {"age": {"type": "number"}}})


@pytest.mark.parametrize("begin", [_queue, _run, _migrate])
@pytest.mark.parametrize("when", ["before", "in mid-append"])
def test_append_is_a_conflict_beside_another_job(
    database: Database, storage: LocalStorage, begin: Callable[[Database, LocalStorage, UUID], None], when: str
) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    place: LocalStorage | Between = storage
    if when == "before":
        begin(database, storage, dataset_id)
    else:
        place = Between(storage, lambda: begin(database, storage, dataset_id))
    with pytest.raises(Conflict) as caught:
        append(database, place, dataset_id, jsonl(1))
    assert caught.value.code is ErrorCode.DATASET_BUSY


def test_append_goes_on_once_the_import_has_ended(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    upload(database, storage, dataset_id)
    lease = claim_surely(database)
    with database.write() as tx:
        jobs.fail(tx, lease.job, reason="for the test")
    assert append(database, storage, dataset_id, jsonl(1)).accepted == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty"),
        (b" \n\r\n\t\n", "no records"),
        (b"\xef\xbb\xbf\n", "no records"),
        ('{"age": 1}\n'.encode("utf-16"), "The body is encoded as UTF-16. Send JSON Lines in UTF-8."),
        (b"PK\x03\x04....", "The body is a ZIP archive"),
        (jsonl(*range(1, MAX_RECORDS + 2)), "has 1,001 records; at most 1,000"),
    ],
)
def test_body_that_is_no_records_is_refused(
    sqlite_database: Database, storage: LocalStorage, body: bytes, says: str
) -> None:
    dataset_id = make_dataset(sqlite_database, schema=AGES)
    with pytest.raises(Invalid, match=says):
        append(sqlite_database, storage, dataset_id, body)
    assert keys(storage, dataset_id) == set()


def test_as_many_records_as_are_taken_and_a_byte_order_mark_are_fine(
    sqlite_database: Database, storage: LocalStorage
) -> None:
    dataset_id = make_dataset(sqlite_database, schema=AGES)
    body = b"\xef\xbb\xbf" + jsonl(*range(1, MAX_RECORDS + 1))
    assert append(sqlite_database, storage, dataset_id, body).accepted == MAX_RECORDS
    assert append(sqlite_database, storage, dataset_id, jsonl(1)).accepted == 1
    assert ages(sqlite_database, storage, dataset_id) == list(range(1, MAX_RECORDS + 1))


def test_record_past_the_limit_is_rejected_alone(sqlite_database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(sqlite_database, schema=AGES)
    appended = append(sqlite_database, storage, dataset_id, jsonl(1) + b'{"age": ' + b" " * 2000 + b"2}\n" + jsonl(3))
    assert appended.accepted == 2
    assert "bytes long" in appended.errors[0].reason


def test_dataset_without_schema_takes_no_appends(sqlite_database: Database, storage: LocalStorage) -> None:
    with pytest.raises(Invalid, match="no schema yet"):
        append(sqlite_database, storage, make_dataset(sqlite_database, schema=None), jsonl(1))
    with pytest.raises(NotFound):
        append(sqlite_database, storage, new_id(), jsonl(1))


def test_known_ids_hold_no_more_than_they_may(sqlite_database: Database, storage: LocalStorage) -> None:
    """However little is kept, what is known is known."""
    dataset_id = make_dataset(sqlite_database, schema=AGES)
    known_ids = KnownIds(max_bytes=16 * 100)
    for first in range(1, 400, 40):
        append(sqlite_database, storage, dataset_id, jsonl(*range(first, first + 40)), known_ids=known_ids)
    before = keys(storage, dataset_id)
    append(sqlite_database, storage, dataset_id, jsonl(*range(1, 401)), known_ids=known_ids)
    assert keys(storage, dataset_id) == before


def test_parts_of_appends_and_imports_stand_in_one_line(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append(database, storage, dataset_id, jsonl(1, 2))
    upload(database, storage, dataset_id)
    complete(database, claim_surely(database), 5)
    with database.read() as tx:
        files = datasets.list_files(tx, dataset_id)
    assert [(file.first_row, file.record_count, file.part_count) for file in files] == [(0, 2, 1), (2, 5, 1)]
