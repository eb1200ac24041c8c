"""What the framework's description of the API can't say, or says wrongly."""

from typing import Any

from fastapi import FastAPI

from assay.web.errors import TITLES

RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}, "required": True}


def describe_truly(app: FastAPI) -> None:
    """Make `/openapi.json` tell what is true of all routes."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        described = generate()
        for path in described["paths"].values():
            for operation in path.values():
                _describe_limit(operation)
                _describe_faults(operation)
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to change the description


def _describe_limit(operation: dict[str, Any]) -> None:
    """Whoever needs a token has a limit of requests."""
    if "security" in operation:
        limited = {"description": TITLES[429], "headers": {"Retry-After": RETRY_AFTER}}
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
        operation["responses"]["429"] = {**limited, "content": content}


def _describe_faults(operation: dict[str, Any]) -> None:
    """Faults are JSON whatever the route answers otherwise; the framework takes them for the route's own type."""
    for status, response in operation["responses"].items():
        if (status == "default" or status >= "400") and "content" in response:
            (schema,) = response["content"].values()
            response["content"] = {"application/json": schema}
