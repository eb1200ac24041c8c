"""A worker's hold on a job: the claim that begins it, the heartbeat that keeps it, and the ways of losing it.

Every write under a lease names its attempt, so that one who lost it can't write.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, select, update

from assay.db.engine import CLAIM_LOCK, ReadTransaction, WriteTransaction, take_turn
from assay.db.jobs import count_columns, job_of, move
from assay.db.tables import datasets, jobs
from assay.errors import Conflict, ErrorCode
from assay.jobs import Counts, Import, Kind, Lease, State


def claim_next(tx: WriteTransaction, *, lease: timedelta, running_limit: int) -> Lease | None:
    """Take the next job in line, or None when there is none that may run.

    Each dataset's line is served from its head and only while no job of that dataset runs or has to wait. The workspace
    with the fewest jobs running is served first, so that one with many datasets holds up no other; between datasets,
    the one that has waited longest, since its last claim or since its first job came. A workspace has at most
    `running_limit` jobs running.
    """
    # Claims take turns: each sees all that was claimed before it, so limit, order and fairness hold exactly.
    take_turn(tx, CLAIM_LOCK)
    dataset_id = _next_dataset(tx, running_limit)
    if dataset_id is None:
        return None
    head = (
        select(jobs)
        .where(jobs.c.dataset_id == dataset_id, jobs.c.state == State.QUEUED.value)
        .order_by(jobs.c.uploaded_at, jobs.c.id)
        .limit(1)
        .with_for_update(key_share=True)
    )
    row = tx.connection.execute(head).one_or_none()
    return None if row is None else _claim(tx, job_of(row), lease=lease)


def _next_dataset(tx: WriteTransaction, running_limit: int) -> UUID | None:
    """The dataset whose line is served next, its row locked."""
    is_running = jobs.c.state == State.PROCESSING.value
    line = (
        select(jobs.c.dataset_id, func.min(jobs.c.uploaded_at).label("head_since"))
        .where(jobs.c.state == State.QUEUED.value)
        .group_by(jobs.c.dataset_id)
        .subquery("line")
    )
    waiting = select(jobs.c.dataset_id).where(jobs.c.state == State.QUEUED.value, jobs.c.lease_until > tx.now())
    running = (
        select(jobs.c.workspace_id, func.count().label("jobs"))
        .where(is_running)
        .group_by(jobs.c.workspace_id)
        .subquery("running")
    )
    running_jobs = func.coalesce(running.c.jobs, 0)
    last_claimed_at = datasets.c.last_claimed_at
    waiting_since = case((last_claimed_at > line.c.head_since, last_claimed_at), else_=line.c.head_since)
    statement = (
        select(datasets.c.id)
        .join(line, line.c.dataset_id == datasets.c.id)
        .outerjoin(running, running.c.workspace_id == datasets.c.workspace_id)
        .where(
            datasets.c.id.not_in(select(jobs.c.dataset_id).where(is_running)),
            datasets.c.id.not_in(waiting),
            running_jobs < running_limit,
        )
        .order_by(running_jobs, waiting_since, line.c.head_since, datasets.c.id)
        .limit(1)
        # One that another transaction holds, to set its schema for one, is passed over until the next claim.
        .with_for_update(of=datasets, skip_locked=True, key_share=True)
    )
    dataset_id: UUID | None = tx.connection.execute(statement).scalar_one_or_none()
    return dataset_id


def _claim(tx: WriteTransaction, job: Import, *, lease: timedelta) -> Lease:
    now = tx.now()
    of_dataset = select(datasets.c.schema_version).where(datasets.c.id == job.dataset_id)
    schema_version: int = tx.connection.execute(of_dataset).scalar_one()
    if job.kind is Kind.MIGRATION and job.schema_version is not None:
        schema_version = job.schema_version  # the one to come, where an import has the one in force
    claimed = move(
        tx,
        job,
        State.PROCESSING,
        attempt=job.attempt + 1,
        lease_until=now + lease,
        processing_started_at=now,
        schema_version=schema_version,
        # A new attempt reads the file from its start.
        accepted_count=0,
        rejected_count=0,
        duplicate_count=0,
        processed_offset=0,
    )
    tx.connection.execute(update(datasets).where(datasets.c.id == job.dataset_id).values(last_claimed_at=now))
    return Lease(job=claimed, schema_version=schema_version)


def extend_lease(tx: WriteTransaction, lease: Lease, *, by: timedelta) -> None:
    """The heartbeat. `Conflict` when the lease is lost."""
    _write_under_lease(tx, lease, lease_until=tx.now() + by)


def record_progress(tx: WriteTransaction, lease: Lease, counts: Counts) -> None:
    """Show how far the job is. `Conflict` when the lease is lost."""
    _write_under_lease(tx, lease, **count_columns(counts), updated_at=tx.now())


def give_back(tx: WriteTransaction, lease: Lease, *, reason: str, was_lost: bool) -> Import:
    """Return a job to its place in line; a lost attempt is counted, one that was handed back in good order isn't."""
    lost = jobs.c.lost_attempts + (1 if was_lost else 0)
    return move(tx, lease.job, State.QUEUED, reason=reason, lease_until=None, lost_attempts=lost)


def make_wait(tx: WriteTransaction, lease: Lease, *, reason: str, wait: timedelta) -> Import:
    """Return a job to its place in line, to be claimed when the wait is over. It costs no attempt, and is counted."""
    waits = jobs.c.wait_count + 1
    return move(tx, lease.job, State.QUEUED, reason=reason, lease_until=tx.now() + wait, wait_count=waits)


def count_waits(tx: ReadTransaction, job_id: UUID) -> int:
    """0 also for a job that was deleted with its dataset."""
    return tx.connection.execute(select(jobs.c.wait_count).where(jobs.c.id == job_id)).scalar_one_or_none() or 0


def list_lapsed(tx: ReadTransaction) -> list[Lease]:
    """The leases that have run out: their workers have been silent for too long."""
    statement = select(jobs).where(jobs.c.state == State.PROCESSING.value, jobs.c.lease_until < tx.now())
    return [Lease(job=job_of(row), schema_version=row.schema_version) for row in tx.connection.execute(statement)]


def hold_lapsed(tx: WriteTransaction, lease: Lease) -> bool:
    """Hold the job's row to the end of the transaction if the lease has still run out; False when it was renewed.

    A heartbeat that comes late waits for what is done here, and then finds its lease lost; one that came in time, after
    the list was made for one, is seen here.
    """
    has_lapsed = and_(_is_held(lease), jobs.c.lease_until < tx.now())
    statement = select(jobs.c.id).where(has_lapsed).with_for_update(key_share=True)
    return tx.connection.execute(statement).one_or_none() is not None


def count_lost_attempts(tx: ReadTransaction, job_id: UUID) -> int:
    """0 also for a job that was deleted with its dataset."""
    return tx.connection.execute(select(jobs.c.lost_attempts).where(jobs.c.id == job_id)).scalar_one_or_none() or 0


def _write_under_lease(tx: WriteTransaction, lease: Lease, **values: Any) -> None:
    written = tx.connection.execute(update(jobs).where(_is_held(lease)).values(**values))
    if written.rowcount != 1:
        message = f"Attempt {lease.attempt} no longer holds the import {lease.job.id}."
        raise Conflict(message, code=ErrorCode.LEASE_LOST)


def _is_held(lease: Lease) -> ColumnElement[bool]:
    return and_(jobs.c.id == lease.job.id, jobs.c.state == State.PROCESSING.value, jobs.c.attempt == lease.attempt)
