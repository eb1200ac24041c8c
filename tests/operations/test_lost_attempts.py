"""Workers that fall silent, and imports that are cancelled: what the job is afterwards, and who may still write."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from assay.db import jobs, leases
from assay.db.engine import Database, ReadTransaction, WriteTransaction
from assay.db.figures import Cause, read_figures
from assay.errors import Conflict, ErrorCode, NotFound
from assay.ids import new_id
from assay.jobs import TERMINAL, Counts, Kind, Lease, State
from assay.noticing import expire_imports
from assay.operations import LOST_ATTEMPTS_LIMIT, cancel_import, make_wait, return_lapsed
from assay.storage.base import Storage
from db.making import LEASE, claim, claim_surely, complete, outcome_of
from moving_clock import Clock
from operations.steps import LIMIT, history, import_in, make_dataset, now_stands, upload


def lose(db: Database, clock: Clock) -> Lease:
    """Claim the next job, and let its lease lapse."""
    lease = claim_surely(db)
    clock.advance(31)
    return_lapsed(db)
    return lease


class BetweenLookAndWrite:
    """A database that lets something happen once it was read, before the next write."""

    def __init__(self, db: Database, happens: Callable[[], object]) -> None:
        self._db = db
        self._happens = happens

    def read(self) -> AbstractContextManager[ReadTransaction]:
        return self._db.read()

    def write(self) -> AbstractContextManager[WriteTransaction]:
        self._happens()
        return self._db.write()


def test_lapsed_lease_returns_the_job_to_its_place_in_line(database: Database, storage: Storage, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    first = upload(database, storage, dataset_id)
    clock.advance(1)
    upload(database, storage, dataset_id)
    lost = lose(database, clock)
    assert lost.job.id == first.id
    assert now_stands(database, first).state is State.QUEUED
    again = claim_surely(database)
    assert (again.job.id, again.attempt) == (first.id, 2)
    assert again.job.counts == Counts()


def test_lease_that_is_kept_up_is_left_alone(database: Database, storage: Storage, clock: Clock) -> None:
    job = import_in(State.PROCESSING, database, storage)
    clock.advance(29)
    assert return_lapsed(database) == 0
    assert now_stands(database, job).state is State.PROCESSING


def renew(db: Database, lease: Lease) -> None:
    with db.write() as tx:
        leases.extend_lease(tx, lease, by=LEASE)


def test_lease_that_is_renewed_after_it_was_listed_as_lapsed_is_left_alone(
    database: Database, storage: Storage, clock: Clock
) -> None:
    upload(database, storage, make_dataset(database))
    lease = claim_surely(database)
    clock.advance(31)
    sweeping = BetweenLookAndWrite(database, lambda: renew(database, lease))
    assert return_lapsed(sweeping) == 0  # type: ignore[arg-type]
    assert now_stands(database, lease.job).state is State.PROCESSING
    with database.read() as tx:
        assert leases.count_lost_attempts(tx, lease.job.id) == 0
    renew(database, lease)  # and its worker still has it


def test_attempt_that_ends_after_its_lease_was_listed_as_lapsed_has_ended(
    database: Database, storage: Storage, clock: Clock
) -> None:
    job = upload(database, storage, make_dataset(database))
    lease = claim_surely(database)
    clock.advance(31)
    sweeping = BetweenLookAndWrite(database, lambda: complete(database, lease, 5))
    assert return_lapsed(sweeping) == 0  # type: ignore[arg-type]
    assert now_stands(database, job).state is State.COMPLETE


def test_heartbeats_race_with_the_sweep_and_one_of_them_wins(
    database: Database, storage: Storage, clock: Clock
) -> None:
    """Whichever comes first: the lease goes on, or it is lost and its heartbeat hears of it."""
    for _ in range(20):
        upload(database, storage, make_dataset(database))
        lease = claim_surely(database)
        clock.advance(31)
        with ThreadPoolExecutor(2) as threads:
            sweep, beat = threads.submit(return_lapsed, database), threads.submit(renew, database, lease)
        is_lost = isinstance(beat.exception(), Conflict)
        assert is_lost or beat.exception() is None
        assert sweep.result() == is_lost
        stands = now_stands(database, lease.job).state
        assert stands is (State.QUEUED if is_lost else State.PROCESSING)
        cancel_import(database, lease.job.dataset_id, lease.job.id)


def test_waits_grow_from_seconds_to_minutes_and_cost_no_attempt(
    database: Database, storage: Storage, clock: Clock
) -> None:
    job = upload(database, storage, make_dataset(database))
    waits = []
    for _ in range(9):
        lease = claim_surely(database)
        with database.write() as tx:
            make_wait(tx, lease, reason="The storage can't be reached.")
        waited = 0
        while claim(database) is None:
            clock.advance(5)
            waited += 5
        waits.append(waited)
        with database.write() as tx:  # for the next round
            leases.give_back(tx, Lease(now_stands(database, job), 1), reason="stopped", was_lost=False)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    with database.read() as tx:
        assert leases.count_lost_attempts(tx, job.id) == 0


def test_third_lost_attempt_ends_the_job_and_blames_the_service(
    database: Database, storage: Storage, clock: Clock
) -> None:
    job = upload(database, storage, make_dataset(database))
    for attempt in range(1, LOST_ATTEMPTS_LIMIT + 1):
        assert lose(database, clock).attempt == attempt
    ended = now_stands(database, job)
    assert ended.state is State.FAILED
    assert "The service lost 3 attempts" in (ended.reason or "")
    assert "the file may be fine" in (ended.reason or "")
    assert claim(database) is None
    assert [event.to_state for event in history(database, job)] == [
        State.UNINITIALISED,
        State.QUEUED,
        *[State.PROCESSING, State.QUEUED] * 2,
        State.PROCESSING,
        State.FAILED,
    ]


def test_attempts_that_were_handed_back_in_good_order_cost_nothing(
    database: Database, storage: Storage, clock: Clock
) -> None:
    job = upload(database, storage, make_dataset(database))
    for _ in range(5):
        lease = claim_surely(database)
        with database.write() as tx:
            leases.give_back(tx, lease, reason="The worker was stopped.", was_lost=False)
    lose(database, clock)
    assert now_stands(database, job).state is State.QUEUED


def test_worker_that_comes_back_too_late_can_write_nothing(database: Database, storage: Storage, clock: Clock) -> None:
    upload(database, storage, make_dataset(database))
    late = lose(database, clock)
    new = claim_surely(database)
    for write in (
        lambda tx: leases.record_progress(tx, late, Counts(accepted=5)),
        lambda tx: jobs.commit_outcome(tx, late, outcome_of(late, 5), to=State.COMPLETE, reason=None),
        lambda tx: leases.give_back(tx, late, reason="late", was_lost=False),
        lambda tx: jobs.fail(tx, late.job, reason="late"),
    ):
        with pytest.raises(Conflict), database.write() as tx:
            write(tx)
    assert now_stands(database, new.job).state is State.PROCESSING
    assert now_stands(database, new.job).counts == Counts()


@pytest.mark.parametrize("state", [state for state in State if state not in TERMINAL])
def test_job_that_has_not_ended_is_cancelled(database: Database, storage: Storage, state: State) -> None:
    job = import_in(state, database, storage)
    ended = cancel_import(database, job.dataset_id, job.id)
    assert (ended.state, ended.reason, ended.counts) == (State.FAILED, "Cancelled", Counts())
    assert claim(database) is None
    assert return_lapsed(database) == 0


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_job_that_has_ended_is_not_cancelled(database: Database, storage: Storage, state: State) -> None:
    job = import_in(state, database, storage)
    with pytest.raises(Conflict) as caught:
        cancel_import(database, job.dataset_id, job.id)
    assert caught.value.code is ErrorCode.ALREADY_ENDED
    assert now_stands(database, job).state is state


def test_worker_of_a_cancelled_job_loses_it(database: Database, storage: Storage) -> None:
    upload(database, storage, make_dataset(database))
    lease = claim_surely(database)
    cancel_import(database, lease.job.dataset_id, lease.job.id)
    with pytest.raises(Conflict), database.write() as tx:
        jobs.commit_outcome(tx, lease, outcome_of(lease, 5), to=State.COMPLETE, reason=None)
    assert now_stands(database, lease.job).reason == "Cancelled"


def test_cancel_of_what_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        cancel_import(database, make_dataset(database), new_id())


def test_failed_jobs_are_counted_by_cause(database: Database, storage: Storage, clock: Clock) -> None:
    given_up = import_in(State.QUEUED, database, storage)
    for _ in range(LOST_ATTEMPTS_LIMIT):
        lose(database, clock)
    assert now_stands(database, given_up).state is State.FAILED
    import_in(State.FAILED, database, storage)
    cancelled = import_in(State.UNINITIALISED, database, storage)
    cancel_import(database, cancelled.dataset_id, cancelled.id)
    import_in(State.UNINITIALISED, database, storage)
    clock.advance(3601)
    expire_imports(database, storage, max_bytes=LIMIT)
    with database.read() as tx:
        assert read_figures(tx).failed == {(Kind.IMPORT, cause): 1 for cause in Cause}
