"""An import's way as far as a test wants it to go: plain functions over operations and jobs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from assay.db import jobs
from assay.db.engine import Database
from assay.jobs import Import, JobEvent, Lease, State
from assay.operations import (
    SeenUpload,
    UploadOffer,
    begin_upload,
    create_dataset,
    finish_upload,
    get_import,
    start_import,
)
from assay.storage.base import Storage
from db.making import claim_surely
from db.making import make_dataset as make_workspace_with_dataset

SCHEMA: dict[str, Any] = {"strict": False, "fields": {"age": {"type": "integer"}}}
LIMIT = 1000
LEASE = timedelta(seconds=30)


def make_dataset(db: Database, *, schema: dict[str, Any] | None = SCHEMA) -> UUID:
    make_workspace_with_dataset(db)
    return create_dataset(db, "default", name="a dataset", created_by="a token", schema=schema).id


def offer_upload(db: Database, storage: Storage, dataset_id: UUID) -> UploadOffer:
    return start_import(db, storage, dataset_id, filename="a.csv", valid_seconds=3600, max_bytes=LIMIT)


def upload(db: Database, storage: Storage, dataset_id: UUID) -> Import:
    """An import whose file came in the ordinary way."""
    job = begin_upload(db, offer_upload(db, storage, dataset_id).job.file_key, quiet_seconds=60)
    return finish_upload(db, job, SeenUpload(size_bytes=10))


def import_in(state: State, db: Database, storage: Storage) -> Import:
    """An import of a new dataset, in that state."""
    dataset_id = make_dataset(db, schema=None if state is State.PENDING_SCHEMA else SCHEMA)
    if state is State.UNINITIALISED:
        return offer_upload(db, storage, dataset_id).job
    job = upload(db, storage, dataset_id)
    if state is State.PROCESSING:
        return claim_surely(db).job
    if state in (State.COMPLETE, State.PARTIAL, State.FAILED):
        lease = claim_surely(db)
        with db.write() as tx:
            return jobs.move(tx, lease.job, state, reason="An end.")
    assert job.state is state
    return job


def now_stands(db: Database, job: Import) -> Import:
    return get_import(db, job.dataset_id, job.id)


def history(db: Database, job: Import) -> list[JobEvent]:
    with db.read() as tx:
        return jobs.list_events(tx, job.id)


def states_of(db: Database, job: Import) -> list[State]:
    return [event.to_state for event in history(db, job)]


def lease_of(job: Import) -> Lease:
    return Lease(job=job, schema_version=1)
