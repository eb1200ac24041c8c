"""From the offer of a URL to a file that is in line: finished, broken off, noticed, expired; nothing gets lost."""

import time
from datetime import timedelta
from typing import Any, cast

import pytest

from assay import noticing
from assay.db import jobs
from assay.db.engine import Database
from assay.errors import Conflict, ErrorCode, NotFound
from assay.jobs import State
from assay.noticing import expire_imports, notice_upload, notice_uploads
from assay.operations import SeenUpload, begin_upload, cancel_import, end_upload, finish_upload
from assay.storage.base import Storage, Stored
from assay.storage.local import LocalStorage
from assay.sweeping import sweep_files
from moving_clock import Clock
from operations.steps import LIMIT, history, make_dataset, now_stands, offer_upload, states_of, upload


class SlowStorage:
    """A storage that takes its time for each look, and counts how many it is asked for at once."""

    def __init__(self, storage: LocalStorage, *, look_seconds: float) -> None:
        self._storage = storage
        self._look_seconds = look_seconds
        self._looking = 0
        self.most_at_once = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def stat(self, key: str) -> Stored | None:
        self._looking += 1
        self.most_at_once = max(self.most_at_once, self._looking)
        time.sleep(self._look_seconds)
        self._looking -= 1
        return self._storage.stat(key)


def test_finished_upload_is_in_line_with_its_size_and_time(database: Database, storage: Storage, clock: Clock) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    clock.advance(60)
    begin_upload(database, job.file_key, quiet_seconds=60)
    clock.advance(5)
    done = finish_upload(database, job, SeenUpload(size_bytes=12, hash="abc"))
    assert (done.state, done.size_bytes, done.uploaded_at) == (State.QUEUED, 12, clock())
    assert states_of(database, job) == [State.UNINITIALISED, State.QUEUED]


def test_finished_upload_of_a_dataset_without_schema_waits(database: Database, storage: Storage) -> None:
    assert upload(database, storage, make_dataset(database, schema=None)).state is State.PENDING_SCHEMA


def test_upload_that_was_finished_twice_moves_once(database: Database, storage: Storage) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    first = finish_upload(database, job, SeenUpload(size_bytes=12))
    assert finish_upload(database, job, SeenUpload(size_bytes=12)) == first
    assert len(history(database, job)) == 2


def test_second_upload_is_a_conflict(database: Database, storage: Storage) -> None:
    job = upload(database, storage, make_dataset(database))
    with pytest.raises(Conflict) as caught:
        begin_upload(database, job.file_key, quiet_seconds=60)
    assert caught.value.code is ErrorCode.ALREADY_UPLOADED


def test_upload_of_an_unknown_file_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        begin_upload(database, "datasets/1/uploads/2/a.csv", quiet_seconds=60)


def test_upload_that_ends_after_a_cancel_is_a_conflict(database: Database, storage: Storage) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    begin_upload(database, job.file_key, quiet_seconds=60)
    cancel_import(database, job.dataset_id, job.id)
    with pytest.raises(Conflict):
        finish_upload(database, job, SeenUpload(size_bytes=12))
    assert now_stands(database, job).reason == "Cancelled"


def test_url_that_expires_unused_ends_its_import(database: Database, storage: Storage, clock: Clock) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    clock.advance(3600)
    assert expire_imports(database, storage, max_bytes=LIMIT) == 0
    clock.advance(1)
    assert expire_imports(database, storage, max_bytes=LIMIT) == 1
    ended = now_stands(database, job)
    assert ended.state is State.FAILED
    assert "expired" in (ended.reason or "")
    assert expire_imports(database, storage, max_bytes=LIMIT) == 0


def test_upload_on_its_way_in_does_not_expire(database: Database, storage: Storage, clock: Clock) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    clock.advance(3590)
    for _ in range(5):  # a long upload, which shows now and then that it is alive
        begin_upload(database, job.file_key, quiet_seconds=60)
        clock.advance(50)
        expire_imports(database, storage, max_bytes=LIMIT)
    assert finish_upload(database, job, SeenUpload(size_bytes=12)).state is State.QUEUED


def test_upload_that_broke_off_expires_in_its_time(database: Database, storage: Storage, clock: Clock) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    begin_upload(database, job.file_key, quiet_seconds=60)
    end_upload(database, job)
    expire_imports(database, storage, max_bytes=LIMIT)
    assert now_stands(database, job).state is State.UNINITIALISED
    clock.advance(3601)
    expire_imports(database, storage, max_bytes=LIMIT)
    assert now_stands(database, job).state is State.FAILED


def test_silent_upload_expires_when_it_was_quiet_for_long(database: Database, storage: Storage, clock: Clock) -> None:
    """As when the service that took it was killed."""
    job = offer_upload(database, storage, make_dataset(database)).job
    clock.advance(3590)
    begin_upload(database, job.file_key, quiet_seconds=60)
    clock.advance(59)
    expire_imports(database, storage, max_bytes=LIMIT)
    assert now_stands(database, job).state is State.UNINITIALISED
    clock.advance(2)
    expire_imports(database, storage, max_bytes=LIMIT)
    assert now_stands(database, job).state is State.FAILED


@pytest.mark.parametrize("has_schema", [True, False])
def test_file_that_is_there_is_noticed_by_a_poll(database: Database, storage: Storage, has_schema: bool) -> None:
    """As when the service died between storing the file and saying so, or a store took it without our doing."""
    dataset_id = make_dataset(database) if has_schema else make_dataset(database, schema=None)
    job = offer_upload(database, storage, dataset_id).job
    assert notice_upload(database, storage, job, max_bytes=LIMIT) == job
    storage.put(job.file_key, b"age\n1\n")
    noticed = notice_upload(database, storage, job, max_bytes=LIMIT)
    assert noticed.state is (State.QUEUED if has_schema else State.PENDING_SCHEMA)
    assert noticed.size_bytes == 6
    assert notice_upload(database, storage, noticed, max_bytes=LIMIT) == noticed


def test_file_that_nobody_polls_is_noticed_by_the_sweep(database: Database, storage: Storage, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    offers = [offer_upload(database, storage, dataset_id).job for _ in range(3)]
    clock.advance(1)
    storage.put(offers[1].file_key, b"age\n1\n")
    assert notice_uploads(database, storage, max_bytes=LIMIT) == 1
    assert [now_stands(database, job).state for job in offers] == [
        State.UNINITIALISED,
        State.QUEUED,
        State.UNINITIALISED,
    ]


def test_files_are_in_line_as_they_came_whichever_is_noticed_first(
    database: Database, storage: Storage, clock: Clock
) -> None:
    """An object store tells nobody of an upload, and whoever polls asks for the last one as likely as for the first."""
    dataset_id = make_dataset(database)
    offers = [offer_upload(database, storage, dataset_id).job for _ in range(4)]
    clock.step = timedelta(milliseconds=1)
    came = [offers[2], offers[0], offers[3]]
    for job in came:
        storage.put(job.file_key, b"age\n1\n")
        time.sleep(0.05)
    assert notice_upload(database, storage, offers[3], max_bytes=LIMIT).state is State.QUEUED
    with database.read() as tx:
        assert [job.id for job in jobs.list_in_state(tx, dataset_id, State.QUEUED)] == [job.id for job in came]
    assert now_stands(database, offers[1]).state is State.UNINITIALISED


def test_many_unused_urls_hold_up_nobody(
    sqlite_database: Database, storage: LocalStorage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look ends in its time however slow the storage is; the rest has its turn in the next ones."""
    monkeypatch.setattr(noticing, "LOOK_SECONDS", 0.0)
    dataset_id = make_dataset(sqlite_database)
    unused = [offer_upload(sqlite_database, storage, dataset_id).job for _ in range(150)]
    clock.advance(3601)
    slow = SlowStorage(storage, look_seconds=0.01)
    looked = []
    while count := expire_imports(sqlite_database, cast(Storage, slow), max_bytes=LIMIT):
        looked.append(count)
    assert looked == [64, 64, 22]
    assert slow.most_at_once > 1
    assert {now_stands(sqlite_database, job).state for job in unused} == {State.FAILED}


def test_file_that_came_as_its_url_expired_is_moved_on(database: Database, storage: Storage, clock: Clock) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    storage.put(job.file_key, b"age\n1\n")
    clock.advance(7200)
    expire_imports(database, storage, max_bytes=LIMIT)
    assert now_stands(database, job).state is State.QUEUED


def test_noticed_file_over_the_limit_fails_its_import(database: Database, storage: Storage) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    storage.put(job.file_key, b"x" * (LIMIT + 1))
    ended = notice_upload(database, storage, job, max_bytes=LIMIT)
    assert ended.state is State.FAILED
    assert "1,001 bytes" in (ended.reason or "")


@pytest.mark.parametrize("how", ["refused", "cancelled", "expired"])
def test_file_of_an_import_that_took_none_is_removed_as_often_as_it_can_come(
    sqlite_database: Database, storage: LocalStorage, clock: Clock, how: str
) -> None:
    """As on an object store, which takes a PUT until the URL has expired."""
    job = offer_upload(sqlite_database, storage, make_dataset(sqlite_database)).job
    if how == "cancelled":
        cancel_import(sqlite_database, job.dataset_id, job.id)
    elif how == "expired":
        clock.advance(3601)
        expire_imports(sqlite_database, storage, max_bytes=LIMIT)
    storage.put(job.file_key, b"x" * (LIMIT + 1))
    if how == "refused":
        notice_upload(sqlite_database, storage, job, max_bytes=LIMIT)
    assert now_stands(sqlite_database, job).state is State.FAILED
    sweep_files(sqlite_database, storage)
    assert storage.stat(job.file_key) is None
    storage.put(job.file_key, b"again")
    clock.advance(3600 + 24 * 3600 + 1)
    sweep_files(sqlite_database, storage)
    assert storage.stat(job.file_key) is None


def test_file_that_an_import_took_stays_when_it_is_cancelled(
    sqlite_database: Database, storage: LocalStorage, clock: Clock
) -> None:
    job = upload(sqlite_database, storage, make_dataset(sqlite_database))
    storage.put(job.file_key, b"age\n1\n")
    cancel_import(sqlite_database, job.dataset_id, job.id)
    for _ in range(2):
        sweep_files(sqlite_database, storage)
        clock.advance(48 * 3600)
    assert storage.stat(job.file_key) is not None


def test_quiet_time_keeps_a_half_written_file_from_being_noticed(database: Database, storage: Storage) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    begin_upload(database, job.file_key, quiet_seconds=60)
    with database.read() as tx:
        assert jobs.list_quiet(tx, limit=10) == []
