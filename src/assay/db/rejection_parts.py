"""Where the faults of an import's rejected records lie, in file order."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, insert, select

from assay.db.engine import ReadTransaction, WriteTransaction
from assay.db.tables import rejection_parts
from assay.jobs import RejectionPart


@dataclass(frozen=True)
class PlacedRejections:
    """A file of faults; `first_fault` counts the import's faults before it."""

    key: str
    first_fault: int
    fault_count: int
    footer_hash: str | None


def insert_rejection_parts(tx: WriteTransaction, job_id: UUID, files: Sequence[RejectionPart]) -> None:
    """Record the files of an import's faults, in their order."""
    first_fault = 0
    rows = []
    for file in files:
        rows.append(
            {
                "job_id": job_id,
                "first_fault": first_fault,
                "key": file.key,
                "fault_count": file.fault_count,
                "footer_hash": file.footer_hash,
            }
        )
        first_fault += file.fault_count
    if rows:
        tx.connection.execute(insert(rejection_parts), rows)


def count_faults(tx: ReadTransaction, job_id: UUID) -> int:
    """All faults of an import, also those that its summary has no row for."""
    total = select(func.coalesce(func.sum(rejection_parts.c.fault_count), 0)).where(rejection_parts.c.job_id == job_id)
    return int(tx.connection.execute(total).scalar_one())


def list_rejection_parts(tx: ReadTransaction, job_id: UUID, *, from_fault: int, limit: int) -> list[PlacedRejections]:
    """The files that hold the import's faults from `from_fault` on, in order, at most `limit` of them."""
    # The file that `from_fault` lies in is found by the key, not by adding up all those before it.
    of_job = rejection_parts.c.job_id == job_id
    at_or_before = rejection_parts.c.first_fault <= from_fault
    start = select(func.max(rejection_parts.c.first_fault)).where(of_job, at_or_before).scalar_subquery()
    statement = (
        select(rejection_parts)
        .where(
            of_job,
            rejection_parts.c.first_fault >= start,
            rejection_parts.c.first_fault + rejection_parts.c.fault_count > from_fault,
        )
        .order_by(rejection_parts.c.first_fault)
        .limit(limit)
    )
    return [
        PlacedRejections(
            key=row.key, first_fault=row.first_fault, fault_count=row.fault_count, footer_hash=row.footer_hash
        )
        for row in tx.connection.execute(statement)
    ]
