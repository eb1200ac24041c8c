"""Appends over HTTP: content types, counts that start from one, and the right fault for every wrong body or moment."""

from typing import Any

import pytest

from assay.errors import ErrorCode
from services.callers import AGES, Caller, ages_csv
from web.public_shapes import APPEND, DATASET, ERROR, assert_shape

BODY = b'{"age": 1}\n\n{"age": 0}\n{"age": 2}\n{"age": "x"}'


def append(caller: Caller, dataset_id: str, body: bytes, *, content_type: str = "application/x-ndjson") -> Any:
    headers = {"Content-Type": content_type}
    return caller.request("POST", f"/datasets/{dataset_id}/datapoints", content=body, headers=headers)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-ndjson",
        "application/jsonl",
        "application/jsonlines",
        "application/x-ndjson; charset=utf-8",
        "Application/JSONL;charset=UTF-8",
    ],
)
def test_append_answers_what_became_of_each_record(caller: Caller, content_type: str) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = append(caller, dataset_id, BODY, content_type=content_type)
    assert answer.status_code == 200
    assert_shape(answer.json(), APPEND)
    assert answer.json() == {
        "accepted": 2,
        "rejected": 2,
        "errors": [
            {"record_index": 2, "field": "age", "reason": "Value must be a positive integer"},
            {"record_index": 4, "field": "age", "reason": "Value must be an integer"},
        ],
    }


def test_appended_records_are_there_and_no_import_shows(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    assert append(caller, dataset_id, BODY).json() == append(caller, dataset_id, BODY).json()
    records = caller.records(dataset_id)
    assert [record["data"] for record in records] == [{"age": 1}, {"age": 2}]
    dataset = caller.read(f"/datasets/{dataset_id}")
    assert_shape(dataset, DATASET)
    assert (dataset["total_datapoint_count"], dataset["imports"]) == (2, [])
    assert caller.read(f"/datasets/{dataset_id}/imports")["results"] == []
    assert caller.get(f"/datasets/{dataset_id}/imports/{records[0]['import_id']}").status_code == 404
    assert caller.read(f"/datasets/{dataset_id}/status") == {"status": "READY"}


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"", "application/x-ndjson", ErrorCode.INVALID_REQUEST),
        (b"\n \n", "application/x-ndjson", ErrorCode.INVALID_REQUEST),
        (b'{"age": 1}\n' * 1001, "application/x-ndjson", ErrorCode.INVALID_REQUEST),
        (ages_csv(1), "text/csv", ErrorCode.CONTENT_TYPE_MISMATCH),
        (b'[{"age": 1}]', "application/json", ErrorCode.CONTENT_TYPE_MISMATCH),
        (b"\x00\x01\x02", "application/x-ndjson", ErrorCode.INVALID_REQUEST),
        (BODY, "", ErrorCode.CONTENT_TYPE_MISMATCH),
    ],
)
def test_wrong_body_is_refused_and_changes_nothing(
    caller: Caller, body: bytes, content_type: str, code: ErrorCode
) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = append(caller, dataset_id, body, content_type=content_type)
    assert answer.status_code == 400
    assert_shape(answer.json(), ERROR)
    assert answer.json()["error"]["error_code"] == code
    assert caller.read(f"/datasets/{dataset_id}/status") == {"status": "UNINITIALISED"}


@pytest.mark.parametrize(
    ("body", "content_type", "detail"),
    [
        (BODY, "", "Send records as JSON Lines, with 'Content-Type: application/x-ndjson'; the request has none."),
        (b"\x00\x01\x02", "application/x-ndjson", "The body is binary, not text. Send JSON Lines in UTF-8."),
        (b"\xff\xfe{\0}\0", "application/x-ndjson", "The body is encoded as UTF-16. Send JSON Lines in UTF-8."),
    ],
)
def test_refusal_says_what_to_send(caller: Caller, body: bytes, content_type: str, detail: str) -> None:
    answer = append(caller, caller.make_dataset(schema=AGES), body, content_type=content_type)
    assert answer.json()["error"]["detail"] == detail


def test_csv_is_told_to_be_uploaded(caller: Caller) -> None:
    answer = append(caller, caller.make_dataset(schema=AGES), ages_csv(1), content_type="text/csv")
    assert "CSV can't be appended" in answer.json()["error"]["detail"]


def test_body_past_the_limit_of_bodies_is_too_large(caller: Caller) -> None:
    answer = append(caller, caller.make_dataset(schema=AGES), b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413


def test_dataset_without_schema_takes_no_append(caller: Caller) -> None:
    answer = append(caller, caller.make_dataset(), BODY)
    assert answer.status_code == 400
    assert "no schema" in answer.json()["error"]["detail"]


def test_append_is_a_conflict_while_an_import_is_in_line(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    caller.upload(dataset_id, ages_csv(1))
    answer = append(caller, dataset_id, BODY)
    assert answer.status_code == 409
    assert answer.json()["error"]["error_code"] == ErrorCode.DATASET_BUSY


def test_upload_that_has_not_come_yet_is_in_nobodys_way(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    caller.ask_for_url(dataset_id)
    assert append(caller, dataset_id, BODY).status_code == 200
