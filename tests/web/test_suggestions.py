"""A schema proposed for an upload: what a person needs when an import waits for one."""

import threading

import pytest

from assay.errors import ErrorCode
from assay.web import suggestions
from assay.web.services import Services
from services.callers import API, Caller, wait_until
from services.in_thread import served
from web.conftest import make_app
from web.public_shapes import ERROR, SCHEMA, assert_shape


def test_waiting_import_is_released_by_the_schema_that_was_proposed(importer: Caller) -> None:
    dataset_id = importer.make_dataset()
    job = importer.import_file(dataset_id, b"name,age\nAda,36\nBob,\n")
    assert job["status"] == "pending_schema"
    schema = importer.read(f"/datasets/{dataset_id}/imports/{job['import_id']}/suggested-schema")
    assert_shape(schema, SCHEMA)
    assert schema == {
        "strict": False,
        "fields": {"name": {"type": "text", "required": True}, "age": {"type": "integer"}},
    }
    assert importer.request("PATCH", f"/datasets/{dataset_id}", json={"schema": schema}).status_code == 200
    assert importer.settled(dataset_id, job["import_id"])["status"] == "complete"


def test_sample_is_some_of_a_large_file_or_all(caller: Caller) -> None:
    dataset_id = caller.make_dataset()
    import_id = caller.upload(
        dataset_id, b'{"a": 1}\n' * 150_000 + b'{"a": 1.5}\n' + b'{"a": 1}\n' * 450_000, "a.jsonl"
    )
    path = f"/datasets/{dataset_id}/imports/{import_id}/suggested-schema"
    assert caller.read(path)["fields"] == {"a": {"type": "integer"}}
    assert caller.read(path, sample="all")["fields"]["a"]["type"] == "number"
    assert caller.get(path, sample="some").status_code == 400


def test_group_field_is_proposed_though_a_record_has_an_empty_one(importer: Caller) -> None:
    """As text it could not become the group once there are records."""
    dataset_id = importer.make_dataset()
    data = b'{"task_group_id": "a"}\n{"task_group_id": ""}\n'
    import_id = importer.import_file(dataset_id, data, "a.jsonl")["import_id"]
    schema = importer.read(f"/datasets/{dataset_id}/imports/{import_id}/suggested-schema")
    assert schema["fields"] == {"task_group_id": {"type": "task_group_id"}}
    assert importer.request("PATCH", f"/datasets/{dataset_id}", json={"schema": schema}).status_code == 200
    job = importer.settled(dataset_id, import_id)
    assert (job["status"], job["accepted_count"], job["rejected_count"]) == ("partial", 1, 1)


def test_import_without_upload_and_unusable_file_are_conflicts(caller: Caller) -> None:
    dataset_id = caller.make_dataset()
    waiting = caller.ask_for_url(dataset_id)["import_id"]
    unusable = caller.upload(dataset_id, b"PK\x03\x04zip")
    for import_id, code in ((waiting, ErrorCode.NOT_UPLOADED), (unusable, ErrorCode.UNUSABLE_FILE)):
        answer = caller.get(f"/datasets/{dataset_id}/imports/{import_id}/suggested-schema")
        assert answer.status_code == 409
        assert_shape(answer.json(), ERROR)
        assert answer.json()["error"]["error_code"] == code


def test_client_that_goes_away_ends_the_work(
    caller: Caller, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = caller.make_dataset()
    import_id = caller.upload(dataset_id, b"a\n1\n")
    has_begun, was_stopped = threading.Event(), threading.Event()

    def work_until_unwanted(*_: object, is_wanted: object, **__: object) -> None:
        has_begun.set()
        wait_until(lambda: not is_wanted(), what="the client is seen to be gone")  # type: ignore[operator]
        was_stopped.set()
        raise suggestions.UnwantedError

    monkeypatch.setattr(suggestions, "suggest_schema", work_until_unwanted)
    monkeypatch.setattr(suggestions, "LOOK_SECONDS", 0.05)
    path = f"{API}/datasets/{dataset_id}/imports/{import_id}/suggested-schema"
    with served(make_app(services)) as client:
        asking = threading.Thread(target=_ask_briefly, args=(client, path, caller.token))
        asking.start()
        assert has_begun.wait(20)
        asking.join(20)
        assert was_stopped.wait(20)


def _ask_briefly(client: object, path: str, token: str) -> None:
    import httpx

    assert isinstance(client, httpx.Client)
    with pytest.raises(httpx.ReadTimeout):
        client.get(path, headers={"Authorization": f"Token {token}"}, timeout=1)
