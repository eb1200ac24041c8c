"""The API's own description: OpenAPI 3.1, of every route, with its faults; and pages that need no other host."""

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from assay.web.app import create_app
from assay.web.services import Services
from services.callers import API, Caller
from web.test_auth import OPEN_PATHS, flattened

METHODS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture
def openapi(caller: Caller) -> dict[str, Any]:
    answer = caller.client.get("/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def operations(openapi: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(inner) for inner in value.values()))
    return set().union(*(references(inner) for inner in value)) if isinstance(value, list) else set()


def test_every_route_is_described(openapi: dict[str, Any], services: Services) -> None:
    of_app = {
        (method.lower(), route.path_format)
        for route in flattened(create_app(services).routes)
        if isinstance(route, APIRoute) and not route.path.startswith("/docs")
        # Pages are for people.
        if not route.endpoint.__module__.startswith("assay.web.console.")
        for method in route.methods
    }
    assert set(operations(openapi)) == of_app


@pytest.mark.parametrize(
    ("body", "field", "good", "bad"),
    [
        ("NewDatasetBody", "name", [" a ", "a\nb"], ["", " \t", "a\0b", "n" * 256]),
        ("NewWebhookBody", "url", ["https://a.example/", "HTTPS://a.example"], ["", "a.example", "https://a b/"]),
    ],
)
def test_what_is_refused_in_words_is_described(
    openapi: dict[str, Any], body: str, field: str, good: list[str], bad: list[str]
) -> None:
    described = Draft202012Validator(openapi["components"]["schemas"][body]["properties"][field])
    assert [value for value in good + bad if described.is_valid(value)] == good


def test_public_operation_has_its_public_name(openapi: dict[str, Any]) -> None:
    path = f"{API}/datasets/{{dataset_id}}/imports/{{import_id}}"
    assert openapi["paths"][path]["get"]["operationId"] == "get-dataset-import-status"
    assert set(openapi["paths"][path]["get"]["responses"]) >= {"200", "400", "404"}


def test_document_is_openapi_3_1_and_whole(openapi: dict[str, Any]) -> None:
    assert openapi["openapi"].startswith("3.1.")
    assert set(openapi["info"]) >= {"title", "version"}
    ids = [operation["operationId"] for operation in operations(openapi).values()]
    assert len(ids) == len(set(ids))
    for reference in references(openapi):
        at: Any = openapi
        for step in reference.removeprefix("#/").split("/"):
            assert step in at, f"{reference} leads nowhere"
            at = at[step]
    for name, schema in openapi["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("description") or schema.get("title"), name


def test_every_operation_describes_its_faults_by_the_envelope(openapi: dict[str, Any]) -> None:
    for (method, path), operation in operations(openapi).items():
        responses = operation["responses"]
        assert "422" not in responses, (method, path)
        assert "default" in responses, (method, path)
        for status, response in responses.items():
            assert response["description"], (method, path, status)
            if status == "default" or int(status) >= 400:
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)
        if path not in OPEN_PATHS:
            assert {"401", "403"} <= set(responses), (method, path)
            assert operation["security"] == [{"token": []}], (method, path)
        if "_id}" in path:
            assert "404" in responses, (method, path)


def test_every_path_parameter_is_described(openapi: dict[str, Any]) -> None:
    for (method, path), operation in operations(openapi).items():
        described = {row["name"] for row in operation.get("parameters", []) if row["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_nothing_of_the_framework_is_left_in_the_document(openapi: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & set(openapi["components"]["schemas"])
    assert openapi["components"]["securitySchemes"]["token"] == {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": openapi["components"]["securitySchemes"]["token"]["description"],
    }


def test_optional_keys_are_described_as_absent_never_as_null(openapi: dict[str, Any]) -> None:
    job = openapi["components"]["schemas"]["ImportBody"]
    for key in ("accepted_count", "rejected_count", "errors", "reason", "processing_started_at"):
        assert key not in job["required"]
        assert '"null"' not in str(job["properties"][key]).replace("'", '"'), key


def test_docs_need_no_other_host(caller: Caller) -> None:
    page = caller.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:href|src)=["']([^"']+)""", page.text)
    assert links
    for link in links:
        assert link.startswith("/"), link
        assert not link.startswith("//"), link
        assert caller.client.get(link).status_code == 200, link
    assert "://" not in page.text


def test_root_of_the_descriptions_is_where_the_routes_are(openapi: dict[str, Any]) -> None:
    assert all(path in OPEN_PATHS or path.startswith(API) for path in openapi["paths"])
