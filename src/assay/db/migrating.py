"""The rows of schema migrations: recorded in line like imports, and ended by putting all parts in place at once."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update

from assay.db.engine import ReadTransaction, WriteTransaction
from assay.db.jobs import count_columns, insert_event, move
from assay.db.loose_files import note_loose
from assay.db.rejection_parts import insert_rejection_parts
from assay.db.tables import datasets, jobs, parts
from assay.errors import Conflict, ErrorCode
from assay.jobs import Counts, Kind, Lease, State
from assay.migrations import Migration, MigrationOutcome, NulledValue


def insert_migration(
    tx: WriteTransaction, dataset_id: UUID, *, migration_id: UUID, workspace_id: str, schema_version: int
) -> None:
    """Put a migration at the end of the dataset's line. A job that has no upload has a key at which nothing lies."""
    now = tx.now()
    tx.connection.execute(
        insert(jobs).values(
            id=migration_id,
            dataset_id=dataset_id,
            workspace_id=workspace_id,
            kind=Kind.MIGRATION.value,
            state=State.QUEUED.value,
            filename="",
            format="",
            content_type="",
            file_key=f"datasets/{dataset_id}/migrations/{migration_id}",
            created_at=now,
            updated_at=now,
            expires_at=now,
            uploaded_at=now,
            schema_version=schema_version,
        )
    )
    insert_event(tx, migration_id, from_state=None, to_state=State.QUEUED, attempt=0, reason=None)


def get_migration(tx: ReadTransaction, dataset_id: UUID, migration_id: UUID) -> Migration | None:
    statement = select(jobs).where(
        jobs.c.id == migration_id, jobs.c.dataset_id == dataset_id, jobs.c.kind == Kind.MIGRATION.value
    )
    row = tx.connection.execute(statement).one_or_none()
    return None if row is None else _migration(row)


def commit_migration(
    tx: WriteTransaction, lease: Lease, outcome: MigrationOutcome, *, old_files_until: datetime
) -> None:
    """End a migration: all parts of the dataset are the outcome's, and its schema version is in force.

    The old files stay until `old_files_until`, for whoever is reading them.
    """
    dataset_id = lease.job.dataset_id
    held = select(datasets.c.record_count).where(datasets.c.id == dataset_id).with_for_update(key_share=True)
    record_count: int | None = tx.connection.execute(held).scalar_one_or_none()
    if record_count is None:
        raise Conflict("The dataset was deleted.", code=ErrorCode.LEASE_LOST)
    if record_count != outcome.record_count:
        raise ValueError(f"a migration of {record_count} records came to {outcome.record_count}")
    nulled = [[str(value.datapoint_id), value.field, value.reason] for value in outcome.first_nulled]
    move(
        tx,
        lease.job,
        State.PARTIAL if outcome.nulled_count else State.COMPLETE,
        reason=None,
        lease_until=None,
        errors=json.dumps(nulled),
        **count_columns(Counts(accepted=outcome.record_count, rejected=outcome.nulled_count)),
    )
    insert_rejection_parts(tx, lease.job.id, outcome.nulled)
    of_dataset = parts.c.dataset_id == dataset_id
    old_keys = tx.connection.execute(select(parts.c.key).where(of_dataset).distinct()).scalars().all()
    note_loose(tx, old_keys, delete_after=old_files_until)
    tx.connection.execute(delete(parts).where(of_dataset))
    rows = _part_rows(lease, outcome)
    if rows:
        tx.connection.execute(insert(parts), rows)
    in_force = update(datasets).where(datasets.c.id == dataset_id).values(schema_version=lease.schema_version)
    tx.connection.execute(in_force)


def _part_rows(lease: Lease, outcome: MigrationOutcome) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    first_row = 0
    for part in outcome.parts:
        rows.append(
            {
                "dataset_id": lease.job.dataset_id,
                "first_row": first_row,
                "job_id": part.job_id,
                "key": part.key,
                "row_in_file": part.row_in_file,
                "record_count": part.record_count,
                "size_bytes": part.size_bytes,
                "footer_hash": part.footer_hash,
                "schema_version": lease.schema_version,
            }
        )
        first_row += part.record_count
    return rows


def _migration(row: Row[Any]) -> Migration:
    return Migration(
        id=row.id,
        dataset_id=row.dataset_id,
        state=State(row.state),
        schema_version=row.schema_version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        record_count=row.accepted_count,
        nulled_count=row.rejected_count,
        first_nulled=tuple(
            NulledValue(datapoint_id=UUID(identifier), field=field, reason=reason)
            for identifier, field, reason in json.loads(row.errors or "[]")
        ),
        reason=row.reason,
    )
