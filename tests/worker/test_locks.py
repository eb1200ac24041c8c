"""No lock of the database is held while the storage is waited for, whatever is being done."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from assay.compacting import MIN_FILES
from assay.db.engine import Database, WriteTransaction
from assay.deleting import delete_dataset, sweep_deleted
from assay.exporting import EXPORT_FORMATS, export_records, take_snapshot
from assay.jobs import State
from assay.noticing import notice_uploads
from assay.storage.local import LocalStorage
from assay.sweeping import sweep_files
from services.callers import AGES
from worker.bench import Bench, csv_of
from worker.migrations import append, ended, publish, schema_of, threads_as_engine

METHODS = ("open_upload", "stat", "read_range", "put", "delete", "list", "sweep_temporary")


@pytest.fixture
def storage_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Each call of the storage, and whether its thread held a write transaction open."""
    here = threading.local()
    calls: list[tuple[str, bool]] = []
    write = Database.write

    @contextmanager
    def watched_write(self: Database) -> Iterator[WriteTransaction]:
        here.writing = True
        try:
            with write(self) as tx:
                yield tx
        finally:
            here.writing = False

    def watched(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: LocalStorage, *args: Any, **more: Any) -> Any:
            calls.append((name, getattr(here, "writing", False)))
            return method(self, *args, **more)

        return call

    monkeypatch.setattr(Database, "write", watched_write)
    monkeypatch.setattr("assay.worker.open_engine", threads_as_engine)  # so that chunks are checked in this process
    for name in METHODS:
        monkeypatch.setattr(LocalStorage, name, watched(name, getattr(LocalStorage, name)))
    return calls


def test_storage_is_never_waited_for_with_a_lock_held(bench: Bench, storage_calls: list[tuple[str, bool]]) -> None:
    dataset_id = bench.make_dataset(AGES)
    with bench.working():
        first = bench.upload(dataset_id, csv_of([*range(1, 500), -1, 7]))
        assert bench.ended(first).state is State.PARTIAL
        assert bench.ended(bench.upload(dataset_id, csv_of(range(400, 900)))).counts.duplicate == 100
        migration_id = publish(bench, dataset_id, schema_of(age={"type": "integer", "minimum": 100}))
        assert ended(bench, dataset_id, migration_id).nulled_count == 99
    for number in range(MIN_FILES + 1):
        append(bench, dataset_id, b'{"age": %d}' % (1000 + number))
    notice_uploads(bench.db, bench.storage, max_bytes=10**9)
    sweep_files(bench.db, bench.storage)
    assert b"".join(export_records(bench.storage, take_snapshot(bench.db, dataset_id), EXPORT_FORMATS["csv"]))
    delete_dataset(bench.db, dataset_id)
    sweep_deleted(bench.db, bench.storage)
    assert {name for name, _ in storage_calls} >= {"stat", "read_range", "put", "delete", "list"}
    assert [name for name, is_writing in storage_calls if is_writing] == []
