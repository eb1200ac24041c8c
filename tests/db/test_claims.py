"""Which job is claimed next, and that two workers never get in each other's way."""

import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from assay.db import datasets, jobs, leases, tables
from assay.db.engine import Database, open_database
from assay.jobs import Counts, Import, State
from db.conftest import RACERS
from db.making import (
    LEASE,
    NO_LIMIT,
    claim,
    claim_surely,
    complete,
    make_dataset,
    make_import,
    queue_job,
    queue_many,
    state_of,
)
from db.racing import drain, drain_in_process
from moving_clock import Clock


def test_nothing_is_claimed_from_an_empty_queue(database: Database) -> None:
    make_dataset(database)
    assert claim(database) is None


def test_a_dataset_is_served_in_upload_order(database: Database, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    # The import whose URL was handed out last was uploaded first.
    second = queue_job(database, dataset_id, uploaded_at=clock() + timedelta(seconds=2))
    first = queue_job(database, dataset_id, uploaded_at=clock() + timedelta(seconds=1))
    claimed = []
    for _ in range(2):
        lease = claim_surely(database)
        claimed.append(lease.job.id)
        complete(database, lease)
    assert claimed == [first.id, second.id]


def test_uploads_of_one_moment_are_served_by_id(database: Database, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    queued = [queue_job(database, dataset_id) for _ in range(5)]
    claimed = []
    for _ in queued:
        lease = claim_surely(database)
        claimed.append(lease.job.id)
        complete(database, lease)
    assert claimed == sorted(job.id for job in queued)


def test_a_dataset_with_a_running_job_gets_no_second_one(database: Database) -> None:
    dataset_id = make_dataset(database)
    for _ in range(2):
        queue_job(database, dataset_id)
    running = claim_surely(database)
    assert claim(database) is None
    complete(database, running)
    assert claim_surely(database).job.id != running.job.id


def test_a_job_that_waits_for_a_schema_holds_up_nobody(database: Database) -> None:
    waiting = make_dataset(database, schema=False)
    with database.write() as tx:
        job = make_import(tx, waiting)
        jobs.move(tx, job, State.PENDING_SCHEMA, uploaded_at=tx.now(), size_bytes=1)
    queued = queue_job(database, make_dataset(database))
    assert claim_surely(database).job.id == queued.id
    assert claim(database) is None


def test_a_thousand_waiting_jobs_of_one_dataset_do_not_starve_another(database: Database, clock: Clock) -> None:
    queue_many(database, make_dataset(database), count=1000)
    clock.advance(1)
    small = make_dataset(database)
    for _ in range(2):
        queue_job(database, small)
    claimed = []
    for _ in range(4):
        clock.advance(1)
        lease = claim_surely(database)
        claimed.append(lease.job.dataset_id == small)
        complete(database, lease)
    assert claimed == [False, True, False, True]


def test_new_datasets_do_not_starve_one_that_was_served_before(database: Database, clock: Clock) -> None:
    served = make_dataset(database)
    for _ in range(2):
        queue_job(database, served)
    complete(database, claim_surely(database))
    claimed = []
    for _ in range(2):
        clock.advance(1)
        queue_job(database, make_dataset(database))
        claimed.append(claim_surely(database).job.dataset_id)
    assert claimed[0] == served


def test_a_workspace_at_its_limit_waits_while_another_is_served(database: Database, clock: Clock) -> None:
    for _ in range(3):
        queue_job(database, make_dataset(database, workspace_id="busy"), workspace_id="busy")
    clock.advance(1)
    queue_job(database, make_dataset(database, workspace_id="other"), workspace_id="other")
    claimed = [claim(database, running_limit=2) for _ in range(4)]
    assert [lease and lease.job.workspace_id for lease in claimed] == ["busy", "other", "busy", None]
    assert claimed[0] is not None
    complete(database, claimed[0])
    assert claim(database, running_limit=2) is not None


def test_a_workspace_with_many_datasets_holds_up_no_other(database: Database, clock: Clock) -> None:
    for _ in range(20):
        queue_job(database, make_dataset(database, workspace_id="big"), workspace_id="big")
    running = [claim_surely(database) for _ in range(4)]
    clock.advance(1)
    for _ in range(2):
        queue_job(database, make_dataset(database, workspace_id="small"), workspace_id="small")
    claimed = []
    for lease in running:
        complete(database, lease)
        clock.advance(1)
        claimed.append(claim_surely(database).job.workspace_id)
    assert claimed == ["small", "small", "big", "big"]


def test_a_claim_starts_the_counts_anew_and_names_the_attempt_and_schema(database: Database, clock: Clock) -> None:
    job = queue_job(database, make_dataset(database))
    lease = claim_surely(database)
    with database.write() as tx:
        leases.record_progress(tx, lease, Counts(accepted=5, rejected=2, duplicate=1, processed_offset=9))
        leases.give_back(tx, lease, reason="stopped", was_lost=False)
    clock.advance(60)
    again = claim_surely(database)
    assert again.job.id == job.id
    assert (lease.attempt, again.attempt, again.schema_version) == (1, 2, 1)
    assert again.job.counts == Counts()
    assert again.job.processing_started_at == clock()


def test_a_line_that_another_transaction_holds_is_passed_over(postgresql_url: str) -> None:
    """SQLite has one write lock for all, so there is nothing to pass over."""
    with closing(open_database(postgresql_url)) as db:
        held, free = make_dataset(db), make_dataset(db)
        for dataset_id in (held, free):
            queue_job(db, dataset_id)
        with db.write() as tx:
            datasets.lock_dataset(tx, held)
            assert claim_surely(db).job.dataset_id == free
            assert claim(db) is None
        assert claim_surely(db).job.dataset_id == held


def test_a_job_that_is_cancelled_during_a_claim_is_not_claimed(postgresql_url: str) -> None:
    with closing(open_database(postgresql_url)) as db, ThreadPoolExecutor(1) as thread:
        job = queue_job(db, make_dataset(db))
        with db.write() as tx:
            jobs.move(tx, job, State.FAILED, reason="Cancelled")
            claiming = thread.submit(claim, db)
            time.sleep(0.2)  # the claim waits for the row by now
        assert claiming.result(timeout=10) is None
        assert state_of(db, job) is State.FAILED


def _fill(db: Database, *, dataset_count: int, jobs_each: int) -> list[Import]:
    made = [make_dataset(db, workspace_id=f"workspace-{number % 2}") for number in range(dataset_count)]
    return [
        queue_job(db, dataset_id, workspace_id=f"workspace-{number % 2}")
        for _ in range(jobs_each)
        for number, dataset_id in enumerate(made)
    ]


def _check_race(db: Database, queued: list[Import], claimed: list[UUID], *, running_limit: int) -> None:
    """From the history alone: every job ran once, none beside another of its dataset, in order, within the limit."""
    assert Counter(claimed) == Counter(job.id for job in queued)
    events = tables.job_events
    with db.read() as tx:
        history = tx.connection.execute(
            select(events.c.job_id, events.c.to_state)
            .where(events.c.to_state.in_([State.PROCESSING.value, State.COMPLETE.value]))
            .order_by(events.c.id)
        ).all()
    by_id = {job.id: job for job in queued}
    running: dict[UUID, UUID] = {}
    order: dict[UUID, list[UUID]] = {}
    for job_id, state in history:
        job = by_id[job_id]
        if state == State.COMPLETE.value:
            assert running.pop(job.dataset_id) == job_id
            continue
        assert job.dataset_id not in running
        running[job.dataset_id] = job_id
        order.setdefault(job.dataset_id, []).append(job_id)
        of_workspace = Counter(by_id[running_id].workspace_id for running_id in running.values())
        assert of_workspace[job.workspace_id] <= running_limit
    for dataset_id, served in order.items():
        assert served == [job.id for job in queued if job.dataset_id == dataset_id]


@pytest.mark.parametrize("running_limit", [NO_LIMIT, 2])
def test_threads_never_share_a_job_or_a_dataset(database_url: str, running_limit: int) -> None:
    with closing(open_database(database_url)) as db, ThreadPoolExecutor(8) as threads:
        queued = _fill(db, dataset_count=6, jobs_each=5)
        claimed = list(threads.map(lambda _: drain(db, running_limit), range(8)))
        _check_race(db, queued, [job_id for each in claimed for job_id in each], running_limit=running_limit)


@pytest.mark.parametrize("running_limit", [NO_LIMIT, 2])
def test_processes_never_share_a_job_or_a_dataset(
    database_url: str, racers: ProcessPoolExecutor, running_limit: int
) -> None:
    with closing(open_database(database_url)) as db:
        queued = _fill(db, dataset_count=6, jobs_each=6)
        start_at = time.time() + 0.5
        racing = [racers.submit(drain_in_process, database_url, running_limit, start_at) for _ in range(RACERS)]
        claimed = [job_id for race in racing for job_id in race.result(timeout=60)]
        _check_race(db, queued, claimed, running_limit=running_limit)


def test_claims_that_hurry_past_a_line_in_motion_lose_nothing(database_url: str) -> None:
    """Jobs come into line, with earlier upload times than those there, while eight threads claim."""
    with closing(open_database(database_url)) as db, ThreadPoolExecutor(8) as threads:
        dataset_id = make_dataset(db)
        queue_job(db, dataset_id)
        draining = [threads.submit(drain, db, NO_LIMIT) for _ in range(7)]
        early = [queue_job(db, dataset_id, uploaded_at=Clock()() - LEASE * number) for number in range(15)]
        claimed = [job_id for race in draining for job_id in race.result(timeout=60)]
        claimed += drain(db, NO_LIMIT)
        assert len(claimed) == len(set(claimed)) == len(early) + 1
