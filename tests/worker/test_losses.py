"""What goes wrong around an import: processes die, code fails, somebody cancels. The job still ends as it should."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay.db import jobs, leases
from assay.db.engine import Database, open_database
from assay.errors import ErrorCode, Unavailable
from assay.jobs import Counts, Import, State
from assay.operations import LOST_ATTEMPTS_LIMIT, cancel_import
from assay.storage.base import Stored
from assay.storage.local import LocalStorage
from assay.sweeper import Sweeper
from assay.sweeping import sweep_files
from services.callers import wait_until
from worker import faults
from worker.bench import Bench, csv_of

CheckWith = Callable[[Callable[..., object]], None]
AGES = range(1, 1000)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("assay.sweeper.SWEEP_SECONDS", 0.1)
    monkeypatch.setattr("assay.operations.LONGEST_WAIT", timedelta(seconds=0.1))
    return


def lost_attempts(bench: Bench, job: Import) -> int:
    with bench.db.read() as tx:
        return leases.count_lost_attempts(tx, job.id)


def assert_imported_once(bench: Bench, job: Import) -> None:
    ended = bench.now(job)
    assert (ended.state, ended.counts.accepted, ended.counts.duplicate) == (State.COMPLETE, len(AGES), 0)
    assert bench.ages(job.dataset_id) == [*AGES]


def test_process_killed_in_mid_job_costs_an_attempt_and_no_record(bench: Bench, check_with: CheckWith) -> None:
    check_with(faults.die_once_in_mid_file)
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    (ended,) = bench.done(job)
    assert (ended.attempt, lost_attempts(bench, job)) == (2, 1)
    assert_imported_once(bench, job)


def test_process_that_hangs_is_ended_and_costs_an_attempt_and_no_record(
    bench: Bench, check_with: CheckWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.engines.STUCK_SECONDS", 0.5)
    check_with(faults.hang_once_in_mid_file)
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    with bench.working(lease_seconds=1):
        ended = bench.ended(job)
    assert (ended.attempt, lost_attempts(bench, job)) == (2, 1)
    assert_imported_once(bench, job)


def test_machine_that_was_asleep_keeps_its_jobs(bench: Bench, sqlite_url: str, check_with: CheckWith) -> None:
    """While it sleeps the clock goes on that leases go by, and not the one that waits go by."""
    check_with(faults.wait_for_the_gate)
    slept = timedelta(0)
    with closing(open_database(sqlite_url, clock=lambda: datetime.now(UTC) + slept)) as db:
        sleepy = replace(bench, db=db)
        job = sleepy.upload(sleepy.make_dataset(), csv_of(AGES), "gated.csv")
        with sleepy.working(chunk_bytes=10**6):
            wait_until((sleepy.storage.root.parent / "waiting").exists, what="the import is under way")
            slept = timedelta(minutes=5)
            time.sleep(1)  # ten sweeps
            (sleepy.storage.root.parent / "open").touch()
            assert sleepy.ended(job).attempt == 1
        assert_imported_once(sleepy, job)


def test_stall_of_the_database_is_not_taken_for_the_silence_of_a_worker(bench: Bench, sqlite_url: str) -> None:
    """Nobody could extend a lease meanwhile, so all get the time for it."""
    flows = threading.Event()
    flows.set()

    def now() -> datetime:
        assert flows.wait(60)
        return datetime.now(UTC)

    with closing(open_database(sqlite_url, clock=now)) as db:
        stalling = replace(bench, db=db)
        job = stalling.upload(stalling.make_dataset(), csv_of(AGES))
        with db.write() as tx:
            leases.claim_next(tx, lease=timedelta(0), running_limit=1)
        flows.clear()
        sweeper = Sweeper(db, bench.storage, replace(bench.settings, lease_seconds=2), wake=lambda: None)
        sweeper.start()
        time.sleep(1)
        flows.set()
        time.sleep(0.7)
        assert stalling.now(job).state is State.PROCESSING
        stalling.in_state(State.QUEUED, job)
        sweeper.stop()
        sweeper.join(5)


def test_worker_stops_though_the_storage_does_not_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.worker.STOP_SECONDS", 0.3)
    monkeypatch.setattr("assay.worker.KILLED_SECONDS", 0.1)
    answers = threading.Event()

    class Silent(LocalStorage):
        def read_range(self, key: str, offset: int, length: int) -> bytes:
            answers.wait(60)
            return super().read_range(key, offset, length)

    storage = Silent(root=bench.storage.root, signing_key=b"a key", base_url="")
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    try:
        with replace(bench, storage=storage).working():
            bench.in_state(State.PROCESSING, job)
        assert not answers.is_set()
        assert bench.now(job).state is State.QUEUED
        assert lost_attempts(bench, job) == 0
    finally:
        answers.set()
        wait_until(lambda: not any("assay-job" in each.name for each in threading.enumerate()), what="its thread ends")
    bench.done(job)
    assert_imported_once(bench, job)


def test_file_that_kills_every_process_is_failed_and_takes_no_other_with_it(
    bench: Bench, check_with: CheckWith
) -> None:
    check_with(faults.die_on_the_file_of_that_name)
    deadly = bench.upload(bench.make_dataset(), csv_of([1]), "deadly.csv")
    others = [bench.upload(bench.make_dataset(), csv_of(AGES)) for _ in range(3)]
    ended, *_ = bench.done(deadly, *others)
    assert (ended.state, ended.attempt) == (State.FAILED, LOST_ATTEMPTS_LIMIT)
    assert "The service lost 3 attempts" in (ended.reason or "")
    for other in others:
        assert_imported_once(bench, other)


def test_bug_in_the_check_is_failed_after_three_attempts_that_blame_the_service(
    bench: Bench, check_with: CheckWith, caplog: pytest.LogCaptureFixture
) -> None:
    check_with(faults.fail_always)
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    (ended,) = bench.done(job)
    assert (ended.state, ended.attempt, ended.counts) == (State.FAILED, 3, Counts())
    assert "the file may be fine" in (ended.reason or "")
    assert "RuntimeError" not in (ended.reason or "")
    assert "RuntimeError: a bug in the check" in caplog.text


def test_bug_that_shows_once_costs_an_attempt(bench: Bench, check_with: CheckWith) -> None:
    check_with(faults.fail_once)
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    assert bench.done(job)[0].attempt == 2
    assert_imported_once(bench, job)


def test_outage_costs_no_attempt(bench: Bench, check_with: CheckWith) -> None:
    check_with(faults.be_unavailable_once)
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    (ended,) = bench.done(job)
    assert (ended.attempt, lost_attempts(bench, job)) == (2, 0)
    assert_imported_once(bench, job)


def test_stopped_worker_returns_its_job_and_the_next_one_does_it(bench: Bench, check_with: CheckWith) -> None:
    check_with(faults.take_a_while)
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    with bench.working():
        wait_until(lambda: bench.now(job).counts.accepted, what="the import has begun")
    assert bench.now(job).state is State.QUEUED
    assert lost_attempts(bench, job) == 0
    bench.done(job)
    assert_imported_once(bench, job)


def test_worker_with_nothing_to_do_stops_at_once(bench: Bench) -> None:
    with bench.working():
        pass


def test_job_of_a_worker_that_is_gone_is_taken_up(bench: Bench) -> None:
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    with bench.db.write() as tx:
        leases.claim_next(tx, lease=timedelta(milliseconds=1), running_limit=10)
    (ended,) = bench.done(job)
    assert ended.attempt == 2
    assert_imported_once(bench, job)


def test_worker_that_has_just_started_gives_others_the_time_to_show_that_they_live(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "is_remote", True)
    job = bench.upload(bench.make_dataset(), csv_of(AGES))
    with bench.db.write() as tx:
        leases.claim_next(tx, lease=timedelta(milliseconds=1), running_limit=10)
        began = tx.now()
    with bench.working(lease_seconds=1):
        assert bench.ended(job).attempt == 2
    returned_at = bench.times(job, State.QUEUED)[-1]
    assert returned_at - began >= timedelta(seconds=1)


def test_import_that_the_storage_refuses_is_tried_later_and_at_last_given_up(
    bench: Bench, check_with: CheckWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.operations.WAITS_LIMIT", 4)
    check_with(faults.be_refused_by_the_storage)
    dataset_id = bench.make_dataset()
    (ended,) = bench.done(bench.upload(dataset_id, csv_of(AGES)))
    assert (ended.state, ended.attempt, lost_attempts(bench, ended)) == (State.FAILED, 5, 0)
    assert "waited 4 times with this import" in (ended.reason or "")
    assert "The storage is read-only" in (ended.reason or "")
    assert "tell whoever runs the service" in (ended.reason or "")


def test_what_a_worker_could_not_remove_is_left_to_the_sweep(
    bench: Bench, check_with: CheckWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_with(faults.wait_for_the_gate)
    dataset_id = bench.make_dataset()
    job = bench.upload(dataset_id, csv_of(AGES), "gated.csv")
    list_keys = type(bench.storage).list
    refusals: list[list[Stored]] = []

    def refuse_once(self: LocalStorage, prefix: str) -> Iterator[Stored]:
        if threading.current_thread().name.startswith("assay-job") and not refusals:
            refusals.append(list(list_keys(self, prefix)))
            raise Unavailable("Out of reach.", code=ErrorCode.STORAGE_UNAVAILABLE)
        return list_keys(self, prefix)

    monkeypatch.setattr(type(bench.storage), "list", refuse_once)
    with bench.working(lease_seconds=1):
        wait_until((bench.settings.data_dir / "waiting").exists, what="the chunk is written")
        cancel_import(bench.db, dataset_id, job.id)
        wait_until(lambda: not bench.files(dataset_id, "parts"), what="the sweep has passed")
        (bench.settings.data_dir / "open").touch()
        wait_until(lambda: refusals, what="the worker can't clean up")
        wait_until(lambda: not bench.files(dataset_id, "parts"), what="the sweep has passed again")
    assert refusals[0]


def test_cancelled_while_processing_is_failed_at_once_and_leaves_nothing(bench: Bench, check_with: CheckWith) -> None:
    check_with(faults.wait_for_the_gate)
    dataset_id = bench.make_dataset()
    job = bench.upload(dataset_id, csv_of(AGES), "gated.csv")
    with bench.working():
        wait_until((bench.settings.data_dir / "waiting").exists, what="the chunk is written")
        assert bench.files(dataset_id, "parts") != []
        assert cancel_import(bench.db, dataset_id, job.id).state is State.FAILED
        (bench.settings.data_dir / "open").touch()
        wait_until(lambda: not bench.files(dataset_id, "parts"), what="what was written is swept")
        after = bench.upload(dataset_id, csv_of([5]))
        assert bench.ended(after).state is State.COMPLETE
    ended = bench.now(job)
    assert (ended.state, ended.reason, ended.counts) == (State.FAILED, "Cancelled", Counts())
    assert bench.ages(dataset_id) == [5]


def test_worker_that_lost_its_job_commits_nothing(bench: Bench, check_with: CheckWith) -> None:
    check_with(faults.wait_for_the_gate)
    dataset_id = bench.make_dataset()
    job = bench.upload(dataset_id, csv_of(AGES), "gated.csv")
    with bench.working():
        wait_until((bench.settings.data_dir / "waiting").exists, what="the chunk is written")
        with bench.db.write() as tx:  # as the sweep of another worker does when this one was silent for too long
            lost = jobs.Lease(job=bench.now(job), schema_version=1)
            leases.give_back(tx, lost, reason="Silent.", was_lost=True)
        (bench.settings.data_dir / "open").touch()
        assert bench.ended(job).attempt == 2
    assert_imported_once(bench, job)
    assert len(bench.history(job)) == 6


@pytest.mark.parametrize("damage", ["replaced", "cut", "deleted"])
def test_upload_that_was_damaged_fails_its_import_and_says_so(bench: Bench, damage: str) -> None:
    dataset_id = bench.make_dataset()
    job = bench.upload(dataset_id, csv_of(AGES))
    if damage == "deleted":
        bench.storage.delete(job.file_key)
    else:
        bench.storage.put(job.file_key, csv_of(AGES[:500]) if damage == "cut" else csv_of(AGES).replace(b"7", b"8"))
    (ended,) = bench.done(job)
    assert ended.state is State.FAILED
    assert "not what was uploaded" in (ended.reason or "")
    assert bench.records(dataset_id) == []


def test_files_of_no_commit_are_swept_and_those_of_one_are_kept(bench: Bench) -> None:
    dataset_id = bench.make_dataset()
    job = bench.upload(dataset_id, csv_of([*AGES, -1]))
    orphans = [f"datasets/{dataset_id}/{kind}/{job.id}/7/part-00000.parquet" for kind in ("parts", "rejections")]
    for key in orphans:
        bench.storage.put(key, b"of an attempt that was lost")
    with bench.working():
        bench.ended(job)
        wait_until(lambda: bench.storage.stat(orphans[1]) is None, what="the sweep has passed")
    assert all(bench.storage.stat(key) is None for key in orphans)
    assert bench.ages(dataset_id) == [*AGES]
    assert len(bench.files(dataset_id, "rejections")) == 1
    assert len(bench.files(dataset_id, "uploads")) == 1
    assert sweep_files(bench.db, bench.storage) == 0
