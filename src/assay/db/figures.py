"""What the job rows add up to, for monitoring."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, func, select, type_coerce

from assay.db.engine import ReadTransaction
from assay.db.tables import jobs
from assay.jobs import State

MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Figures:
    """Sums over all jobs there are. `records_by_outcome` counts accepted (new), duplicate and rejected ones."""

    jobs_by_state: dict[State, int]
    records_by_outcome: dict[str, int]
    queue_age_seconds: float
    import_seconds: float


def read_figures(tx: ReadTransaction) -> Figures:
    by_state = select(jobs.c.state, func.count().label("jobs")).group_by(jobs.c.state)
    ended = jobs.c.state.in_([State.COMPLETE.value, State.PARTIAL.value, State.FAILED.value])
    sums = select(
        func.coalesce(func.sum(jobs.c.accepted_count), 0).label("accepted"),
        func.coalesce(func.sum(jobs.c.rejected_count), 0).label("rejected"),
        func.coalesce(func.sum(jobs.c.duplicate_count), 0).label("duplicate"),
    ).where(ended)
    found = tx.connection.execute(sums).one()
    oldest = tx.connection.execute(select(func.min(jobs.c.uploaded_at)).where(jobs.c.state == State.QUEUED.value))
    waiting_since = oldest.scalar_one()
    # As plain numbers of microseconds: their difference is no time of its own.
    spent = type_coerce(jobs.c.updated_at, BigInteger) - type_coerce(jobs.c.processing_started_at, BigInteger)
    was_run = ended & jobs.c.processing_started_at.is_not(None)
    microseconds = tx.connection.execute(select(func.coalesce(func.sum(spent), 0)).where(was_run)).scalar_one()
    return Figures(
        jobs_by_state={State(row.state): row.jobs for row in tx.connection.execute(by_state)},
        records_by_outcome={
            "accepted": int(found.accepted - found.duplicate),
            "duplicate": int(found.duplicate),
            "rejected": int(found.rejected),
        },
        queue_age_seconds=0.0 if waiting_since is None else max(0.0, (tx.now() - waiting_since).total_seconds()),
        import_seconds=float(microseconds) / MICROSECONDS,
    )
