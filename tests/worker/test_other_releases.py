"""A database that a newer release has migrated under a running worker: it takes nothing up, ends nothing by its own
rules, removes nothing, and goes on once the tables are its own again."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import text

from assay.compacting import MIN_FILES, compact_dataset
from assay.db import datasets, leases, loose_files, tokens
from assay.db.engine import MIGRATION_LOCK, Database, open_database, own_revision, take_turn
from assay.db.revisions import OtherTablesError, hold_own_tables
from assay.jobs import State
from assay.operations import cancel_import, start_import
from assay.sweeping import sweep_files, sweep_loose_files
from assay.webhooks import create_endpoint, send_next
from services.callers import wait_until
from worker import faults
from worker.bench import Bench, csv_of
from worker.migrations import append

NEWER = "9999"
SWEEP_SECONDS = 0.1


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.sweeper.SWEEP_SECONDS", SWEEP_SECONDS)


@pytest.fixture
def bench(database_url: str, bench: Bench) -> Iterator[Bench]:
    """On each engine, where another release may come and go."""
    with closing(open_database(database_url)) as db:
        with db.write() as tx:
            tokens.insert_workspace(tx, "default")
        yield replace(bench, db=db)
        set_revision(db, own_revision())


def set_revision(db: Database, revision: str | None) -> None:
    with db.write() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_worker_takes_nothing_up_until_the_tables_are_its_own_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    dataset_id = bench.make_dataset()
    with bench.working():
        before = bench.ended(bench.upload(dataset_id, csv_of([1, 2])))
        assert before.state is State.COMPLETE
        set_revision(bench.db, NEWER)
        job = bench.upload(dataset_id, csv_of([3, 4]))
        offer = start_import(bench.db, bench.storage, dataset_id, filename="b.csv", valid_seconds=3600, max_bytes=10**9)
        bench.storage.put(offer.job.file_key, csv_of([5]))
        time.sleep(10 * SWEEP_SECONDS)
        assert bench.now(job).state is State.QUEUED
        assert bench.now(offer.job).state is State.UNINITIALISED
        set_revision(bench.db, own_revision())
        assert bench.ended(job).state is State.COMPLETE
        assert bench.ended(offer.job).state is State.COMPLETE
    assert bench.ages(dataset_id) == [1, 2, 3, 4, 5]
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1, told
    assert f"(revision {NEWER}, and this one's is {own_revision()})" in told[0]


@pytest.mark.parametrize("progress_seconds", [0.0, math.inf], ids=["seen on the way", "seen at the end"])
@pytest.mark.parametrize("ages", [[1, 2, 3], ["x"]], ids=["to complete", "to fail"])
def test_job_in_hand_goes_back_to_the_queue_at_no_cost(
    bench: Bench,
    check_with: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    progress_seconds: float,
    ages: list[object],
) -> None:
    monkeypatch.setattr("assay.worker.PROGRESS_SECONDS", progress_seconds)
    check_with(faults.wait_for_the_gate)
    job = bench.upload(bench.make_dataset(), csv_of(ages), "gated.csv")
    with bench.working(lease_seconds=1):
        wait_until((bench.storage.root.parent / "waiting").exists, what="the import is under way")
        set_revision(bench.db, NEWER)
        time.sleep(1.5)  # the heart beats on
        assert bench.now(job).state is State.PROCESSING
        (bench.storage.root.parent / "open").touch()
        bench.in_state(State.QUEUED, job)
        set_revision(bench.db, own_revision())
        ended = bench.ended(job)
    assert (ended.state, ended.attempt) == (State.COMPLETE if ages != ["x"] else State.FAILED, 2)
    with bench.db.read() as tx:
        assert leases.count_lost_attempts(tx, job.id) == 0


def test_nothing_is_put_together_removed_or_sent(bench: Bench) -> None:
    dataset_id = bench.make_dataset()
    create_endpoint(bench.db, "default", url="https://hooks.example/", created_by="x", private_networks=False)
    cancel_import(bench.db, dataset_id, bench.upload(dataset_id, csv_of([1])).id)  # which the endpoint is told of
    for number in range(1, MIN_FILES + 1):
        append(bench, dataset_id, b'{"age": %d}' % number)
    with bench.db.write() as tx:
        loose_files.note_loose(tx, ["datasets/loose"], delete_after=tx.now())
    files = bench.files(dataset_id, "parts")
    set_revision(bench.db, NEWER)
    for begin in (
        lambda: compact_dataset(bench.db, bench.storage, dataset_id),
        lambda: sweep_loose_files(bench.db, bench.storage),
        lambda: sweep_files(bench.db, bench.storage),
        lambda: send_next(bench.db, private_networks=False),
    ):
        with pytest.raises(OtherTablesError):
            begin()
    with bench.db.read() as tx:
        assert {file.key for file in datasets.list_files(tx, dataset_id)} == set(files)
        assert loose_files.which_are_loose(tx, ["datasets/loose"])


def test_what_is_taken_up_and_a_migration_wait_for_each_other(postgresql_url: str) -> None:
    """Or what began under the old tables would be written to the new ones."""
    with closing(open_database(postgresql_url)) as db, ThreadPoolExecutor(2) as threads:
        with db.write() as tx:
            hold_own_tables(tx)
            migration = threads.submit(db.migrate)
            time.sleep(0.2)
            assert not migration.done()
        migration.result(10)
        with db.write() as tx:
            take_turn(tx, MIGRATION_LOCK)
            taking_up = threads.submit(hold_once, db)
            time.sleep(0.2)
            assert not taking_up.done()
        taking_up.result(10)


def hold_once(db: Database) -> None:
    with db.write() as tx:
        hold_own_tables(tx)
