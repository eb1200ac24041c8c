"""Turns what the product knows into the bodies that the contract describes."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from assay.db.datasets import Dataset
from assay.jobs import Import, State
from assay.reading import Datapoint
from assay.wire import (
    DatapointBody,
    DatasetBody,
    DatasetStatusBody,
    ErrorCountBody,
    ImportBody,
    ImportErrorBody,
    SchemaBody,
)

_WITH_PROGRESS = {State.PROCESSING, State.COMPLETE, State.PARTIAL, State.FAILED}


def import_body(job: Import) -> ImportBody:
    """An import as the contract has it: a key is there only in the states that give it a meaning."""
    values: dict[str, Any] = {
        "dataset_id": job.dataset_id,
        "import_id": job.id,
        "type": "file_upload",
        "filename": job.filename,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "status": job.state.value,
    }
    counts = job.counts
    if job.processing_started_at is not None and job.state in _WITH_PROGRESS:
        values |= {
            "processing_started_at": job.processing_started_at,
            "processed_offset": counts.processed_offset,
            "written_count": counts.written,
            "duplicate_seen_count": counts.duplicate,
            "rejected_seen_count": counts.rejected,
        }
    if job.state in (State.COMPLETE, State.PARTIAL):
        values |= {"accepted_count": counts.accepted, "duplicate_count": counts.duplicate}
    if job.state in (State.PARTIAL, State.FAILED) and counts.rejected:
        values["rejected_count"] = counts.rejected
        values["errors"] = [
            ImportErrorBody(record_index=error.record_index, field=error.field, reason=error.reason)
            for error in job.errors
        ]
        values["error_summary"] = [
            ErrorCountBody(field=row.field, reason=row.reason, count=row.count) for row in job.error_summary
        ]
    if job.state is State.FAILED:
        values["reason"] = job.reason or "The import failed."
    return ImportBody(**values)


def dataset_body(dataset: Dataset, imports: Sequence[Import]) -> DatasetBody:
    return DatasetBody(
        id=dataset.id,
        name=dataset.name,
        created_at=dataset.created_at,
        created_by=dataset.created_by,
        workspace_id=dataset.workspace_id,
        total_datapoint_count=dataset.record_count,
        schema_version=4,
        schema_=None if dataset.schema is None else SchemaBody.model_validate(dataset.schema),
        imports=[import_body(job) for job in imports],
    )


def with_migration(body: DatasetBody, migration_id: UUID) -> DatasetBody:
    return body.model_copy(update={"migration_job_id": migration_id})


def status_body(dataset: Dataset, states: dict[State, int]) -> DatasetStatusBody:
    if states.get(State.QUEUED) or states.get(State.PROCESSING):
        return DatasetStatusBody(status="PROCESSING")
    if dataset.record_count or states.get(State.COMPLETE) or states.get(State.PARTIAL):
        return DatasetStatusBody(status="READY")
    # One that waits for a schema has not failed.
    all_failed = states.get(State.FAILED) and not states.get(State.PENDING_SCHEMA)
    return DatasetStatusBody(status="ERROR" if all_failed else "UNINITIALISED")


def datapoint_body(datapoint: Datapoint) -> DatapointBody:
    return DatapointBody(
        id=datapoint.id, import_id=datapoint.import_id, record_index=datapoint.record_index, data=datapoint.data
    )
