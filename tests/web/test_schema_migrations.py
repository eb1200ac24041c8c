"""Schema changes over HTTP: what PATCH answers, how a migration is polled, and what readers see meanwhile."""

from typing import Any

import pytest

from assay.errors import ErrorCode
from services.callers import AGES, Caller, ages_csv, wait_until
from web.public_shapes import DATASET, ERROR, MIGRATING_DATASET, MIGRATION, NULLED_VALUE, assert_shape
from web.test_appends import append
from web.test_errors import assert_error
from web.test_pages import all_pages

WIDER: dict[str, Any] = {"strict": True, "fields": {"age": {"type": "text"}}}
NARROWER: dict[str, Any] = {"strict": True, "fields": {"age": {"type": "integer", "minimum": 2}}}


def patch(caller: Caller, dataset_id: str, schema: dict[str, Any]) -> Any:
    return caller.request("PATCH", f"/datasets/{dataset_id}", json={"schema": schema})


def migration(caller: Caller, dataset_id: str, migration_id: str) -> Any:
    found = caller.read(f"/datasets/{dataset_id}/schema-migrations/{migration_id}")
    assert_shape(found, MIGRATION)
    return found


def ended(caller: Caller, dataset_id: str, migration_id: str) -> Any:
    def look() -> Any:
        found = migration(caller, dataset_id, migration_id)
        return found if found["status"] != "processing" else None

    return wait_until(look, what="the migration ends")


def test_changed_schema_starts_a_migration_that_waits_its_turn(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    append(caller, dataset_id, b'{"age": 1}')
    answer = patch(caller, dataset_id, WIDER)
    assert answer.status_code == 200
    assert_shape(answer.json(), MIGRATING_DATASET)
    assert answer.json()["schema"] == WIDER
    found = migration(caller, dataset_id, answer.json()["migration_job_id"])
    assert (found["status"], found["schema_version"], found["dataset_id"]) == ("processing", 2, dataset_id)
    assert "reprocessed_count" not in found
    assert_shape(caller.read(f"/datasets/{dataset_id}"), DATASET)
    assert caller.read(f"/datasets/{dataset_id}")["schema"] == WIDER
    assert [record["data"] for record in caller.records(dataset_id)] == [{"age": 1}]
    assert caller.read(f"/datasets/{dataset_id}/status") == {"status": "PROCESSING"}
    assert caller.read(f"/datasets/{dataset_id}/imports")["results"] == []
    assert append(caller, dataset_id, b'{"age": 2}').status_code == 409


def test_other_change_during_a_migration_is_a_conflict_and_the_same_one_is_not(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    append(caller, dataset_id, b'{"age": 1}')
    first = patch(caller, dataset_id, WIDER).json()
    again = patch(caller, dataset_id, WIDER)
    assert (again.status_code, again.json()) == (200, first)
    other = patch(caller, dataset_id, NARROWER)
    assert other.status_code == 409
    assert_shape(other.json(), ERROR)
    assert other.json()["error"]["error_code"] == ErrorCode.DATASET_BUSY


@pytest.mark.parametrize(
    "fields", [{"age": {"type": "task_group_id"}}, AGES["fields"] | {"g": {"type": "task_group_id"}}]
)
def test_task_group_field_of_a_dataset_with_records_stays(caller: Caller, fields: dict[str, Any]) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    append(caller, dataset_id, b'{"age": 1}')
    answer = patch(caller, dataset_id, {"fields": fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["error_code"] == ErrorCode.GROUP_FIELD_CHANGED
    assert caller.read(f"/datasets/{dataset_id}")["schema"] == AGES


@pytest.mark.parametrize("migration_id", ["0190b5a0-0000-7000-8000-000000000000", "no-uuid"])
def test_migration_that_is_not_there_is_not_found(caller: Caller, migration_id: str) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = caller.get(f"/datasets/{dataset_id}/schema-migrations/{migration_id}")
    assert answer.status_code == 404
    assert answer.json()["error"]["error_code"] == ErrorCode.UNKNOWN_MIGRATION


def test_import_is_no_migration_and_a_migration_no_import(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.upload(dataset_id, ages_csv(1))
    migration_id = patch(caller, dataset_id, WIDER).json()["migration_job_id"]
    assert caller.get(f"/datasets/{dataset_id}/schema-migrations/{import_id}").status_code == 404
    assert caller.get(f"/datasets/{dataset_id}/imports/{migration_id}").status_code == 404
    cancel = caller.request("POST", f"/datasets/{dataset_id}/imports/{migration_id}/cancel")
    assert cancel.status_code == 404


def test_migration_runs_in_its_turn_and_tells_what_was_lost(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    importer.upload(dataset_id, ages_csv(1, 2, 3))
    migration_id = patch(importer, dataset_id, NARROWER).json()["migration_job_id"]
    after = importer.upload(dataset_id, ages_csv(1, 4))
    found = ended(importer, dataset_id, migration_id)
    records = importer.records(dataset_id)
    assert found["status"] == "partial"
    assert (found["reprocessed_count"], found["failed_count"]) == (3, 1)
    lost = {"datapoint_id": records[0]["id"], "field": "age", "reason": "Value must be at least 2"}
    assert found["errors"] == [lost]
    assert importer.settled(dataset_id, after)["rejected_count"] == 1
    assert [record["data"]["age"] for record in importer.records(dataset_id)] == [None, 2, 3, 4]
    dataset = importer.read(f"/datasets/{dataset_id}")
    assert (dataset["total_datapoint_count"], len(dataset["imports"])) == (4, 2)


def test_every_value_that_a_migration_made_null_is_listed_in_pages(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=WIDER)
    importer.import_file(dataset_id, b"age\n" + b"".join(b"old %d\n%d\n" % (number, number) for number in range(1500)))
    importer.import_file(dataset_id, b'{"age": "new"}\n', "one.jsonl")
    migration_id = patch(importer, dataset_id, AGES).json()["migration_job_id"]
    found = ended(importer, dataset_id, migration_id)
    assert (found["failed_count"], len(found["errors"])) == (1502, 1000)  # with the one that is 0
    path = f"/datasets/{dataset_id}/schema-migrations/{migration_id}/errors"
    pages = all_pages(importer, path, limit=400, shape=NULLED_VALUE)
    assert [len(page) for page in pages] == [400, 400, 400, 302]
    listed = [value for page in pages for value in page]
    ids = [record["id"] for record in importer.records(dataset_id) if record["data"]["age"] is None]
    assert [value["datapoint_id"] for value in listed] == ids
    assert listed[:1000] == found["errors"]
    assert {value["reason"] for value in listed} == {"Value must be an integer", "Value must be a positive integer"}


def test_values_made_null_are_not_listed_before_the_end(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    append(caller, dataset_id, b'{"age": 1}')
    migration_id = patch(caller, dataset_id, NARROWER).json()["migration_job_id"]
    answer = caller.get(f"/datasets/{dataset_id}/schema-migrations/{migration_id}/errors")
    assert_error(answer, 409, ErrorCode.NOT_ENDED)


def test_migration_that_loses_nothing_is_complete(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    importer.import_file(dataset_id, ages_csv(1, 2))
    found = ended(importer, dataset_id, patch(importer, dataset_id, WIDER).json()["migration_job_id"])
    assert (found["status"], found["reprocessed_count"]) == ("complete", 2)
    path = f"/datasets/{dataset_id}/schema-migrations/{found['job_id']}/errors"
    assert importer.read(path) == {"results": [], "next_cursor": None}
    assert [record["data"]["age"] for record in importer.records(dataset_id)] == ["1", "2"]
    assert importer.read(f"/datasets/{dataset_id}/status") == {"status": "READY"}
