"""The routes that tell how a schema migration stands, and what it made null."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from assay.db import migrating
from assay.db.tokens import Token
from assay.errors import ErrorCode, NotFound
from assay.ids import parse_id
from assay.jobs import State
from assay.migrations import Migration, NulledValue
from assay.rejected import read_nulled
from assay.web.auth import Reader, dataset_for
from assay.web.errors import responses
from assay.web.parameters import BASE_PATH, DatasetId, Limit, RowCursor, row_of_cursor
from assay.web.services import Services, WithServices
from assay.wire import MigrationBody, NulledValueBody, Page

router = APIRouter(prefix=BASE_PATH)

MigrationId = Annotated[str, Path(description="The migration's id.", json_schema_extra={"format": "uuid"})]
STATUSES = {State.COMPLETE: "complete", State.PARTIAL: "partial", State.FAILED: "failed"}


@router.get(
    "/datasets/{dataset_id}/schema-migrations/{job_id}",
    operation_id="get-schema-migration-status",
    summary="Get a schema migration's status",
    tags=["datasets"],
    response_model_exclude_unset=True,
    responses=responses(401, 403, 404),
)
def get_schema_migration(
    dataset_id: DatasetId, job_id: MigrationId, services: WithServices, token: Reader
) -> MigrationBody:
    """Poll this until the status is `complete`, `partial` or `failed`. Until then the records are the old ones."""
    return migration_body(_migration_for(services, token, dataset_id, job_id))


@router.get(
    "/datasets/{dataset_id}/schema-migrations/{job_id}/errors",
    operation_id="list-schema-migration-errors",
    summary="List the values that a schema migration made null",
    tags=["datasets"],
    responses=responses(400, 401, 403, 404, 409),
)
def get_schema_migration_errors(
    dataset_id: DatasetId,
    job_id: MigrationId,
    services: WithServices,
    token: Reader,
    limit: Limit = 100,
    cursor: RowCursor = None,
) -> Page[NulledValueBody]:
    """Every value that the new schema refused, in the dataset's order. 409 until the migration has ended."""
    migration = _migration_for(services, token, dataset_id, job_id)
    start = row_of_cursor(cursor)
    page = read_nulled(services.db, services.storage, migration, from_value=start, limit=limit)
    return Page(
        results=[_nulled_body(value) for value in page.values],
        next_cursor=None if page.next_value is None else str(page.next_value),
    )


def _migration_for(services: Services, token: Token, dataset_id: str, job_id: str) -> Migration:
    dataset = dataset_for(services, token, dataset_id)
    identifier = parse_id(job_id)
    with services.db.read() as tx:
        found = None if identifier is None else migrating.get_migration(tx, dataset.id, identifier)
    if found is None:
        raise NotFound("The dataset has no such migration.", code=ErrorCode.UNKNOWN_MIGRATION)
    return found


def migration_body(migration: Migration) -> MigrationBody:
    """A migration as the contract has it: a key is there only in the states that give it a meaning."""
    values: dict[str, Any] = {
        "dataset_id": migration.dataset_id,
        "job_id": migration.id,
        "schema_version": migration.schema_version,
        "created_at": migration.created_at,
        "updated_at": migration.updated_at,
        "status": STATUSES.get(migration.state, "processing"),
    }
    if migration.state in (State.PROCESSING, State.COMPLETE, State.PARTIAL):
        values["reprocessed_count"] = migration.record_count
    if migration.state is State.PARTIAL:
        values["failed_count"] = migration.nulled_count
        values["errors"] = [_nulled_body(value) for value in migration.first_nulled]
    if migration.state is State.FAILED:
        values["reason"] = migration.reason or "The migration failed."
    return MigrationBody(**values)


def _nulled_body(value: NulledValue) -> NulledValueBody:
    return NulledValueBody(datapoint_id=value.datapoint_id, field=value.field, reason=value.reason)
