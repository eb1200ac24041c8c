"""Datasets, the versions of their schemas, and their parts: rows in, frozen values out."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, insert, or_, select, update

from assay.db.engine import ReadTransaction, WriteTransaction
from assay.db.tables import datasets, jobs, parts, schemas
from assay.errors import Conflict, ErrorCode
from assay.jobs import Part, State


@dataclass(frozen=True)
class Dataset:
    """A dataset; `schema` is the JSON of its newest schema version, or None while it has none."""

    id: UUID
    workspace_id: str
    name: str
    created_at: datetime
    created_by: str
    record_count: int
    schema_version: int | None
    schema: dict[str, Any] | None


@dataclass(frozen=True)
class NewDataset:
    id: UUID
    workspace_id: str
    name: str
    created_by: str


def insert_dataset(tx: WriteTransaction, new: NewDataset) -> None:
    tx.connection.execute(
        insert(datasets).values(
            id=new.id,
            workspace_id=new.workspace_id,
            name=new.name,
            created_at=tx.now(),
            created_by=new.created_by,
        )
    )


def insert_schema(tx: WriteTransaction, dataset_id: UUID, *, version: int, body: dict[str, Any]) -> None:
    """Record a schema version and make it the dataset's newest; `Conflict` when another came in between."""
    moved = tx.connection.execute(
        update(datasets)
        .where(datasets.c.id == dataset_id, func.coalesce(datasets.c.schema_version, 0) == version - 1)
        .values(schema_version=version)
    )
    if moved.rowcount != 1:
        message = "The dataset's schema was changed by someone else at the same time; read it and try again."
        raise Conflict(message, code=ErrorCode.STATE_CHANGED)
    # JSON text, not a JSON column: the order of a schema's fields is part of it, and PostgreSQL's jsonb forgets it.
    tx.connection.execute(
        insert(schemas).values(dataset_id=dataset_id, version=version, body=json.dumps(body), created_at=tx.now())
    )


def get_dataset(tx: ReadTransaction, dataset_id: UUID) -> Dataset | None:
    row = tx.connection.execute(_select_datasets().where(datasets.c.id == dataset_id)).one_or_none()
    return None if row is None else _dataset(row)


def list_datasets(tx: ReadTransaction, workspace_id: str, *, limit: int, before: UUID | None) -> list[Dataset]:
    """Newest first; `before` is the last id of the page before."""
    statement = _select_datasets().where(datasets.c.workspace_id == workspace_id)
    if before is not None:
        statement = statement.where(datasets.c.id < before)
    rows = tx.connection.execute(statement.order_by(datasets.c.id.desc()).limit(limit))
    return [_dataset(row) for row in rows]


def get_schema(tx: ReadTransaction, dataset_id: UUID, *, version: int) -> dict[str, Any]:
    statement = select(schemas.c.body).where(schemas.c.dataset_id == dataset_id, schemas.c.version == version)
    body: dict[str, Any] = json.loads(tx.connection.execute(statement).scalar_one())
    return body


def lock_dataset(tx: WriteTransaction, dataset_id: UUID) -> bool:
    """Hold the dataset's row to the end of the transaction; False when it is gone.

    What decides by the dataset's schema or record count, and what changes them, take turns on this lock.
    SQLite's write lock is the whole database, and `FOR UPDATE` is left out of its statements. Rows are locked in
    this order, the dataset's before its jobs', and so that new jobs of the dataset (their foreign key) don't wait.
    """
    statement = select(datasets.c.id).where(datasets.c.id == dataset_id).with_for_update(key_share=True)
    return tx.connection.execute(statement).one_or_none() is not None


def count_states(tx: ReadTransaction, dataset_id: UUID) -> dict[State, int]:
    """How many of the dataset's imports are in each state; states with none are left out.

    An import that ended with no upload ever seen says nothing about the dataset and is not counted.
    """
    says_something = or_(jobs.c.state != State.FAILED.value, jobs.c.uploaded_at.is_not(None))
    statement = (
        select(jobs.c.state, func.count().label("jobs"))
        .where(jobs.c.dataset_id == dataset_id, says_something)
        .group_by(jobs.c.state)
    )
    return {State(row.state): row.jobs for row in tx.connection.execute(statement)}


def list_parts(tx: ReadTransaction, dataset_id: UUID, *, from_row: int, limit: int) -> list[Part]:
    """The parts that hold the dataset's rows from `from_row` on, in order, at most `limit` of them."""
    # The part that `from_row` lies in is found by the key, not by adding up all those before it.
    of_dataset = parts.c.dataset_id == dataset_id
    start = select(func.max(parts.c.first_row)).where(of_dataset, parts.c.first_row <= from_row).scalar_subquery()
    statement = (
        select(parts)
        .where(of_dataset, parts.c.first_row >= start, parts.c.first_row + parts.c.record_count > from_row)
        .order_by(parts.c.first_row)
        .limit(limit)
    )
    return [
        Part(
            key=row.key,
            row_in_file=row.row_in_file,
            import_id=row.job_id,
            record_count=row.record_count,
            size_bytes=row.size_bytes,
            first_row=row.first_row,
        )
        for row in tx.connection.execute(statement)
    ]


def _select_datasets() -> Select[Any]:
    newest = and_(schemas.c.dataset_id == datasets.c.id, schemas.c.version == datasets.c.schema_version)
    return select(datasets, schemas.c.body.label("schema_body")).select_from(datasets.outerjoin(schemas, newest))


def _dataset(row: Row[Any]) -> Dataset:
    return Dataset(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        created_at=row.created_at,
        created_by=row.created_by,
        record_count=row.record_count,
        schema_version=row.schema_version,
        schema=None if row.schema_body is None else json.loads(row.schema_body),
    )
