"""Datasets: made, read, listed, given a schema; and what becomes of a schema that can't be used."""

from typing import Any

import pytest

from assay.errors import ErrorCode
from assay.schema import MAX_FIELDS
from services.callers import AGES, TEXTS, Caller, ages_csv
from web.public_shapes import DATASET, DATASET_STATUS, ERROR, assert_shape, page_of


def status(caller: Caller, dataset_id: str) -> str:
    body = caller.read(f"/datasets/{dataset_id}/status")
    assert_shape(body, DATASET_STATUS)
    return str(body["status"])


def test_new_dataset_is_answered_whole(caller: Caller) -> None:
    answer = caller.request("POST", "/datasets", json={"name": "Survey", "workspace_id": "home", "schema": AGES})
    assert answer.status_code == 201
    dataset = answer.json()
    assert_shape(dataset, DATASET)
    assert dataset["schema"] == AGES
    assert dataset["created_by"] == "test writer"
    assert (dataset["total_datapoint_count"], dataset["imports"]) == (0, [])
    assert caller.read(f"/datasets/{dataset['id']}") == dataset


@pytest.mark.parametrize("body", [{}, {"schema": None}])
def test_dataset_without_schema_shows_null(caller: Caller, body: dict[str, Any]) -> None:
    answer = caller.request("POST", "/datasets", json={"name": "Survey", "workspace_id": "home", **body})
    assert answer.status_code == 201
    assert_shape(answer.json(), DATASET)
    assert answer.json()["schema"] is None


def test_dataset_is_made_in_the_tokens_workspace_unless_it_says_so_itself(caller: Caller) -> None:
    answer = caller.request("POST", "/datasets", json={"name": "Survey"})
    assert (answer.status_code, answer.json()["workspace_id"]) == (201, "home")


def test_unknown_keys_beside_the_known_ones_are_ignored(caller: Caller) -> None:
    """As the public API's clients send some that only its own service knows."""
    body = {"name": "Survey", "workspace_id": "home", "datapoint_schema_version": 4}
    assert caller.request("POST", "/datasets", json=body).status_code == 201


def test_schema_keeps_the_order_and_the_words_of_its_fields(caller: Caller) -> None:
    fields = {key: {"type": "text", "label": key.upper()} for key in ("z", "a", "é", "m 1")}
    fields["n"] = {"type": "number", "minimum": 0.5, "required": False}  # type: ignore[dict-item]
    dataset = caller.read(f"/datasets/{caller.make_dataset(schema={'strict': True, 'fields': fields})}")
    assert list(dataset["schema"]["fields"].items()) == list(fields.items())


def test_whole_length_may_have_a_fraction_of_zeros(caller: Caller) -> None:
    """As some programs write every number."""
    text = '{"name": "Survey", "schema": {"fields": {"a": {"type": "text", "minLength": 1.0}}}}'
    answer = caller.request("POST", "/datasets", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    assert '"minLength":1}' in answer.text


def test_dataset_shows_its_imports_newest_first(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    made = [importer.import_file(dataset_id, ages_csv(number + 1)) for number in range(3)]
    dataset = importer.read(f"/datasets/{dataset_id}")
    assert_shape(dataset, DATASET)
    assert dataset["imports"] == made[::-1]
    assert dataset["total_datapoint_count"] == 3


def test_total_counts_what_was_written_not_duplicates(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    for _ in range(2):
        importer.import_file(dataset_id, ages_csv(1, 2, 2, -1))
    assert importer.read(f"/datasets/{dataset_id}")["total_datapoint_count"] == 2


def test_status_follows_the_imports(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    assert status(importer, dataset_id) == "UNINITIALISED"
    importer.ask_for_url(dataset_id)
    assert status(importer, dataset_id) == "UNINITIALISED"
    importer.import_file(dataset_id, ages_csv("x"))
    assert status(importer, dataset_id) == "ERROR"
    importer.import_file(dataset_id, ages_csv(1))
    assert status(importer, dataset_id) == "READY"
    importer.import_file(dataset_id, b"")
    assert status(importer, dataset_id) == "READY"

    without_schema = importer.make_dataset()
    for ages in (ages_csv(1), ages_csv(2)):
        waiting = importer.import_file(without_schema, ages)
        assert status(importer, without_schema) == "UNINITIALISED"
        importer.request("POST", f"/datasets/{without_schema}/imports/{waiting['import_id']}/cancel")
        assert status(importer, without_schema) == "ERROR"


def test_status_is_processing_while_a_job_waits(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    caller.upload(dataset_id, ages_csv(1))
    assert status(caller, dataset_id) == "PROCESSING"


def test_cancelled_before_its_upload_leaves_the_dataset_uninitialised(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.ask_for_url(dataset_id)["import_id"]
    assert caller.request("POST", f"/datasets/{dataset_id}/imports/{import_id}/cancel").status_code == 200
    assert status(caller, dataset_id) == "UNINITIALISED"


def test_datasets_are_listed_in_pages_newest_first(caller: Caller) -> None:
    made = [caller.make_dataset(name=f"Survey {number}") for number in range(5)]
    found: list[str] = []
    page = caller.read("/datasets", limit=2)
    while True:
        assert_shape(page, page_of(DATASET))
        found += [dataset["id"] for dataset in page["results"]]
        if page["next_cursor"] is None:
            break
        page = caller.read("/datasets", limit=2, cursor=page["next_cursor"], workspace_id="home")
    assert found == made[::-1]
    assert caller.read("/datasets", limit=5)["next_cursor"] is None


def test_same_schema_again_changes_nothing(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = caller.request("PATCH", f"/datasets/{dataset_id}", json={"schema": AGES})
    assert answer.status_code == 200
    assert_shape(answer.json(), DATASET)


def test_other_schema_of_an_empty_dataset_is_in_force_at_once(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = caller.request("PATCH", f"/datasets/{dataset_id}", json={"schema": TEXTS})
    assert answer.status_code == 200
    assert_shape(answer.json(), DATASET)
    assert caller.read(f"/datasets/{dataset_id}")["schema"] == TEXTS | {"strict": False}


TEXT_FIELD = {"type": "text"}
BAD_SCHEMAS: dict[str, tuple[Any, str]] = {
    "no fields": ({"fields": {}}, "schema.fields"),
    "fields missing": ({"strict": True}, "schema.fields"),
    "too many fields": ({"fields": {f"f{number}": TEXT_FIELD for number in range(MAX_FIELDS + 1)}}, "schema.fields"),
    "two task groups": (
        {"fields": {"a": {"type": "task_group_id"}, "b": {"type": "task_group_id"}}},
        "schema.fields",
    ),
    "unknown type": ({"fields": {"a": {"type": "string"}}}, "schema.fields.a.type"),
    "no type": ({"fields": {"a": {"label": "A"}}}, "schema.fields.a.type"),
    "type of no text": ({"fields": {"a": {"type": ["text"]}}}, "schema.fields.a.type"),
    "unknown key of a field": ({"fields": {"a": {"type": "text", "max": 3}}}, "schema.fields.a"),
    "unknown key of the schema": ({"fields": {"a": TEXT_FIELD}, "stict": True}, "schema"),
    "bad pattern": ({"fields": {"a": {"type": "text", "pattern": "(a"}}}, "schema.fields.a.pattern"),
    "pattern RE2 has not": ({"fields": {"a": {"type": "text", "pattern": r"(a)\1"}}}, "schema.fields.a.pattern"),
    "misfit constraint": ({"fields": {"a": {"type": "integer", "pattern": "1"}}}, "schema.fields.a.pattern"),
    "strict of no boolean": ({"fields": {"a": TEXT_FIELD}, "strict": "yes"}, "schema.strict"),
    "long key": ({"fields": {"k" * 129: TEXT_FIELD}}, "schema.fields." + "k" * 127 + "…"),
    "empty key": ({"fields": {"": TEXT_FIELD}}, "schema.fields."),
    "long label": ({"fields": {"a": {"type": "text", "label": "l" * 256}}}, "schema.fields.a.label"),
    "list": ([AGES], "schema"),
    "text": ("text", "schema"),
    "number": (7, "schema"),
    "fields as list": ({"fields": [TEXT_FIELD]}, "schema.fields"),
    "field as text": ({"fields": {"a": "text"}}, "schema.fields.a"),
}


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_bad_schema_is_refused_with_its_fault_by_path(caller: Caller, name: str) -> None:
    schema, path = BAD_SCHEMAS[name]
    created = caller.request("POST", "/datasets", json={"name": "a", "workspace_id": "home", "schema": schema})
    patched = caller.request("PATCH", f"/datasets/{caller.make_dataset()}", json={"schema": schema})
    for answer in (created, patched):
        assert answer.status_code == 400, answer.text
        assert_shape(answer.json(), ERROR)
        assert answer.json()["error"]["error_code"] == ErrorCode.INVALID_SCHEMA
        assert path in answer.json()["error"]["detail"]


def test_largest_schema_is_taken(caller: Caller) -> None:
    fields = {f"{number:0128}": {"type": "text", "label": "l" * 255} for number in range(MAX_FIELDS)}
    dataset_id = caller.make_dataset(schema={"fields": fields})
    assert len(caller.read(f"/datasets/{dataset_id}")["schema"]["fields"]) == MAX_FIELDS


def test_every_fault_of_a_schema_is_named_at_once(caller: Caller) -> None:
    schema = {"fields": {"a": {"type": "string"}, "b": {"type": "integer", "minimum": "low"}}, "extra": 1}
    answer = caller.request("POST", "/datasets", json={"name": "a", "workspace_id": "home", "schema": schema})
    assert set(answer.json()["error"]["detail"]) == {"schema", "schema.fields.a.type", "schema.fields.b.minimum"}
