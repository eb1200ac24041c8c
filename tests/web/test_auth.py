"""Who may call what: every route, found by walking the application, so that a new one can't be forgotten."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from assay.db import tokens
from assay.db.tokens import Role
from assay.errors import ErrorCode
from assay.operations import create_token, revoke_token
from assay.web.app import create_app
from assay.web.services import Services
from moving_clock import Clock
from services.callers import AGES, API, Caller
from services.in_process import client_of
from web.conftest import make_app, make_token
from web.public_shapes import ERROR, assert_shape

OPEN_PATHS = {"/healthz", "/readyz", "/metrics", "/uploads/{token}", "/hooks/storage"}
BODIES = {
    ("POST", "/datasets"): {"name": "Survey", "workspace_id": "home", "schema": AGES},
    ("PATCH", "/datasets/{dataset_id}"): {"schema": AGES},
    ("POST", "/webhooks"): {"url": "https://hooks.example/", "workspace_id": "home"},
}
# Their path names no workspace's thing: a foreign workspace is named in the query.
LISTS = {("GET", "/datasets"), ("GET", "/webhooks")}
WRITING = {
    ("POST", "/datasets"),
    ("PATCH", "/datasets/{dataset_id}"),
    ("GET", "/datasets/{dataset_id}/upload-url/{filename:anything}"),
    ("POST", "/datasets/{dataset_id}/imports/{import_id}/cancel"),
    ("POST", "/datasets/{dataset_id}/datapoints"),
    ("DELETE", "/datasets/{dataset_id}"),
    ("POST", "/webhooks"),
    ("DELETE", "/webhooks/{webhook_id}"),
}


def flattened(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Routes of included routers too, which newer releases of the framework leave in their routers."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from [route] if inner is None else flattened(inner.routes)


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route of the API, the path below its base path."""
    for route in flattened(app.routes):
        if isinstance(route, APIRoute) and route.include_in_schema and route.path not in OPEN_PATHS:
            assert route.path.startswith(API), route.path
            for method in route.methods:
                yield method, route.path.removeprefix(API)


@pytest.fixture
def routes(services: Services) -> list[tuple[str, str]]:
    found = list(routes_of(create_app(services)))
    assert len(found) >= 10
    return found


@pytest.fixture
def known(caller: Caller) -> dict[str, str]:
    """Path parameters that name things which are there, in the workspace `home`; but no migration is."""
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.ask_for_url(dataset_id)["import_id"]
    webhook_id = caller.request("POST", "/webhooks", json=BODIES["POST", "/webhooks"]).json()["id"]
    of_dataset = {"dataset_id": dataset_id, "import_id": import_id, "filename": "a.csv", "job_id": str(uuid4())}
    return {**of_dataset, "webhook_id": webhook_id}


def call(caller: Caller, route: tuple[str, str], known: dict[str, str], **more: object) -> httpx.Response:
    method, path = route
    return caller.request(method, path.replace(":anything", "").format(**known), json=BODIES.get(route), **more)


def assert_refused(answer: httpx.Response, status: int, code: ErrorCode) -> None:
    assert answer.status_code == status, (answer.request.method, answer.request.url, answer.text)
    assert_shape(answer.json(), ERROR)
    assert answer.json()["error"]["status"] == status
    assert answer.json()["error"]["error_code"] == code


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Token",
        "Token ",
        "Bearer {token}",
        "{token}",
        "Token {token}x",
        "Token {token} {token}",
        "Tok\xe9n {token}",
        "Token \xff\xfe\x80",
        "Token {token}\x7f",
        "Token 😀",
        "Token " + "a" * 20_000,
    ],
)
def test_request_without_a_valid_token_is_unauthorized(caller: Caller, header: str | None) -> None:
    value = None if header is None else header.replace("{token}", caller.token).encode()
    headers = {} if value is None else {b"Authorization": value}
    answer = caller.client.get(f"{API}/datasets/{uuid4()}", headers=headers)
    assert_refused(answer, 401, ErrorCode.NOT_AUTHENTICATED)
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert caller.token not in answer.text


def test_no_route_answers_a_caller_without_token(
    caller: Caller, routes: list[tuple[str, str]], known: dict[str, str]
) -> None:
    for route in routes:
        answer = call(caller, route, known, headers={"Authorization": ""})
        assert_refused(answer, 401, ErrorCode.NOT_AUTHENTICATED)
        assert answer.headers["WWW-Authenticate"] == "Token"


def test_unknown_caller_learns_nothing_from_a_bad_body(caller: Caller) -> None:
    answer = caller.request("POST", "/datasets", content=b"{", headers={"Authorization": "Token no"})
    assert_refused(answer, 401, ErrorCode.NOT_AUTHENTICATED)


def test_revoked_token_is_unauthorized_at_once(caller: Caller, services: Services) -> None:
    assert caller.get("/datasets").status_code == 200
    with services.db.read() as tx:
        (token,) = tokens.list_tokens(tx)
    revoke_token(services.db, token.id)
    assert_refused(caller.get("/datasets"), 401, ErrorCode.NOT_AUTHENTICATED)


def test_token_is_unauthorized_from_its_expiry_on(caller: Caller, services: Services, clock: Clock) -> None:
    _, text = create_token(
        services.db, "home", name="short", role=Role.READER, expires_at=clock() + timedelta(seconds=60)
    )
    reader = Caller(caller.client, "home", text)
    clock.advance(59.9)
    assert reader.get("/datasets").status_code == 200
    clock.advance(0.1)
    assert_refused(reader.get("/datasets"), 401, ErrorCode.NOT_AUTHENTICATED)


def test_every_route_refuses_a_token_of_another_workspace(
    caller: Caller, services: Services, routes: list[tuple[str, str]], known: dict[str, str]
) -> None:
    foreigner = Caller(caller.client, "away", make_token(services.db, workspace_id="away"))
    for route in routes:
        if route in LISTS:
            answer = foreigner.get(route[1], workspace_id="home")
            assert foreigner.read(route[1])["results"] == []
            assert_refused(foreigner.get(route[1], workspace_id=""), 403, ErrorCode.FOREIGN_WORKSPACE)
        else:
            answer = call(foreigner, route, known)
        assert_refused(answer, 403, ErrorCode.FOREIGN_WORKSPACE)
    assert caller.job(known["dataset_id"], known["import_id"])["status"] == "uninitialised"
    assert len(caller.read("/datasets")["results"]) == 1


def test_import_of_another_dataset_is_not_found(caller: Caller, known: dict[str, str]) -> None:
    other = caller.make_dataset()
    answer = caller.get(f"/datasets/{other}/imports/{known['import_id']}")
    assert_refused(answer, 404, ErrorCode.UNKNOWN_IMPORT)


def test_reader_may_read_and_nothing_else(
    caller: Caller, services: Services, routes: list[tuple[str, str]], known: dict[str, str]
) -> None:
    reader = Caller(caller.client, "home", make_token(services.db, workspace_id="home", role=Role.READER))
    # Ended, so that a route that tells of an import until its end does not go on.
    call(caller, ("POST", "/datasets/{dataset_id}/imports/{import_id}/cancel"), known)
    for route in routes:
        if route in WRITING:
            assert_refused(call(reader, route, known), 403, ErrorCode.READ_ONLY_TOKEN)
        else:
            assert route[0] == "GET", f"{route} writes; name it in WRITING"
            assert call(reader, route, known).status_code not in (401, 403, 405, 500), route


def test_every_route_says_not_found_of_ids_that_are_not_there(
    caller: Caller, routes: list[tuple[str, str]], known: dict[str, str]
) -> None:
    strange_ids = [str(uuid4()), "no-uuid", "0", "%00", uuid4().hex, f"{{{uuid4()}}}", "١" * 32, "a" * 5000]
    for route in routes:
        for strange in strange_ids if "dataset_id" in route[1] else ():
            answer = call(caller, route, {**known, "dataset_id": strange})
            assert_refused(answer, 404, ErrorCode.UNKNOWN_DATASET)


def test_every_import_route_says_not_found_of_an_unknown_import(
    caller: Caller, routes: list[tuple[str, str]], known: dict[str, str]
) -> None:
    for route in routes:
        for strange in (str(uuid4()), "no-uuid", "%2e%2e") if "import_id" in route[1] else ():
            answer = call(caller, route, {**known, "import_id": strange})
            assert_refused(answer, 404, ErrorCode.UNKNOWN_IMPORT)


def test_ids_are_read_in_any_letter_case(caller: Caller, known: dict[str, str]) -> None:
    path = f"/datasets/{known['dataset_id'].upper()}/imports/{known['import_id'].upper()}"
    assert caller.read(path)["import_id"] == known["import_id"]


def test_open_routes_need_no_token(services: Services) -> None:
    with client_of(make_app(services)) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
