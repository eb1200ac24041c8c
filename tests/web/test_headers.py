"""Security headers: on every answer, whoever made it."""

import httpx
import pytest

from assay.web import api
from services.callers import Caller, ages_csv

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


def assert_secured(answer: httpx.Response) -> None:
    for name, value in ALWAYS.items():
        assert answer.headers.get_list(name) == [value], (answer.request.url, name)
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "frame-ancestors 'none'" in policy
    assert len(answer.headers.get_list("cache-control")) == 1
    assert len(answer.headers.get_list("x-request-id")) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/", "/nowhere"])
def test_open_answers_are_secured(caller: Caller, path: str) -> None:
    assert_secured(caller.client.get(path))


def test_answers_and_faults_of_the_api_are_secured_and_never_cached(caller: Caller) -> None:
    answers = [
        caller.get("/datasets"),
        caller.get("/datasets/nothing"),
        caller.request("PUT", "/datasets"),
        caller.request("POST", "/datasets", content=b"{", headers={"Content-Type": "application/json"}),
        caller.request("POST", "/datasets", content=b"x" * 2_000_000),
        caller.get("/datasets", headers={"Authorization": ""}),
        caller.client.get("/api/v1/data-collection/datasets"),
    ]
    for answer in answers:
        assert_secured(answer)
        assert answer.headers["cache-control"] == "no-store", answer.request.url
    assert {answer.status_code for answer in answers} == {200, 404, 405, 400, 413, 401}


def test_uploads_are_secured(caller: Caller) -> None:
    offer = caller.ask_for_url(caller.make_dataset())
    for answer in (
        caller.put(offer, ages_csv(1), content_type="text/plain"),
        caller.put(offer, ages_csv(1)),
        caller.put(offer, ages_csv(1)),
        caller.client.put("/uploads/forged"),
    ):
        assert_secured(answer)


def test_answer_to_a_fault_of_the_service_is_secured(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(api, "create_dataset", fail)
    answer = caller.request("POST", "/datasets", json={"name": "a", "workspace_id": "home"})
    assert answer.status_code == 500
    assert_secured(answer)


def test_scripts_are_allowed_on_the_documentation_alone(caller: Caller) -> None:
    assert "'unsafe-inline'" in caller.client.get("/docs").headers["content-security-policy"]
    assert "'unsafe-inline'" not in caller.get("/datasets").headers["content-security-policy"]
