"""Datasets, the versions of their schemas, and their parts: rows in, frozen values out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, case, func, insert, or_, select, update

from assay.db.engine import ReadTransaction, WriteTransaction
from assay.db.tables import datasets, jobs, parts, schemas
from assay.errors import Conflict, ErrorCode
from assay.jobs import DataFile, Kind, Part, State


@dataclass(frozen=True)
class Dataset:
    """A dataset. `schema` is the JSON of its newest schema, or None while it has none.

    `schema_version` is the version in force, which the records have. It is not yet that of `schema` while the
    migration `migration_id` is in line.
    """

    id: UUID
    workspace_id: str
    name: str
    created_at: datetime
    created_by: str
    record_count: int
    schema_version: int | None
    schema: dict[str, Any] | None
    migration_id: UUID | None


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
    """Record a schema version and put it in force; `Conflict` when another came in between."""
    moved = tx.connection.execute(
        update(datasets)
        .where(datasets.c.id == dataset_id, func.coalesce(datasets.c.schema_version, 0) == version - 1)
        .values(schema_version=version)
    )
    if moved.rowcount != 1:
        message = "The dataset's schema was changed by someone else at the same time; read it and try again."
        raise Conflict(message, code=ErrorCode.STATE_CHANGED)
    _insert_schema(tx, dataset_id, version=version, body=body)


def add_schema(tx: WriteTransaction, dataset_id: UUID, body: dict[str, Any]) -> int:
    """Record the next schema version, not yet in force, under the dataset's lock; the version's number.

    Numbers of schemas that never came into force are not given again.
    """
    latest = select(func.coalesce(func.max(schemas.c.version), 0)).where(schemas.c.dataset_id == dataset_id)
    version = int(tx.connection.execute(latest).scalar_one()) + 1
    _insert_schema(tx, dataset_id, version=version, body=body)
    return version


def put_in_force(tx: WriteTransaction, dataset_id: UUID, *, version: int) -> None:
    tx.connection.execute(update(datasets).where(datasets.c.id == dataset_id).values(schema_version=version))


def _insert_schema(tx: WriteTransaction, dataset_id: UUID, *, version: int, body: dict[str, Any]) -> None:
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
    text = tx.connection.execute(statement).scalar_one_or_none()
    if text is None:
        raise Conflict("The dataset was deleted.", code=ErrorCode.STATE_CHANGED)
    body: dict[str, Any] = json.loads(text)
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
    """How many of the dataset's jobs are in each state; states with none are left out.

    An import that ended with no upload ever seen says nothing about the dataset and is not counted, nor is a
    migration that has ended: it brings no records.
    """
    is_open = jobs.c.state.in_([State.QUEUED.value, State.PROCESSING.value])
    was_seen = or_(jobs.c.state != State.FAILED.value, jobs.c.uploaded_at.is_not(None))
    says_something = or_(is_open, and_(jobs.c.kind != Kind.MIGRATION.value, was_seen))
    statement = (
        select(jobs.c.state, func.count().label("jobs"))
        .where(jobs.c.dataset_id == dataset_id, says_something)
        .group_by(jobs.c.state)
    )
    return {State(row.state): row.jobs for row in tx.connection.execute(statement)}


def kinds_in_line(tx: ReadTransaction, dataset_id: UUID) -> dict[Kind, bool]:
    """The kinds of the dataset's jobs that are queued or processing, each with whether one of it is processing."""
    is_processing = func.max(case((jobs.c.state == State.PROCESSING.value, 1), else_=0))
    statement = (
        select(jobs.c.kind, is_processing.label("is_processing"))
        .where(jobs.c.dataset_id == dataset_id, jobs.c.state.in_([State.QUEUED.value, State.PROCESSING.value]))
        .group_by(jobs.c.kind)
    )
    return {Kind(row.kind): bool(row.is_processing) for row in tx.connection.execute(statement)}


def list_files(tx: ReadTransaction, dataset_id: UUID) -> list[DataFile]:
    """All the files of the dataset's records, in the order of these. Parts that share a file lie together in it.

    Where they don't agree on its footer, a release that knew of no hashes put them together, and it has none.
    """
    first_row = func.min(parts.c.first_row)
    footer_hash = func.max(parts.c.footer_hash)
    is_agreed = and_(func.min(parts.c.footer_hash) == footer_hash, func.count(parts.c.footer_hash) == func.count())
    statement = (
        select(
            parts.c.key,
            first_row.label("first_row"),
            func.sum(parts.c.record_count).label("record_count"),
            func.count().label("part_count"),
            func.max(parts.c.size_bytes).label("size_bytes"),
            case((is_agreed, footer_hash)).label("footer_hash"),
            func.max(parts.c.schema_version).label("schema_version"),
        )
        .where(parts.c.dataset_id == dataset_id)
        .group_by(parts.c.key)
        .order_by(first_row)
    )
    return [
        DataFile(
            key=row.key,
            first_row=row.first_row,
            record_count=int(row.record_count),  # PostgreSQL's sum of big integers is a decimal
            part_count=row.part_count,
            size_bytes=row.size_bytes,
            footer_hash=row.footer_hash,
            schema_version=row.schema_version,
        )
        for row in tx.connection.execute(statement)
    ]


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
            footer_hash=row.footer_hash,
            first_row=row.first_row,
        )
        for row in tx.connection.execute(statement)
    ]


def which_are_parts(tx: ReadTransaction, dataset_id: UUID, keys: Sequence[str]) -> set[str]:
    """Those of the keys at which records of the dataset lie."""
    if not keys:
        return set()
    of_dataset = select(parts.c.key).where(parts.c.dataset_id == dataset_id).distinct()
    return set(tx.connection.execute(of_dataset).scalars()) & set(keys)


def _select_datasets() -> Select[Any]:
    # At most one migration of a dataset is in line.
    migration = jobs.alias("migration")
    in_line = and_(
        migration.c.dataset_id == datasets.c.id,
        migration.c.kind == Kind.MIGRATION.value,
        migration.c.state.in_([State.QUEUED.value, State.PROCESSING.value]),
    )
    newest = and_(
        schemas.c.dataset_id == datasets.c.id,
        schemas.c.version == func.coalesce(migration.c.schema_version, datasets.c.schema_version),
    )
    joined = datasets.outerjoin(migration, in_line).outerjoin(schemas, newest)
    columns = (datasets, schemas.c.body.label("schema_body"), migration.c.id.label("migration_id"))
    return select(*columns).select_from(joined)


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
        migration_id=row.migration_id,
    )
