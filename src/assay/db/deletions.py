"""Datasets that were deleted: gone with one transaction, and remembered while files of theirs may still lie about."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from assay.db.engine import ReadTransaction, WriteTransaction
from assay.db.tables import datasets, deletions, jobs

FIRST_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True)
class Deletion:
    """A deleted dataset whose folder is to be emptied, for the last time at `last_sweep_at`."""

    dataset_id: UUID
    deleted_at: datetime
    last_sweep_at: datetime


def delete_dataset(tx: WriteTransaction, dataset_id: UUID, *, grace: timedelta) -> None:
    """Delete a dataset's rows, under its lock, and remember its folder until `grace` after its last upload URL ends.

    An upload or an attempt that is under way may write a file after the rows are gone.
    """
    now = tx.now()
    latest_expiry = select(func.max(jobs.c.expires_at)).where(jobs.c.dataset_id == dataset_id)
    expires_at: datetime | None = tx.connection.execute(latest_expiry).scalar_one()
    last_sweep_at = max(now, expires_at or now) + grace
    tx.connection.execute(
        insert(deletions).values(dataset_id=dataset_id, deleted_at=now, sweep_at=now, last_sweep_at=last_sweep_at)
    )
    # Everything else of the dataset goes with its row.
    tx.connection.execute(delete(datasets).where(datasets.c.id == dataset_id))


def list_due_deletions(tx: ReadTransaction, *, limit: int) -> list[Deletion]:
    statement = select(deletions).where(deletions.c.sweep_at <= tx.now()).order_by(deletions.c.sweep_at).limit(limit)
    return [
        Deletion(dataset_id=row.dataset_id, deleted_at=row.deleted_at, last_sweep_at=row.last_sweep_at)
        for row in tx.connection.execute(statement)
    ]


def put_off(tx: WriteTransaction, deletion: Deletion) -> None:
    """The folder can't be emptied now: other datasets have their turn first."""
    statement = update(deletions).where(deletions.c.dataset_id == deletion.dataset_id)
    tx.connection.execute(statement.values(sweep_at=tx.now() + FIRST_PAUSE))


def note_sweep(tx: WriteTransaction, deletion: Deletion) -> None:
    """The folder was emptied: look again after a while that doubles each time, and forget it after the last look."""
    now = tx.now()
    of_dataset = deletions.c.dataset_id == deletion.dataset_id
    if now >= deletion.last_sweep_at:
        tx.connection.execute(delete(deletions).where(of_dataset))
        return
    following = min(deletion.last_sweep_at, now + max(FIRST_PAUSE, now - deletion.deleted_at))
    tx.connection.execute(update(deletions).where(of_dataset).values(sweep_at=following))
