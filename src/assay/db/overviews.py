"""What a list shows of many datasets at a glance, in a fixed number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from assay.db.engine import ReadTransaction
from assay.db.tables import jobs
from assay.jobs import Kind, State


@dataclass(frozen=True)
class NewestImport:
    """A dataset's newest import, and how many it has in all."""

    id: UUID
    filename: str
    state: State
    updated_at: datetime
    import_count: int


def list_newest_imports(tx: ReadTransaction, dataset_ids: Sequence[UUID]) -> dict[UUID, NewestImport]:
    """By dataset; one with no imports is left out."""
    # Ids sort by age, so the greatest one is the newest.
    by_dataset = (
        select(func.max(jobs.c.id).label("newest_id"), func.count().label("import_count"))
        .where(jobs.c.dataset_id.in_(dataset_ids), jobs.c.kind == Kind.IMPORT.value)
        .group_by(jobs.c.dataset_id)
        .subquery("by_dataset")
    )
    columns = (jobs.c.dataset_id, jobs.c.id, jobs.c.filename, jobs.c.state, jobs.c.updated_at)
    statement = select(*columns, by_dataset.c.import_count).join(by_dataset, by_dataset.c.newest_id == jobs.c.id)
    return {
        row.dataset_id: NewestImport(
            id=row.id,
            filename=row.filename,
            state=State(row.state),
            updated_at=row.updated_at,
            import_count=row.import_count,
        )
        for row in tx.connection.execute(statement)
    }


def count_imports(tx: ReadTransaction, dataset_id: UUID) -> int:
    statement = select(func.count()).where(jobs.c.dataset_id == dataset_id, jobs.c.kind == Kind.IMPORT.value)
    count: int = tx.connection.execute(statement).scalar_one()
    return count
