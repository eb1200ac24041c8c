"""Setting a schema while uploads come in: whichever is first, no import is left waiting for what has happened."""

import threading
from uuid import UUID

import pytest

from assay.db.engine import Database
from assay.errors import Conflict, ErrorCode, InvalidFields, NotFound
from assay.ids import new_id
from assay.jobs import State
from assay.operations import SeenUpload, finish_upload, publish_schema
from assay.storage.base import Storage
from db.making import claim_surely
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


def test_two_first_schemas_at_once_make_one(database: Database) -> None:
    dataset_id = make_dataset(database, schema=None)
    other = {"strict": False, "fields": {"name": {"type": "text"}}}
    outcomes: list[str] = []

    def publish(schema: object) -> None:
        try:
            publish_schema(database, dataset_id, schema)
            outcomes.append("set")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=publish, args=(schema,)) for schema in (SCHEMA, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["conflict", "set"]


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


@pytest.mark.parametrize(
    "changed",
    [
        {"fields": {"age": {"type": "number"}}},
        {"fields": {"age": {"type": "integer", "label": "Age"}}},
        {"strict": True, "fields": {"age": {"type": "integer"}}},
        {"fields": {"age": {"type": "integer"}, "name": {"type": "text"}}},
    ],
)
def test_other_schema_is_a_conflict(database: Database, changed: object) -> None:
    dataset_id = make_dataset(database)
    with pytest.raises(Conflict) as caught:
        publish_schema(database, dataset_id, changed)
    assert caught.value.code is ErrorCode.SCHEMA_ALREADY_SET


def test_order_of_fields_is_part_of_a_schema(database: Database) -> None:
    fields = {"a": {"type": "text"}, "b": {"type": "text"}}
    dataset_id = make_dataset(database, schema={"fields": fields})
    with pytest.raises(Conflict):
        publish_schema(database, dataset_id, {"fields": dict(reversed(fields.items()))})


def test_bad_schema_releases_nothing(database: Database, storage: Storage) -> None:
    dataset_id = make_dataset(database, schema=None)
    job = upload(database, storage, dataset_id)
    with pytest.raises(InvalidFields):
        publish_schema(database, dataset_id, {"fields": {}})
    assert now_stands(database, job).state is State.PENDING_SCHEMA


def test_schema_of_an_unknown_dataset_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        publish_schema(database, new_id(), SCHEMA)
