"""Compaction: many small files become one, and nobody who reads can tell."""

import json
import random
import threading
from uuid import UUID

import pyarrow as pa
import pytest

from assay import compacting
from assay.appending import KnownIds, append_records
from assay.compacting import MIN_FILES, SMALL_ROWS, UNFINISHED_FOR, choose_runs, compact_dataset
from assay.db import datasets, jobs, loose_files
from assay.db.engine import Database
from assay.errors import Unavailable
from assay.jobs import DataFile
from assay.kernel import write
from assay.reading import OLD_FILES_STAY_FOR, Datapoint, read_datapoints, read_row_groups
from assay.storage.local import LocalStorage
from assay.sweeping import sweep_files
from db.making import claim_surely, complete
from moving_clock import Clock
from operations.appends import AGES, Between, CutShortError, StepByStep, ages, append, jsonl, keys
from operations.steps import make_dataset, upload


def files(*record_counts: int, size_bytes: int = 100, schema_version: int = 1) -> list[DataFile]:
    return [
        DataFile(f"{number}", sum(record_counts[:number]), count, 1, size_bytes, None, schema_version)
        for number, count in enumerate(record_counts)
    ]


def chosen(of: list[DataFile]) -> list[list[int]]:
    return [[file.record_count for file in run] for run in choose_runs(of)]


def test_few_files_and_large_ones_are_left_alone() -> None:
    assert chosen(files(*[1] * (MIN_FILES - 1))) == []
    assert chosen(files(*[SMALL_ROWS] * 20)) == []
    assert chosen(files(*[1] * 5, SMALL_ROWS, *[1] * 5)) == []
    assert chosen(files(*[1] * 20, size_bytes=compacting.SMALL_BYTES)) == []


def test_only_files_of_one_schema_that_follow_each_other_are_put_together() -> None:
    assert chosen(files(*[1] * 8, SMALL_ROWS, *[2] * 9)) == [[1] * 8, [2] * 9]
    assert chosen([*files(*[1] * 5), *files(*[1] * 5, schema_version=2)]) == []


def test_file_waits_until_as_much_is_there_to_be_added_to_it() -> None:
    assert chosen(files(100, *[1] * 7)) == []
    assert chosen(files(100, *[1] * 8)) == [[1] * 8]
    assert chosen(files(100, 50, *[10] * 8)) == [[100, 50, *[10] * 8]]


def test_what_is_put_together_at_a_time_fits_into_memory() -> None:
    size_bytes = compacting.SMALL_BYTES // 4
    runs = chosen(files(*[1] * 100, size_bytes=size_bytes))
    assert sum(map(len, runs)) == 100 - 100 % 16
    assert max(map(len, runs)) * size_bytes == compacting.MAX_BYTES


@pytest.mark.parametrize("most_records", [1, 1000])
def test_many_appends_are_few_files_and_no_record_is_written_often(most_records: int) -> None:
    numbers = random.Random(1)
    lengths: list[int] = []
    appended = written = 0
    for _ in range(3000):
        lengths.append(numbers.randint(1, most_records))
        appended += lengths[-1]
        for run in choose_runs(files(*lengths)):
            at, count = run[0].first_row, sum(file.record_count for file in run)
            first = next(place for place in range(len(lengths)) if sum(lengths[:place]) == at)
            lengths[first : first + len(run)] = [count]
            written += count
    # Besides those that are large enough to be left alone.
    assert len([length for length in lengths if length < SMALL_ROWS]) < 64
    assert written < 12 * appended


def append_many(db: Database, storage: LocalStorage, dataset_id: UUID, *, count: int = 10) -> None:
    for number in range(count):
        append(db, storage, dataset_id, jsonl(2 * number + 1, 2 * number + 2))


def records(db: Database, storage: LocalStorage, dataset_id: UUID) -> list[Datapoint]:
    return read_datapoints(db, storage, dataset_id, from_row=0, limit=10_000).datapoints


def file_count(db: Database, dataset_id: UUID) -> int:
    with db.read() as tx:
        return len(datasets.list_files(tx, dataset_id))


def test_sweep_puts_small_files_together_and_changes_no_record(
    database: Database, storage: LocalStorage, clock: Clock
) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append_many(database, storage, dataset_id)
    before = records(database, storage, dataset_id)
    sweep_files(database, storage)
    assert file_count(database, dataset_id) == 1
    assert records(database, storage, dataset_id) == before
    for limit in (1, 3, 20):
        page = read_datapoints(database, storage, dataset_id, from_row=5, limit=limit)
        assert page.datapoints == before[5 : 5 + limit]
    clock.advance(OLD_FILES_STAY_FOR.total_seconds() + 1)
    sweep_files(database, storage)
    assert len([key for key in keys(storage, dataset_id) if "/parts/" in key]) == 1
    assert records(database, storage, dataset_id) == before


def test_appends_and_imports_know_records_that_were_put_together(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append_many(database, storage, dataset_id)
    sweep_files(database, storage)
    append(database, storage, dataset_id, jsonl(3, 4, 21))
    assert ages(database, storage, dataset_id) == list(range(1, 22))


class Weighed:
    """A storage that notes what Arrow holds whenever something is read."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self.held_bytes: list[int] = []

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self.held_bytes.append(pa.total_allocated_bytes())
        return self._storage.read_range(key, offset, length)

    def put(self, key: str, data: pa.Buffer) -> None:
        self._storage.put(key, data)


def test_records_that_compress_well_are_not_all_held_in_memory(
    sqlite_database: Database, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "GROUP_BYTES", 4 << 20)
    dataset_id = make_dataset(sqlite_database, schema={"fields": {"text": {"type": "text"}}})
    for number in range(20):
        body = json.dumps({"text": f"{number} " + "again " * (1 << 18)}).encode()
        append_records(sqlite_database, storage, dataset_id, body, known_ids=KnownIds(), record_limit_bytes=4 << 20)
    weighed = Weighed(storage)
    before = pa.total_allocated_bytes()
    assert compact_dataset(sqlite_database, weighed, dataset_id) == 19  # type: ignore[arg-type]
    assert max(weighed.held_bytes) - before < 16 << 20  # of 30 MiB
    with sqlite_database.read() as tx:
        (file,) = datasets.list_files(tx, dataset_id)
    groups = [group["text"].to_pylist() for group in read_row_groups(storage, file.file)]
    assert [text.split(" ", 1)[0] for texts in groups for text in texts] == [str(number) for number in range(20)]
    assert len(groups) == 10


def test_dataset_is_left_alone_while_a_job_of_it_runs(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append_many(database, storage, dataset_id)
    upload(database, storage, dataset_id)
    lease = claim_surely(database)
    sweep_files(database, storage)
    assert file_count(database, dataset_id) == 10
    with database.write() as tx:
        jobs.fail(tx, lease.job, reason="for the test")
    sweep_files(database, storage)
    assert file_count(database, dataset_id) == 1


def test_job_that_begins_in_the_midst_of_a_compaction_undoes_it(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append_many(database, storage, dataset_id)
    upload(database, storage, dataset_id)
    assert compact_dataset(database, Between(storage, lambda: claim_surely(database)), dataset_id) == 0  # type: ignore[arg-type]
    assert file_count(database, dataset_id) == 10


def test_compaction_beside_another_one_changes_nothing(database: Database, storage: LocalStorage, clock: Clock) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append_many(database, storage, dataset_id)
    before = records(database, storage, dataset_id)
    other = Between(storage, lambda: compact_dataset(database, storage, dataset_id))
    assert compact_dataset(database, other, dataset_id) == 0  # type: ignore[arg-type]
    assert file_count(database, dataset_id) == 1
    clock.advance(OLD_FILES_STAY_FOR.total_seconds() + 1)
    sweep_files(database, storage)
    assert records(database, storage, dataset_id) == before


def test_append_in_the_midst_of_a_compaction_is_whole(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append_many(database, storage, dataset_id)
    other = Between(storage, lambda: append(database, storage, dataset_id, jsonl(21)))
    assert compact_dataset(database, other, dataset_id) == 9  # type: ignore[arg-type]
    assert ages(database, storage, dataset_id) == list(range(1, 22))


STEPS = 5  # note the file, store it, point the parts to it


@pytest.mark.parametrize("cut_before", range(STEPS))
def test_compaction_that_is_cut_short_leaves_nothing(
    database: Database, storage: LocalStorage, clock: Clock, cut_before: int
) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append_many(database, storage, dataset_id)
    before, files_before = records(database, storage, dataset_id), keys(storage, dataset_id)
    dying = StepByStep(database, storage, cut_before=cut_before)
    with pytest.raises(CutShortError):
        compact_dataset(dying, dying, dataset_id)  # type: ignore[arg-type]
    assert records(database, storage, dataset_id) == before
    with database.write() as tx:  # so that the next sweep does not compact by itself
        for job in jobs.list_unswept(tx, limit=100):
            jobs.mark_swept(tx, job.id)
    clock.advance(UNFINISHED_FOR.total_seconds() + 1)
    sweep_files(database, storage)
    assert keys(storage, dataset_id) == files_before
    assert compact_dataset(database, storage, dataset_id) == 9
    assert records(database, storage, dataset_id) == before


def test_readers_in_the_midst_of_compactions_read_what_is_there(
    database: Database, storage: LocalStorage, clock: Clock
) -> None:
    """Even when files are removed from under them, as they are once a day has passed."""
    dataset_id = make_dataset(database, schema=AGES)
    is_over = threading.Event()
    failures: list[object] = []

    def read() -> None:
        try:
            while not is_over.is_set():
                found = ages(database, storage, dataset_id)
                assert found == list(range(1, len(found) + 1))
        except BaseException as error:  # noqa: BLE001  # to be seen by the test
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(24):
        append(database, storage, dataset_id, jsonl(2 * number + 1, 2 * number + 2))
        clock.advance(OLD_FILES_STAY_FOR.total_seconds() + 1)
        sweep_files(database, storage)
    is_over.set()
    for reader in readers:
        reader.join(30)
    assert failures == []
    assert ages(database, storage, dataset_id) == list(range(1, 49))
    assert file_count(database, dataset_id) < 12


def test_page_that_can_not_be_read_is_told_and_not_tried_for_ever(database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(database, schema=AGES)
    append(database, storage, dataset_id, jsonl(1))
    (part,) = [key for key in keys(storage, dataset_id) if "/parts/" in key]
    storage.delete(part)
    with pytest.raises(Unavailable):
        ages(database, storage, dataset_id)


def test_swept_job_keeps_files_that_readers_may_hold(database: Database, storage: LocalStorage) -> None:
    """Its parts lie elsewhere by now, and the old ones are not yet to be removed."""
    dataset_id = make_dataset(database, schema=AGES)
    job = upload(database, storage, dataset_id)
    complete(database, claim_surely(database), 2)
    old = f"datasets/{dataset_id}/parts/{job.id}/1/0"
    storage.put(old, b"an old part")
    with database.write() as tx:
        loose_files.note_loose(tx, [old], delete_after=tx.now() + OLD_FILES_STAY_FOR)
    sweep_files(database, storage)
    assert storage.stat(old) is not None
