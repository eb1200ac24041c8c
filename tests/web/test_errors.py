"""One envelope for every fault, whoever found it: our code, the framework, or nobody."""

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from assay.db.engine import open_database
from assay.errors import ErrorCode
from assay.storage.base import open_storage
from assay.storage.local import LocalStorage
from assay.web import api
from assay.web.services import Services
from services.callers import AGES, API, Caller
from services.in_process import client_of
from web.conftest import make_app, make_token
from web.public_shapes import ERROR, assert_shape


def assert_error(answer: httpx.Response, status: int, code: ErrorCode) -> str:
    """The envelope, whole; its detail as text."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert_shape(answer.json(), ERROR)
    error = answer.json()["error"]
    assert (error["status"], error["error_code"]) == (status, code)
    assert "Traceback" not in answer.text
    return str(error["detail"])


@pytest.mark.parametrize(
    "path",
    ["/nowhere", API, f"{API}/nowhere", f"{API}/datasets/a/b/c", "/docs/x", "/%00", "/static-offline-docs/x"],
)
def test_unknown_route_is_not_found(caller: Caller, path: str) -> None:
    assert_error(caller.client.get(path), 404, ErrorCode.UNKNOWN_ROUTE)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/datasets"),
        ("POST", "/datasets/1"),
        ("POST", "/datasets/1/status"),
        ("DELETE", "/datasets/1/imports/2"),
        ("GET", "/datasets/1/imports/2/cancel"),
        ("BREW", "/datasets"),
    ],
)
def test_wrong_method_is_refused_with_those_allowed(caller: Caller, method: str, path: str) -> None:
    answer = caller.request(method, path)
    assert_error(answer, 405, ErrorCode.METHOD_NOT_ALLOWED)
    assert set(answer.headers["Allow"].split(", ")) <= {"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"}


def test_allow_names_every_method_of_the_path(caller: Caller) -> None:
    answer = caller.request("DELETE", "/datasets")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_trailing_slash_is_served_and_not_redirected(caller: Caller) -> None:
    dataset_id = caller.make_dataset()
    assert caller.request("POST", "/datasets/", json={"name": "b", "workspace_id": "home"}).status_code == 201
    for path in ("/datasets/", f"/datasets/{dataset_id}/", f"/datasets/{dataset_id}/status/"):
        assert caller.get(path).status_code == 200
    offer = caller.get(f"/datasets/{dataset_id}/upload-url/a.csv/").json()
    assert caller.job(dataset_id, f"{offer['import_id']}/")["filename"] == "a.csv"
    offer["upload_url"] += "/"
    assert caller.put(offer, b"age\n1\n").status_code == 200


def test_bug_is_a_500_with_no_traceback_and_leaves_one_in_the_log(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the code")

    monkeypatch.setattr(api, "create_dataset", fail)
    caplog.set_level(logging.INFO)
    answer = caller.request("POST", "/datasets", json={"name": "a", "workspace_id": "home"})
    assert_error(answer, 500, ErrorCode.INTERNAL)
    assert "secret" not in answer.text
    assert "RuntimeError: a secret of the code" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


def test_every_answer_has_a_request_id_that_the_log_has_too(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="assay.requests"):
        answer = caller.get("/datasets/nothing")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "assay.requests"]
    assert answer.headers["x-request-id"] in line
    assert "404" in line
    assert caller.token not in caplog.text


def test_log_has_no_query_no_signed_path_and_one_line_a_request(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    offer = caller.ask_for_url(caller.make_dataset())
    with caplog.at_level(logging.INFO, logger="assay.requests"):
        caller.put(offer, b"age\n1\n")
        caller.get("/datasets", workspace_id="home", cursor="query-text")
        caller.client.get("/a%0Aforged%20line")
        signed = offer["upload_url"].rsplit("/", 1)[1]
        for path in ("//uploads/", "/behind/a/proxy/uploads/", "/Uploads/", "/uploads//"):
            caller.client.put(f"{caller.client.base_url}".rstrip("/") + path + signed)
    assert signed not in caplog.text
    assert "query-text" not in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_storage_that_is_gone_is_a_503_to_try_again(services: Services, tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "other").as_uri(), signing_key=b"k", base_url="")
    assert isinstance(storage, LocalStorage)
    (storage.root / "tmp").rmdir()
    gone = Services(settings=services.settings, db=services.db, storage=storage, wake_worker=lambda: None)
    with client_of(make_app(gone)) as client:
        answer = client.get("/readyz")
        assert_error(answer, 503, ErrorCode.STORAGE_UNAVAILABLE)
        assert client.get("/healthz").json() == {"status": "ok"}


def test_database_that_takes_no_writes_is_told_in_one_line_with_the_cause(
    services: Services, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No traceback for each request: a full disk would have a growing log on it."""
    headers = {"Authorization": f"Token {make_token(services.db, workspace_id='home')}"}
    path = sqlite_url.removeprefix("sqlite:///")
    with (
        closing(open_database(f"sqlite:///file:{path}?mode=ro&uri=true")) as db,
        client_of(make_app(replace(services, db=db))) as client,
    ):
        body = {"name": "Secret plans", "workspace_id": "home"}
        answer = client.post(f"{API}/datasets", json=body, headers=headers)
    assert_error(answer, 503, ErrorCode.DATABASE_UNAVAILABLE)
    (line,) = [record for record in caplog.records if record.name == "assay.web"]
    assert line.exc_info is None
    assert line.getMessage().endswith(" Cause: OperationalError: attempt to write a readonly database")
    assert "Secret plans" not in caplog.text


def test_part_that_is_missing_is_told_as_damage(importer: Caller, busy_services: Services) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    importer.import_file(dataset_id, b"age\n1\n")
    for stored in busy_services.storage.list(f"datasets/{dataset_id}/parts"):
        busy_services.storage.delete(stored.key)
    answer = importer.get(f"/datasets/{dataset_id}/datapoints")
    assert_error(answer, 503, ErrorCode.STORAGE_DAMAGED)
    assert "is gone: restore it from a backup" in answer.json()["error"]["detail"]
