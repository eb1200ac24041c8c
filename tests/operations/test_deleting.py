"""A deleted dataset: its rows are gone at once, its files soon, and what was under way changes nothing any more."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from assay.db import datasets, leases
from assay.db.engine import Database
from assay.db.tables import deletions, job_events, metadata
from assay.deleting import LATE_FILES_GRACE, delete_dataset, sweep_deleted
from assay.errors import Conflict, ErrorCode, NotFound, Unavailable
from assay.jobs import Lease, State
from assay.operations import SeenUpload, create_dataset, finish_upload, get_import, lose_attempt
from assay.storage.local import LocalStorage
from assay.sweeping import sweep_files
from db.making import claim_surely, complete
from moving_clock import Clock
from operations.steps import SCHEMA, make_dataset, offer_upload, upload


def keys(storage: LocalStorage, dataset_id: UUID) -> list[str]:
    return [stored.key for stored in storage.list(f"datasets/{dataset_id}")]


def put_file(storage: LocalStorage, dataset_id: UUID, kind: str) -> None:
    storage.put(f"datasets/{dataset_id}/{kind}/some-import/file", b"bytes")


def count_rows(db: Database) -> dict[str, int]:
    """How many rows each table has, those that a dataset has nothing to do with left out."""
    others = {"secrets", "workspaces", "tokens", "deletions"}
    with db.read() as tx:
        return {
            table.name: tx.connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table.name not in others
        }


def remembered(db: Database) -> int:
    with db.read() as tx:
        return int(tx.connection.execute(select(func.count()).select_from(deletions)).scalar_one())


def test_rows_of_every_table_go_and_those_of_other_datasets_stay(database: Database, storage: LocalStorage) -> None:
    kept = make_dataset(database)
    upload(database, storage, kept)
    before = count_rows(database)
    doomed = create_dataset(database, "default", name="doomed", created_by="a token", schema=SCHEMA).id
    upload(database, storage, doomed)
    offer_upload(database, storage, doomed)
    delete_dataset(database, doomed)
    assert count_rows(database) == before
    with database.read() as tx:
        assert datasets.get_dataset(tx, doomed) is None
        assert datasets.get_dataset(tx, kept) is not None


def test_deleting_twice_finds_nothing(database: Database) -> None:
    dataset_id = make_dataset(database)
    delete_dataset(database, dataset_id)
    with pytest.raises(NotFound) as caught:
        delete_dataset(database, dataset_id)
    assert caught.value.code is ErrorCode.UNKNOWN_DATASET


def running(db: Database, storage: LocalStorage) -> Lease:
    upload(db, storage, make_dataset(db))
    return claim_surely(db)


def test_running_job_of_a_deleted_dataset_can_write_nothing(database: Database, storage: LocalStorage) -> None:
    lease = running(database, storage)
    delete_dataset(database, lease.job.dataset_id)
    with pytest.raises(Conflict), database.write() as tx:
        leases.extend_lease(tx, lease, by=timedelta(seconds=30))
    with pytest.raises(Conflict):
        complete(database, lease, 3)
    with pytest.raises(Conflict), database.write() as tx:
        lose_attempt(tx, lease, reason="A checking process ended unexpectedly.")
    with pytest.raises(Conflict), database.read() as tx:
        datasets.get_schema(tx, lease.job.dataset_id, version=1)
    assert count_rows(database)[job_events.name] == 0


def test_upload_that_ends_after_the_deletion_is_not_found(database: Database, storage: LocalStorage) -> None:
    job = offer_upload(database, storage, make_dataset(database)).job
    delete_dataset(database, job.dataset_id)
    with pytest.raises(NotFound):
        finish_upload(database, job, SeenUpload(size_bytes=10))
    with pytest.raises(NotFound):
        get_import(database, job.dataset_id, job.id)


def test_files_are_removed_and_those_of_other_datasets_stay(sqlite_database: Database, storage: LocalStorage) -> None:
    doomed, kept = make_dataset(sqlite_database), make_dataset(sqlite_database)
    for kind in ("uploads", "parts", "rejections"):
        put_file(storage, doomed, kind)
        put_file(storage, kept, kind)
    delete_dataset(sqlite_database, doomed)
    assert sweep_deleted(sqlite_database, storage) == 3
    assert keys(storage, doomed) == []
    assert len(keys(storage, kept)) == 3


def test_sweep_removes_files_where_the_deletion_was_cut_short(sqlite_database: Database, storage: LocalStorage) -> None:
    dataset_id = make_dataset(sqlite_database)
    put_file(storage, dataset_id, "parts")
    delete_dataset(sqlite_database, dataset_id)
    sweep_files(sqlite_database, storage)
    assert keys(storage, dataset_id) == []


def test_late_files_are_removed_until_none_can_come(
    sqlite_database: Database, storage: LocalStorage, clock: Clock
) -> None:
    dataset_id = make_dataset(sqlite_database)
    offer_upload(sqlite_database, storage, dataset_id)  # its URL is good for an hour
    delete_dataset(sqlite_database, dataset_id)
    put_file(storage, dataset_id, "uploads")
    looks = 0
    end = clock() + LATE_FILES_GRACE + timedelta(hours=1)
    while clock() <= end:
        looks += sweep_deleted(sqlite_database, storage)
        assert remembered(sqlite_database) == (clock() < end)
        put_file(storage, dataset_id, "uploads")
        clock.advance(600)
    assert 5 < looks < 20
    assert remembered(sqlite_database) == 0


def test_storage_that_is_down_leaves_the_files_to_the_sweep(
    sqlite_database: Database, storage: LocalStorage, clock: Clock
) -> None:
    dataset_id = make_dataset(sqlite_database)
    put_file(storage, dataset_id, "parts")
    delete_dataset(sqlite_database, dataset_id)
    moved = storage.root.rename(storage.root.with_name("unplugged"))
    with pytest.raises(Unavailable):
        sweep_deleted(sqlite_database, storage)
    assert remembered(sqlite_database) == 1
    moved.rename(storage.root)
    clock.advance(60)
    assert sweep_deleted(sqlite_database, storage) == 1


def test_files_that_cannot_be_removed_hold_up_no_other_dataset(
    sqlite_database: Database, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = make_dataset(sqlite_database), make_dataset(sqlite_database)
    for dataset_id in (stuck, other):
        put_file(storage, dataset_id, "parts")
        delete_dataset(sqlite_database, dataset_id)

    def delete(self: LocalStorage, key: str) -> None:
        if str(stuck) in key:
            raise Unavailable("It is locked.", code=ErrorCode.STORAGE_UNAVAILABLE)
        delete_truly(self, key)

    delete_truly = LocalStorage.delete
    monkeypatch.setattr(LocalStorage, "delete", delete)
    with pytest.raises(Unavailable):
        sweep_deleted(sqlite_database, storage)
    assert sweep_deleted(sqlite_database, storage) == 1
    assert keys(storage, other) == []
    assert len(keys(storage, stuck)) == 1


def test_job_of_a_deleted_dataset_is_not_claimed(database: Database, storage: LocalStorage) -> None:
    job = upload(database, storage, make_dataset(database))
    assert job.state is State.QUEUED
    delete_dataset(database, job.dataset_id)
    with database.write() as tx:
        assert leases.claim_next(tx, lease=timedelta(seconds=30), running_limit=10) is None
