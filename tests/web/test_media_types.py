"""A body of another media type than a route takes is refused in so many words, and before it is looked into."""

import pytest

from assay.errors import ErrorCode
from services.callers import AGES, Caller
from web.test_errors import assert_error

BODY = b'{"name": "a", "workspace_id": "home", "url": "https://hooks.example/", "schema": {}}'
WRONG = [
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/xml",
    "json",
]


@pytest.mark.parametrize("content_type", WRONG)
@pytest.mark.parametrize(("method", "path"), [("POST", "/datasets"), ("PATCH", "/datasets/{}"), ("POST", "/webhooks")])
def test_other_media_type_on_a_json_route_is_a_415(caller: Caller, method: str, path: str, content_type: str) -> None:
    dataset_id = caller.make_dataset()
    headers = {"Content-Type": content_type}
    answer = caller.request(method, path.format(dataset_id), content=BODY, headers=headers)
    assert "application/json" in assert_error(answer, 415, ErrorCode.WRONG_MEDIA_TYPE)
    assert len(caller.read("/datasets")["results"]) == 1


def test_body_without_a_media_type_is_a_415(caller: Caller) -> None:
    answer = caller.request("POST", "/datasets", content=BODY)
    assert_error(answer, 415, ErrorCode.WRONG_MEDIA_TYPE)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_is_taken_however_it_is_written(caller: Caller, content_type: str) -> None:
    body = b'{"name": "a", "workspace_id": "home"}'
    assert caller.request("POST", "/datasets", content=body, headers={"Content-Type": content_type}).status_code == 201


def test_no_body_at_all_is_a_400(caller: Caller) -> None:
    answer = caller.request("POST", "/datasets", headers={"Content-Type": "application/json"})
    assert_error(answer, 400, ErrorCode.INVALID_REQUEST)


@pytest.mark.parametrize("content", [b"{", b"[1", b'{"name": 1}', b"\xff"])
def test_unknown_caller_learns_nothing_from_a_body(caller: Caller, content: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Token no"}
    answer = caller.request("POST", "/datasets", content=content, headers=headers)
    assert_error(answer, 401, ErrorCode.NOT_AUTHENTICATED)


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 5 * 1024 * 1024])
def test_body_above_the_limit_is_a_413_on_every_route_that_takes_one(caller: Caller, size: int) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    for method, path, content_type in (
        ("POST", "/datasets", "application/json"),
        ("PATCH", f"/datasets/{dataset_id}", "application/json"),
        ("POST", f"/datasets/{dataset_id}/datapoints", "application/x-ndjson"),
        ("POST", "/webhooks", "application/json"),
    ):
        headers = {"Content-Type": content_type}
        answer = caller.request(method, path, content=b"1" * size, headers=headers)
        assert_error(answer, 413, ErrorCode.BODY_TOO_LARGE)
