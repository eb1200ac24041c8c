"""JSON bodies that are not what they should be: refused with a reason, never a crash, never half understood."""

import json
from typing import Any

import httpx
import pytest

from assay.errors import ErrorCode
from services.callers import Caller
from web.public_shapes import ERROR, assert_shape

JSON = {"Content-Type": "application/json"}
GOOD = b'{"name": "Survey", "workspace_id": "home"}'


def post(caller: Caller, body: Any, *, headers: dict[str, str] = JSON) -> httpx.Response:
    return caller.request("POST", "/datasets", content=body, headers=headers)


def assert_invalid(answer: httpx.Response) -> Any:
    assert answer.status_code == 400, answer.text
    assert_shape(answer.json(), ERROR)
    assert answer.json()["error"]["error_code"] == ErrorCode.INVALID_REQUEST
    return answer.json()["error"]["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no valid JSON"),
        (b'{"name": "a", "workspace_id": "home",}', "no valid JSON"),
        (b"\xff\xfe{}", "UTF-8"),
        (GOOD.decode().encode("utf-16"), "UTF-8"),
        (b'\xef\xbb\xbf{"name": "a", "workspace_id": "home"}', "JSON"),
        (b'{"name": "caf\xe9", "workspace_id": "home"}', "UTF-8"),
        (b'{"name": "a", "name": "b", "workspace_id": "home"}', "'name' stands twice"),
        (b'{"name": "a", "workspace_id": "home", "schema": {"fields": {"a": {}, "a": {}}}}', "'a' stands twice"),
        (b'{"name": NaN, "workspace_id": "home"}', "NaN"),
        (b'{"name": "a", "workspace_id": "home", "x": -Infinity}', "Infinity"),
        (b'{"name": "\\ud800", "workspace_id": "home"}', "surrogate"),
        (b'{"\\udfff": 1, "name": "a", "workspace_id": "home"}', "surrogate"),
        (b'{"name": "a", "workspace_id": "home", "x": ' + b"[" * 300_000 + b"]" * 300_000 + b"}", "deep"),
        (b'{"name": "a", "workspace_id": "home", "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "deep"),
        (b'{"name": "a", "workspace_id": "home", "x": ' + b"9" * 5000 + b"}", "too many digits"),
    ],
)
def test_body_that_is_no_strict_json_is_refused_in_words(caller: Caller, body: bytes, words: str) -> None:
    assert words in str(assert_invalid(post(caller, body)))
    assert caller.read("/datasets")["results"] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "There is no body. Send a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object, not a list"),
        (b"[1, 2]", "must be a JSON object, not a list"),
        (b'"text"', "must be a JSON object"),
        (b"7", "must be a JSON object"),
    ],
)
def test_body_that_is_no_object_is_refused(caller: Caller, body: bytes, words: str) -> None:
    assert words in assert_invalid(post(caller, body))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"name": 7}, "name"),
        ({"name": ["a"]}, "name"),
        ({"workspace_id": ""}, "workspace_id"),
        ({"workspace_id": 7}, "workspace_id"),
        ({"workspace_id": "w" * 65}, "workspace_id"),
    ],
)
def test_fault_of_a_field_is_told_under_its_name(caller: Caller, change: dict[str, Any], field: str) -> None:
    detail = assert_invalid(post(caller, json.dumps({"name": "a", "workspace_id": "home"} | change)))
    assert list(detail) == [field]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        (" \t", "The name is blank; give one that can be seen."),
        ("a\0b", "The name has a NUL character, which can't be kept; leave it out."),
    ],
)
def test_refused_name_says_in_words_what_is_wrong(caller: Caller, name: str, detail: str) -> None:
    answer = post(caller, json.dumps({"name": name, "workspace_id": "home"}))
    assert assert_invalid(answer) == {"name": [detail]}


def test_every_field_that_is_missing_is_named(caller: Caller) -> None:
    assert set(assert_invalid(post(caller, b"{}"))) == {"name"}
    patched = caller.request("PATCH", f"/datasets/{caller.make_dataset()}", json={})
    assert set(assert_invalid(patched)) == {"schema"}


@pytest.mark.parametrize(
    "name", ["n" * 255, "Ünïcode 🦄", "line\nbreak", "<script>alert(1)</script>", "'; DROP TABLE x"]
)
def test_name_is_kept_as_it_is(caller: Caller, name: str) -> None:
    answer = post(caller, json.dumps({"name": name, "workspace_id": "home"}))
    assert answer.status_code == 201
    assert caller.read(f"/datasets/{answer.json()['id']}")["name"] == name


@pytest.mark.parametrize(
    "given", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/csv"]
)
def test_other_media_type_is_refused(caller: Caller, given: str) -> None:
    answer = post(caller, GOOD, headers={"Content-Type": given})
    assert answer.status_code == 415
    assert_shape(answer.json(), ERROR)


@pytest.mark.parametrize("given", ["application/json", "application/json; charset=utf-8", "application/problem+json"])
def test_json_media_types_are_taken(caller: Caller, given: str) -> None:
    assert post(caller, GOOD, headers={"Content-Type": given}).status_code == 201


@pytest.mark.parametrize("is_announced", [True, False])
def test_body_over_the_limit_is_too_large(caller: Caller, is_announced: bool) -> None:
    """17 MiB to a limit of 1: whether it is announced or comes in chunks, it is not read to its end."""
    sent = 0

    def blocks() -> Any:
        nonlocal sent
        for _ in range(17):
            sent += 1
            yield b" " * 1024 * 1024

    headers = {**JSON, "Content-Length": str(17 * 1024 * 1024)} if is_announced else JSON
    answer = post(caller, blocks(), headers=headers)
    assert answer.status_code == 413
    assert_shape(answer.json(), ERROR)
    assert answer.json()["error"]["error_code"] == ErrorCode.BODY_TOO_LARGE
    assert sent <= 3


def test_body_of_a_get_is_ignored(caller: Caller) -> None:
    """The public API's own examples send one."""
    answer = caller.request("GET", "/datasets", content=b"{}", headers=JSON)
    assert answer.status_code == 200
