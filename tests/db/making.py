"""Rows for the tests of the database: plain functions, each with what a test may want to say about its row."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import insert

from assay.db import datasets, jobs, leases, tables, tokens
from assay.db.engine import Database, WriteTransaction
from assay.ids import new_id
from assay.jobs import Counts, Import, Lease, NewImport, NewPart, Outcome, RejectionPart, State

SCHEMA = {"strict": False, "fields": {"zeta": {"type": "text"}, "alpha": {"type": "integer"}}}
LEASE = timedelta(seconds=30)
NO_LIMIT = 1000
FOOTER_HASH = "0" * 32


def make_dataset(db: Database, *, workspace_id: str = "default", schema: bool = True) -> UUID:
    dataset_id = new_id()
    with db.write() as tx:
        tokens.insert_workspace(tx, workspace_id)
        new = datasets.NewDataset(id=dataset_id, workspace_id=workspace_id, name="a dataset", created_by="a token")
        datasets.insert_dataset(tx, new)
        if schema:
            datasets.insert_schema(tx, dataset_id, version=1, body=SCHEMA)
    return dataset_id


def make_import(tx: WriteTransaction, dataset_id: UUID, *, workspace_id: str = "default") -> Import:
    import_id = new_id()
    new = NewImport(
        id=import_id,
        dataset_id=dataset_id,
        filename="answers.csv",
        format="csv",
        content_type="text/csv",
        file_key=f"datasets/{dataset_id}/uploads/{import_id}/answers.csv",
        expires_at=tx.now() + timedelta(hours=1),
    )
    return jobs.insert_import(tx, new, workspace_id=workspace_id)


def queue_job(
    db: Database, dataset_id: UUID, *, workspace_id: str = "default", uploaded_at: datetime | None = None
) -> Import:
    """An import that is in line, uploaded now if no other time is said."""
    with db.write() as tx:
        job = make_import(tx, dataset_id, workspace_id=workspace_id)
        return jobs.move(tx, job, State.QUEUED, uploaded_at=uploaded_at or tx.now(), size_bytes=10)


def queue_many(db: Database, dataset_id: UUID, *, count: int) -> None:
    """So many jobs in line, without their history, quickly."""
    with db.write() as tx:
        now = tx.now()
        row = {"dataset_id": dataset_id, "workspace_id": "default", "state": State.QUEUED.value, "format": "csv"}
        row |= {"filename": "many.csv", "content_type": "text/csv", "created_at": now, "updated_at": now}
        row |= {"expires_at": now, "uploaded_at": now}
        rows = [row | {"id": new_id(), "file_key": f"many/{number}"} for number in range(count)]
        tx.connection.execute(insert(tables.jobs), rows)


def claim(db: Database, *, running_limit: int = NO_LIMIT) -> Lease | None:
    with db.write() as tx:
        return leases.claim_next(tx, lease=LEASE, running_limit=running_limit)


def claim_surely(db: Database) -> Lease:
    lease = claim(db)
    assert lease is not None
    return lease


def outcome_of(lease: Lease, *record_counts: int, faults: tuple[int, ...] = ()) -> Outcome:
    """What an attempt found: a part for each of the numbers of records, and a file for each of the faults' numbers."""
    folder = f"{lease.job.id}/{lease.attempt}"
    return Outcome(
        counts=Counts(accepted=sum(record_counts), rejected=sum(faults), processed_offset=10),
        errors=(),
        parts=tuple(
            NewPart(key=f"parts/{folder}/{number}", record_count=count, size_bytes=100, footer_hash=FOOTER_HASH)
            for number, count in enumerate(record_counts)
        ),
        rejections=tuple(
            RejectionPart(key=f"rejections/{folder}/{number}", fault_count=count, footer_hash=FOOTER_HASH)
            for number, count in enumerate(faults)
        ),
    )


def complete(db: Database, lease: Lease, *record_counts: int, faults: tuple[int, ...] = ()) -> Import:
    found = outcome_of(lease, *(record_counts or (1,)), faults=faults)
    to = State.PARTIAL if faults else State.COMPLETE
    with db.write() as tx:
        return jobs.commit_outcome(tx, lease, found, to=to, reason=None)


def state_of(db: Database, job: Import) -> State:
    with db.read() as tx:
        found = jobs.get_import(tx, job.dataset_id, job.id)
    assert found is not None
    return found.state
