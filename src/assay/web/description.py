"""The API's OpenAPI description, mended where the framework can't say what is true."""

from typing import Any

from fastapi import FastAPI


def describe_truly(app: FastAPI) -> None:
    """Faults are JSON whatever the route answers otherwise; the framework takes them for the route's own media type."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        described = generate()
        for path in described["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    if (status == "default" or status >= "400") and "content" in response:
                        (schema,) = response["content"].values()
                        response["content"] = {"application/json": schema}
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to change the description
