"""A worker's hold on a job: kept alive, lost, given back; and that one who lost it can't write."""

from collections.abc import Callable

import pytest

from assay.db import jobs, leases
from assay.db.engine import Database, WriteTransaction
from assay.errors import Conflict
from assay.jobs import Counts, Lease, State
from db.making import LEASE, claim, claim_surely, complete, make_dataset, outcome_of, queue_job, state_of
from moving_clock import Clock


def _lost_lease(db: Database) -> tuple[Lease, Lease]:
    """A lease that passed on to another worker, and that worker's own."""
    queue_job(db, make_dataset(db))
    lost = claim_surely(db)
    with db.write() as tx:
        leases.give_back(tx, lost, reason="The worker fell silent.", was_lost=True)
    return lost, claim_surely(db)


WRITES: dict[str, Callable[[WriteTransaction, Lease], object]] = {
    "extend": lambda tx, lease: leases.extend_lease(tx, lease, by=LEASE),
    "progress": lambda tx, lease: leases.record_progress(tx, lease, Counts(accepted=9)),
    "commit": lambda tx, lease: jobs.commit_outcome(tx, lease, outcome_of(lease, 9), to=State.COMPLETE, reason=None),
    "give back": lambda tx, lease: leases.give_back(tx, lease, reason="stopped", was_lost=False),
    "wait": lambda tx, lease: leases.make_wait(tx, lease, reason="no storage", wait=LEASE),
    "fail": lambda tx, lease: jobs.move(tx, lease.job, State.FAILED, reason="The file is at fault."),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_lost_lease_can_write_nothing(database: Database, write: Callable[[WriteTransaction, Lease], object]) -> None:
    lost, held = _lost_lease(database)
    with pytest.raises(Conflict), database.write() as tx:
        write(tx, lost)
    with database.read() as tx:
        assert jobs.get_import(tx, held.job.dataset_id, held.job.id) == held.job
        assert jobs.list_output_keys(tx, held.job.id) == set()
    complete(database, held)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_cancelled_job_takes_no_more_writes(
    database: Database, write: Callable[[WriteTransaction, Lease], object]
) -> None:
    queue_job(database, make_dataset(database))
    lease = claim_surely(database)
    with database.write() as tx:
        cancelled = jobs.move(tx, lease.job, State.FAILED, reason="Cancelled", lease_until=None)
    with pytest.raises(Conflict), database.write() as tx:
        write(tx, lease)
    with database.read() as tx:
        assert jobs.get_import(tx, lease.job.dataset_id, lease.job.id) == cancelled


def test_a_job_that_has_to_wait_holds_up_its_own_line_only(database: Database, clock: Clock) -> None:
    waiting, other = make_dataset(database), make_dataset(database)
    first = queue_job(database, waiting)
    queue_job(database, waiting)
    lease = claim_surely(database)
    assert lease.job.id == first.id
    with database.write() as tx:
        job = leases.make_wait(tx, lease, reason="The storage can't be reached.", wait=LEASE)
        assert (job.state, leases.count_waits(tx, job.id), leases.count_lost_attempts(tx, job.id)) == (
            State.QUEUED,
            1,
            0,
        )
    assert claim(database) is None
    elsewhere = queue_job(database, other)
    assert claim_surely(database).job.id == elsewhere.id
    clock.advance(LEASE.total_seconds() + 1)
    again = claim_surely(database)
    assert (again.job.id, again.attempt) == (first.id, 2)


def test_a_lease_lapses_when_nobody_extends_it(database: Database, clock: Clock) -> None:
    queue_job(database, make_dataset(database))
    lease = claim_surely(database)
    clock.advance(LEASE.total_seconds())
    with database.read() as tx:
        assert leases.list_lapsed(tx) == []
    clock.advance(0.001)
    with database.read() as tx:
        assert [(found.job.id, found.attempt) for found in leases.list_lapsed(tx)] == [(lease.job.id, 1)]


def test_a_heartbeat_keeps_a_lease(database: Database, clock: Clock) -> None:
    queue_job(database, make_dataset(database))
    lease = claim_surely(database)
    for _ in range(3):
        clock.advance(LEASE.total_seconds() - 1)
        with database.write() as tx:
            leases.extend_lease(tx, lease, by=LEASE)
    with database.read() as tx:
        assert leases.list_lapsed(tx) == []


def test_a_lapsed_lease_that_nobody_took_may_still_be_extended(database: Database, clock: Clock) -> None:
    queue_job(database, make_dataset(database))
    lease = claim_surely(database)
    clock.advance(LEASE.total_seconds() + 1)
    with database.write() as tx:
        leases.extend_lease(tx, lease, by=LEASE)
    with database.read() as tx:
        assert leases.list_lapsed(tx) == []


def test_ended_and_returned_jobs_have_no_lease_to_lapse(database: Database, clock: Clock) -> None:
    queue_job(database, make_dataset(database))
    with database.write() as tx:
        leases.give_back(tx, claim_surely_in(tx), reason="stopped", was_lost=False)
    complete(database, claim_surely(database))
    clock.advance(3600)
    with database.read() as tx:
        assert leases.list_lapsed(tx) == []


def claim_surely_in(tx: WriteTransaction) -> Lease:
    lease = leases.claim_next(tx, lease=LEASE, running_limit=1)
    assert lease is not None
    return lease


def test_a_returned_job_is_first_in_its_line_again(database: Database, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    first, second = queue_job(database, dataset_id), queue_job(database, dataset_id)
    clock.advance(5)
    with database.write() as tx:
        leases.give_back(tx, claim_surely_in(tx), reason="stopped", was_lost=False)
    assert claim_surely(database).job.id == first.id
    assert state_of(database, second) is State.QUEUED
    assert claim(database) is None


@pytest.mark.parametrize(("was_lost", "expected"), [(True, 2), (False, 0)])
def test_only_lost_attempts_are_counted(database: Database, was_lost: bool, expected: int) -> None:
    job = queue_job(database, make_dataset(database))
    for _ in range(2):
        lease = claim_surely(database)
        with database.write() as tx:
            leases.give_back(tx, lease, reason="why", was_lost=was_lost)
    with database.read() as tx:
        assert leases.count_lost_attempts(tx, job.id) == expected
    assert claim_surely(database).attempt == 3
