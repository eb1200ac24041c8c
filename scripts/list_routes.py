"""The tables of docs/reference/routes.md, from the application's own description."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.routing import APIRoute
from markdown.extensions.toc import slugify

from assay.config import Settings
from assay.db.engine import open_database
from assay.web.app import create_app
from assay.web.auth import Writer
from assay.web.parameters import BASE_PATH
from assay.web.services import Services

SECTIONS_PAGE = Path(__file__).parent.parent / "docs" / "http-api.md"
# Of the routes that another page is about.
OTHER_SECTIONS = {
    "/webhooks": "webhooks.md",
    "/healthz": "monitoring.md#health",
    "/readyz": "monitoring.md#health",
    "/metrics": "monitoring.md#metrics",
}
HEAD = "| method | path | what it does | token | more |\n| --- | --- | --- | --- | --- |"
ELSEWHERE = "elsewhere"


def routes_page() -> Iterator[str]:
    app = _app()
    writing, sections = set(_writing(app.routes)), dict(_sections())
    groups: dict[str, list[str]] = {}
    for path, item in app.openapi()["paths"].items():
        below = path.removeprefix(BASE_PATH)
        for method, operation in item.items():
            token = "writer" if operation["operationId"] in writing else "any" if "security" in operation else "none"
            link = sections.get((method.upper(), below)) or _other_section(below)
            more = f"[more](../{link})" if link else ""
            row = f"| `{method.upper()}` | `{below}` | {operation['summary']} | {token} | {more} |"
            groups.setdefault(ELSEWHERE if below == path else operation["tags"][0], []).append(row)
    elsewhere = groups.pop(ELSEWHERE)
    for name, rows in groups.items():
        yield "\n".join([f"## {name.capitalize()}\n", HEAD, *rows, ""])
    yield "\n".join(["## Outside of the base path\n", HEAD, *elsewhere])


def _app() -> FastAPI:
    """Nothing is opened by describing it."""
    settings = Settings()
    db = open_database("sqlite:///not-opened.db")
    storage: Any = None
    return create_app(Services(settings, db, storage, wake_worker=lambda: None))


def _writing(routes: Any) -> Iterator[str]:
    """The operations that ask for a token of the role `writer`, which the description can't say."""
    writer = get_args(Writer)[1].dependency
    for route in routes:
        if inner := getattr(route, "original_router", None):
            yield from _writing(inner.routes)
        elif isinstance(route, APIRoute) and any(each.call is writer for each in route.dependant.dependencies):
            yield str(route.operation_id)


def _sections() -> Iterator[tuple[tuple[str, str], str]]:
    """By method and path: where the route's section is."""
    for heading in re.findall(r"^## (.+)$", SECTIONS_PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        if route := re.match(r"`([A-Z]+) ([^`?]+)", heading):
            yield (route[1], route[2]), f"{SECTIONS_PAGE.name}#{slugify(heading.replace('`', ''), '-')}"


def _other_section(path: str) -> str | None:
    return next((link for start, link in OTHER_SECTIONS.items() if path.startswith(start)), None)
