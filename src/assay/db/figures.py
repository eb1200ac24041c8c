"""What the job rows add up to, for monitoring."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import case, func, or_, select, text

from assay.db.engine import ReadTransaction
from assay.db.tables import jobs
from assay.db.webhooks import DeliveryState, count_deliveries
from assay.jobs import TERMINAL, Kind, State

RECENT = timedelta(hours=1)
DURATIONS_LOOKED_AT = 1000


class Cause(StrEnum):
    """Why a job failed, for whoever runs the service: only `service` is theirs to mend."""

    SERVICE = "service"
    FILE = "file"
    UNUSED = "unused"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Figures:
    """Sums over all jobs there are; those of deleted datasets are gone from them.

    `records_by_outcome` counts the records of imports and appends: accepted as new, accepted as duplicates, rejected.
    `recent_seconds` says of each import that ended within the last hour how long its last attempt took, in order of
    size; of very many, of the last thousand.
    """

    jobs: dict[tuple[Kind, State], int]
    failed: dict[tuple[Kind, Cause], int]
    records_by_outcome: dict[str, int]
    queue_age_seconds: float
    recent_seconds: list[float]
    deliveries: dict[DeliveryState, int]


def read_figures(tx: ReadTransaction) -> Figures:
    counted = select(jobs.c.kind, jobs.c.state, func.count().label("jobs")).group_by(jobs.c.kind, jobs.c.state)
    return Figures(
        jobs={(Kind(row.kind), State(row.state)): row.jobs for row in tx.connection.execute(counted)},
        failed=_failed_by_cause(tx),
        records_by_outcome=_records_by_outcome(tx),
        queue_age_seconds=_queue_age_seconds(tx),
        recent_seconds=_recent_seconds(tx),
        deliveries=count_deliveries(tx),
    )


def _failed_by_cause(tx: ReadTransaction) -> dict[tuple[Kind, Cause], int]:
    """By the words that such a job's reason begins with: what was given up, and stored files that are damaged."""
    is_service = or_(*(jobs.c.reason.like(f"{words} %") for words in ("The service", "The stored", "A stored")))
    is_unused = (jobs.c.kind == Kind.IMPORT.value) & jobs.c.uploaded_at.is_(None)
    cause = case(
        (jobs.c.reason == "Cancelled", Cause.CANCELLED.value),
        (is_unused, Cause.UNUSED.value),
        (is_service, Cause.SERVICE.value),
        else_=Cause.FILE.value,
    ).label("cause")
    failed = select(jobs.c.kind, cause, func.count().label("jobs")).where(jobs.c.state == State.FAILED.value)
    rows = tx.connection.execute(failed.group_by(jobs.c.kind, text("cause")))
    return {(Kind(row.kind), Cause(row.cause)): row.jobs for row in rows}


def _records_by_outcome(tx: ReadTransaction) -> dict[str, int]:
    # A migration brings records along that were counted with their imports.
    counted = jobs.c.state.in_([state.value for state in TERMINAL]) & (jobs.c.kind != Kind.MIGRATION.value)
    accepted, rejected, duplicate = (
        func.coalesce(func.sum(column), 0)
        for column in (jobs.c.accepted_count, jobs.c.rejected_count, jobs.c.duplicate_count)
    )
    row = tx.connection.execute(select(accepted, rejected, duplicate).where(counted)).one()
    return {"accepted": int(row[0] - row[2]), "duplicate": int(row[2]), "rejected": int(row[1])}


def _queue_age_seconds(tx: ReadTransaction) -> float:
    oldest = select(func.min(jobs.c.uploaded_at)).where(jobs.c.state == State.QUEUED.value)
    waiting_since = tx.connection.execute(oldest).scalar_one()
    return 0.0 if waiting_since is None else max(0.0, (tx.now() - waiting_since).total_seconds())


def _recent_seconds(tx: ReadTransaction) -> list[float]:
    lately_ended = (
        select(jobs.c.processing_started_at, jobs.c.updated_at)
        .where(
            jobs.c.kind == Kind.IMPORT.value,
            jobs.c.state.in_([state.value for state in TERMINAL]),
            jobs.c.processing_started_at.is_not(None),
            jobs.c.updated_at > tx.now() - RECENT,
        )
        .order_by(jobs.c.updated_at.desc())
        .limit(DURATIONS_LOOKED_AT)
    )
    rows = tx.connection.execute(lately_ended)
    return sorted((row.updated_at - row.processing_started_at).total_seconds() for row in rows)
