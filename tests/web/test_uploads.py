"""The signed PUT: what it takes, what it refuses, and that a refusal leaves nothing behind."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from assay.errors import ErrorCode
from assay.noticing import expire_imports
from assay.operations import cancel_import
from assay.web.services import Services
from moving_clock import Clock
from services.callers import AGES, Caller, ages_csv
from services.in_process import client_of
from web.conftest import make_app, make_token
from web.public_shapes import ERROR, assert_shape

DATA = ages_csv(1, 2, 3)


@pytest.fixture
def dataset_id(caller: Caller) -> str:
    return caller.make_dataset(schema=AGES)


def assert_refused(answer: httpx.Response, status: int, code: ErrorCode) -> None:
    assert answer.status_code == status, answer.text
    assert_shape(answer.json(), ERROR)
    assert answer.json()["error"]["error_code"] == code


def files_in(services: Services) -> list[Path]:
    """Every file of the storage, unfinished ones included."""
    root = services.settings.data_dir / "storage"
    return [path for path in root.rglob("*") if path.is_file()]


def assert_same_url_still_works(caller: Caller, dataset_id: str, offer: dict[str, str]) -> None:
    assert caller.job(dataset_id, offer["import_id"])["status"] == "uninitialised"
    assert caller.put(offer, DATA).status_code == 200
    assert caller.job(dataset_id, offer["import_id"])["status"] == "queued"


def test_upload_is_stored_byte_for_byte(caller: Caller, services: Services, dataset_id: str) -> None:
    offer = caller.ask_for_url(dataset_id)
    data = bytes(range(256)) * 12_000  # three blocks, and no text: nobody looks into it here
    answer = caller.put(offer, data)
    assert answer.status_code == 200
    assert answer.json() == {"import_id": offer["import_id"], "size_bytes": len(data)}
    assert services.storage.read_range(offer["file_key"], 0, len(data) + 1) == data
    assert len(files_in(services)) == 1


def test_empty_upload_is_taken_as_an_empty_file(caller: Caller, dataset_id: str) -> None:
    assert caller.put(caller.ask_for_url(dataset_id), b"").json()["size_bytes"] == 0


@pytest.mark.parametrize("given", ["", "text/plain", "text/csv; charset=utf-8", "TEXT/CSV", "application/x-ndjson"])
def test_other_content_type_is_refused(caller: Caller, services: Services, dataset_id: str, given: str) -> None:
    offer = caller.ask_for_url(dataset_id)
    assert_refused(caller.put(offer, DATA, content_type=given), 400, ErrorCode.CONTENT_TYPE_MISMATCH)
    assert files_in(services) == []
    assert_same_url_still_works(caller, dataset_id, offer)


def test_missing_content_type_is_refused(caller: Caller, dataset_id: str) -> None:
    answer = caller.client.put(caller.ask_for_url(dataset_id)["upload_url"], content=DATA)
    assert_refused(answer, 400, ErrorCode.CONTENT_TYPE_MISMATCH)
    detail = answer.json()["error"]["detail"]
    assert detail == "Send the file with 'Content-Type: text/csv'; the request has none."


def test_altered_url_is_refused(caller: Caller, services: Services, dataset_id: str) -> None:
    offer = caller.ask_for_url(dataset_id)
    base, _, token = offer["upload_url"].rpartition("/")
    for altered in (token[:-2] + "AA", "A" + token, token.replace(".", ""), "é", "%F0%9F%A6%84", "a" * 9000):
        answer = caller.put({**offer, "upload_url": f"{base}/{altered}"}, DATA)
        assert_refused(answer, 403, ErrorCode.INVALID_UPLOAD_URL)
    assert files_in(services) == []
    assert_same_url_still_works(caller, dataset_id, offer)


def test_expired_url_is_refused_and_its_import_ends(
    caller: Caller, services: Services, clock: Clock, dataset_id: str
) -> None:
    offer = caller.ask_for_url(dataset_id)
    clock.advance(3600)
    assert_refused(caller.put(offer, DATA), 403, ErrorCode.EXPIRED_UPLOAD_URL)
    assert files_in(services) == []
    clock.advance(1)
    expire_imports(services.db, services.storage, max_bytes=1000)
    job = caller.job(dataset_id, offer["import_id"])
    assert job["status"] == "failed"
    assert "expired" in job["reason"]


def test_second_upload_to_a_url_is_refused_and_changes_nothing(
    caller: Caller, services: Services, dataset_id: str
) -> None:
    offer = caller.ask_for_url(dataset_id)
    caller.put(offer, DATA)
    before = caller.job(dataset_id, offer["import_id"])
    assert_refused(caller.put(offer, b"age\n9\n"), 409, ErrorCode.ALREADY_UPLOADED)
    assert services.storage.read_range(offer["file_key"], 0, 1000) == DATA
    assert caller.job(dataset_id, offer["import_id"]) == before
    assert len(files_in(services)) == 1


def test_of_many_uploads_at_once_one_is_taken(caller: Caller, services: Services, dataset_id: str) -> None:
    offer = caller.ask_for_url(dataset_id)
    bodies = [ages_csv(number) * 50_000 for number in range(4)]
    answers: dict[int, httpx.Response] = {}
    threads = [
        threading.Thread(target=lambda n=number: answers.update({n: caller.put(offer, bodies[n])}))  # type: ignore[misc]
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number, answer in answers.items() if answer.status_code == 200]
    for number in set(answers) - {winner}:
        assert_refused(answers[number], 409, ErrorCode.ALREADY_UPLOADED)
    assert services.storage.read_range(offer["file_key"], 0, 10**7) == bodies[winner]
    assert len(files_in(services)) == 1


def test_upload_to_a_cancelled_import_is_refused(caller: Caller, services: Services, dataset_id: str) -> None:
    offer = caller.ask_for_url(dataset_id)
    caller.request("POST", f"/datasets/{dataset_id}/imports/{offer['import_id']}/cancel")
    assert_refused(caller.put(offer, DATA), 409, ErrorCode.ALREADY_UPLOADED)
    assert files_in(services) == []


def test_import_cancelled_in_mid_upload_refuses_it_and_keeps_nothing_unfinished(
    caller: Caller, services: Services, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.web.uploads.ALIVE_SECONDS", 0)  # so that every block looks at the import
    offer = caller.ask_for_url(dataset_id)
    block = b"1\n" * 600_000

    def blocks() -> Iterator[bytes]:
        yield block
        cancel_import(services.db, UUID(dataset_id), UUID(offer["import_id"]))
        yield block
        yield block

    assert_refused(caller.put(offer, blocks()), 409, ErrorCode.ALREADY_UPLOADED)
    assert caller.job(dataset_id, offer["import_id"])["reason"] == "Cancelled"
    assert files_in(services) == []


@pytest.fixture
def small(services: Services) -> Iterator[Caller]:
    """A caller of a service that takes uploads of at most 100 bytes."""
    settings = replace(services.settings, max_upload_bytes=100)
    with client_of(make_app(replace(services, settings=settings))) as client:
        yield Caller(client, "home", make_token(services.db, workspace_id="home"))


@pytest.mark.parametrize("is_announced", [True, False])
def test_body_over_the_limit_is_refused(small: Caller, services: Services, is_announced: bool) -> None:
    dataset_id = small.make_dataset(schema=AGES)
    offer = small.ask_for_url(dataset_id)
    data = b"age\n" + b"1\n" * 49
    body = data if is_announced else iter([data[:60], data[60:]])
    assert_refused(small.put(offer, body), 413, ErrorCode.BODY_TOO_LARGE)
    assert files_in(services) == []
    assert_same_url_still_works(small, dataset_id, offer)


def test_body_of_just_the_limit_is_taken(small: Caller) -> None:
    offer = small.ask_for_url(small.make_dataset(schema=AGES))
    assert small.put(offer, iter([b"age\n", b"1\n" * 48])).json()["size_bytes"] == 100


def test_upload_larger_than_the_limit_of_json_bodies_is_taken(caller: Caller, dataset_id: str) -> None:
    data = b"age\n" + b"1\n" * 1024 * 1024
    assert caller.put(caller.ask_for_url(dataset_id), data).json()["size_bytes"] == len(data)


def test_other_methods_on_an_upload_url_are_refused(caller: Caller, dataset_id: str) -> None:
    url = caller.ask_for_url(dataset_id)["upload_url"]
    for method in ("GET", "POST", "DELETE"):
        answer = caller.client.request(method, url)
        assert_refused(answer, 405, ErrorCode.METHOD_NOT_ALLOWED)
        assert answer.headers["Allow"] == "PUT"
