"""Appends and migrations on the workbench, in few words."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from assay.appending import Appended, KnownIds, append_records
from assay.config import Settings
from assay.db import migrating
from assay.engines import Engine
from assay.jobs import TERMINAL
from assay.migrations import Migration
from assay.operations import publish_schema
from assay.reading import Datapoint
from services.callers import wait_until
from worker.bench import Bench


def threads_as_engine(settings: Settings) -> Engine:
    """In the place of the pool: what a test looks at is the same, and no process has to start for it."""
    pool = ThreadPoolExecutor(settings.workers)
    return Engine(
        pool, end=lambda: pool.shutdown(wait=False, cancel_futures=True), kill=lambda: None, is_lost=lambda: False
    )


def schema_of(*, strict: bool = False, **fields: Any) -> dict[str, Any]:
    """`schema_of(a="text", b={"type": "integer", "minimum": 1})`."""
    settings = {key: {"type": value} if isinstance(value, str) else value for key, value in fields.items()}
    return {"strict": strict, "fields": settings}


def append(bench: Bench, dataset_id: UUID, body: bytes) -> Appended:
    limit = bench.settings.record_limit_bytes
    return append_records(bench.db, bench.storage, dataset_id, body, known_ids=KnownIds(), record_limit_bytes=limit)


def publish(bench: Bench, dataset_id: UUID, schema: dict[str, Any]) -> UUID:
    """Publish a schema that needs a migration; its id."""
    migration_id = publish_schema(bench.db, dataset_id, schema).migration_id
    assert migration_id is not None
    return migration_id


def migration(bench: Bench, dataset_id: UUID, migration_id: UUID) -> Migration:
    with bench.db.read() as tx:
        found = migrating.get_migration(tx, dataset_id, migration_id)
    assert found is not None
    return found


def ended(bench: Bench, dataset_id: UUID, migration_id: UUID) -> Migration:
    def look() -> Migration | None:
        found = migration(bench, dataset_id, migration_id)
        return found if found.state in TERMINAL else None

    return wait_until(look, what="the migration ends")


def migrate(bench: Bench, dataset_id: UUID, schema: dict[str, Any]) -> Migration:
    migration_id = publish(bench, dataset_id, schema)
    with bench.working():
        return ended(bench, dataset_id, migration_id)


def data_of(records: Iterable[Datapoint]) -> list[dict[str, Any]]:
    return [record.data for record in records]


def places_of(records: Iterable[Datapoint]) -> list[tuple[UUID, UUID, int]]:
    """What a migration never changes of a record, in order."""
    return [(record.id, record.import_id, record.record_index) for record in records]
