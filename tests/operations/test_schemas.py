"""Setting a schema while uploads come in: whichever is first, no import is left waiting for what has happened."""

import threading
from uuid import UUID

import pytest

from assay.db import datasets, jobs, migrating
from assay.db.engine import Database
from assay.errors import Conflict, ErrorCode, Invalid, InvalidFields, NotFound
from assay.ids import new_id
from assay.jobs import Kind, State
from assay.migrations import MigrationOutcome
from assay.operations import SeenUpload, finish_upload, publish_schema
from assay.schema import fingerprint_of, parse_schema, schema_to_json, stored_schema
from assay.storage.base import Storage
from db.making import claim_surely, complete
from moving_clock import Clock
from operations.steps import SCHEMA, make_dataset, now_stands, offer_upload, upload

UPLOADS = 6


@pytest.mark.parametrize("round_number", range(3))
def test_schema_set_in_the_midst_of_uploads_leaves_none_waiting(
    database: Database, storage: Storage, round_number: int
) -> None:
    dataset_id = make_dataset(database, schema=None)
    offers = [offer_upload(database, storage, dataset_id).job for _ in range(UPLOADS)]
    barrier = threading.Barrier(UPLOADS + 1)
    failures: list[BaseException] = []

    def at_once(work: object, *arguments: object) -> None:
        barrier.wait()
        try:
            work(*arguments)  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001  # to be seen by the test
            failures.append(error)

    threads = [
        threading.Thread(target=at_once, args=(finish_upload, database, job, SeenUpload(size_bytes=1)))
        for job in offers
    ]
    threads.append(threading.Thread(target=at_once, args=(publish_schema, database, dataset_id, SCHEMA)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert [now_stands(database, job).state for job in offers] == [State.QUEUED] * UPLOADS


def test_two_first_schemas_at_once_are_two_versions(database: Database) -> None:
    dataset_id = make_dataset(database, schema=None)
    other = {"strict": False, "fields": {"name": {"type": "text"}}}
    outcomes: list[int | None] = []

    def publish(schema: object) -> None:
        outcomes.append(publish_schema(database, dataset_id, schema).schema_version)

    threads = [threading.Thread(target=publish, args=(schema,)) for schema in (SCHEMA, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(version or 0 for version in outcomes) == [1, 2]


def test_first_schema_releases_in_upload_order(database: Database, storage: Storage, clock: Clock) -> None:
    dataset_id = make_dataset(database, schema=None)
    first = [offer_upload(database, storage, dataset_id).job for _ in range(4)]
    uploaded: list[UUID] = []
    for job in (first[2], first[0], first[3], first[1]):
        clock.advance(1)
        uploaded.append(finish_upload(database, job, SeenUpload(size_bytes=1)).id)
    publish_schema(database, dataset_id, SCHEMA)
    lease = claim_surely(database)
    assert lease.job.id == uploaded[0]
    assert lease.schema_version == 1


def test_same_schema_again_is_no_change(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database)
    again = publish_schema(database, dataset_id, {"fields": {"age": {"type": "integer"}}})
    assert (again.schema_version, again.schema) == (1, SCHEMA)
    assert upload(database, storage, dataset_id).state is State.QUEUED


FIELDS = {"a": {"type": "text"}, "b": {"type": "task_group_id"}}
CHANGED: list[dict[str, object]] = [
    {"fields": FIELDS | {"a": {"type": "integer"}}},
    {"fields": FIELDS | {"a": {"type": "text", "label": "A"}}},
    {"fields": FIELDS, "strict": True},
    {"fields": FIELDS | {"c": {"type": "text"}}},
    {"fields": dict(reversed(FIELDS.items()))},
]


@pytest.mark.parametrize("changed", CHANGED)
def test_other_schema_is_in_force_at_once_while_there_is_nothing(database: Database, changed: object) -> None:
    dataset_id = make_dataset(database, schema={"fields": FIELDS})
    after = publish_schema(database, dataset_id, changed)
    assert (after.schema_version, after.migration_id) == (2, None)
    assert after.schema is not None
    assert list(after.schema["fields"]) == list(changed["fields"])  # type: ignore[index]


@pytest.mark.parametrize("changed", CHANGED)
def test_other_schema_waits_its_turn_behind_what_is_in_line(
    database: Database, storage: Storage, clock: Clock, changed: object
) -> None:
    dataset_id = make_dataset(database, schema={"fields": FIELDS})
    before = upload(database, storage, dataset_id)
    clock.advance(1)
    dataset = publish_schema(database, dataset_id, changed)
    clock.advance(1)
    after = upload(database, storage, dataset_id)
    assert dataset.schema_version == 1
    assert [claimed(database) for _ in range(3)] == [(before.id, 1), (dataset.migration_id, 2), (after.id, 2)]


def test_schema_of_before_a_rule_can_be_replaced(sqlite_database: Database) -> None:
    """Its bound would be refused today; refused with it would be whoever comes to mend it."""
    dataset_id = make_dataset(sqlite_database, schema=None)
    old = {"strict": False, "fields": {"a": {"type": "number", "maximum": 2**53 + 1}}}
    with sqlite_database.write() as tx:
        datasets.insert_schema(tx, dataset_id, version=1, body=old)
    with pytest.raises(InvalidFields):
        publish_schema(sqlite_database, dataset_id, old | {"strict": True})
    assert stored_schema(old).fields[0].constraints.maximum == 2**53 + 1
    mended = {"fields": {"a": {"type": "number", "maximum": 2**53}}}
    assert publish_schema(sqlite_database, dataset_id, mended).schema_version == 2


def claimed(db: Database) -> tuple[UUID, int]:
    """Claim the next job and end it; the job and the schema version that it ran under."""
    lease = claim_surely(db)
    if lease.job.kind is Kind.MIGRATION:
        nothing = MigrationOutcome(record_count=0, nulled_count=0, first_nulled=(), nulled=(), parts=())
        with db.write() as tx:
            migrating.commit_migration(tx, lease, nothing, old_files_until=tx.now())
    else:
        with db.write() as tx:
            jobs.fail(tx, lease.job, reason="for the test")
    return lease.job.id, lease.schema_version


def test_one_migration_at_a_time(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database, schema={"fields": FIELDS})
    upload(database, storage, dataset_id)
    started = publish_schema(database, dataset_id, CHANGED[0])
    assert publish_schema(database, dataset_id, CHANGED[0]) == started
    with pytest.raises(Conflict) as caught:
        publish_schema(database, dataset_id, CHANGED[1])
    assert caught.value.code is ErrorCode.DATASET_BUSY


@pytest.mark.parametrize(
    "fields",
    [
        {"a": {"type": "text"}},
        {"a": {"type": "text"}, "b": {"type": "text"}},
        {"a": {"type": "task_group_id"}, "b": {"type": "text"}},
    ],
)
def test_group_field_stays_once_there_are_records(database: Database, storage: Storage, fields: object) -> None:
    dataset_id = make_dataset(database, schema={"fields": FIELDS})
    upload(database, storage, dataset_id)
    with pytest.raises(Conflict) as too_early:
        publish_schema(database, dataset_id, {"fields": fields})
    assert too_early.value.code is ErrorCode.DATASET_BUSY
    complete(database, claim_surely(database))
    with pytest.raises(Invalid) as too_late:
        publish_schema(database, dataset_id, {"fields": fields})
    assert too_late.value.code is ErrorCode.GROUP_FIELD_CHANGED


def test_schema_is_not_set_in_the_place_of_another_than_was_seen(database: Database) -> None:
    dataset_id = make_dataset(database, schema={"fields": FIELDS})
    seen = fingerprint_of(schema_json_of(database, dataset_id))
    publish_schema(database, dataset_id, CHANGED[0], instead_of=seen)
    publish_schema(database, dataset_id, CHANGED[0], instead_of=seen)
    with pytest.raises(Conflict) as overtaken:
        publish_schema(database, dataset_id, CHANGED[1], instead_of=seen)
    assert overtaken.value.code is ErrorCode.STATE_CHANGED
    assert schema_json_of(database, dataset_id) == schema_to_json(parse_schema(CHANGED[0]))


def schema_json_of(database: Database, dataset_id: UUID) -> object:
    with database.read() as tx:
        dataset = datasets.get_dataset(tx, dataset_id)
    assert dataset is not None
    return dataset.schema


def test_schema_of_a_failed_migration_is_withdrawn(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database, schema={"fields": FIELDS})
    upload(database, storage, dataset_id)
    before = publish_schema(database, dataset_id, {"fields": FIELDS})
    complete(database, claim_surely(database))
    assert publish_schema(database, dataset_id, CHANGED[0]).schema != before.schema
    lease = claim_surely(database)
    with database.write() as tx:
        jobs.fail(tx, lease.job, reason="for the test")
    with database.read() as tx:
        after = datasets.get_dataset(tx, dataset_id)
    assert after is not None
    assert (after.schema, after.schema_version, after.migration_id) == (before.schema, 1, None)
    again = publish_schema(database, dataset_id, CHANGED[0])
    assert again.migration_id is not None
    assert claim_surely(database).schema_version == 3


def test_bad_schema_releases_nothing(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database, schema=None)
    job = upload(database, storage, dataset_id)
    with pytest.raises(InvalidFields):
        publish_schema(database, dataset_id, {"fields": {}})
    assert now_stands(database, job).state is State.PENDING_SCHEMA


def test_schema_of_an_unknown_dataset_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        publish_schema(database, new_id(), SCHEMA)
