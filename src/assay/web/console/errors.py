"""Errors as pages: what answers a browser with the JSON envelope outside of the API becomes a page that says the same.

An unknown visitor is sent to the sign-in, and comes back from there.
"""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.errors import AssayError, ErrorCode
from assay.ids import parse_id
from assay.storage.local import UPLOADS_PATH
from assay.web.console.pages import render
from assay.web.console.sessions import Visitor, visitor_of
from assay.web.parameters import FORM_UPLOADS_PATH

SIGN_IN_PATH = "/sign-in"
MACHINE_PATHS = ("/api/", UPLOADS_PATH + "/", "/hooks/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static/")
# Where a form goes that has no page of the same path; the last steps of those that go to a path below their page.
FORM_PAGES = {"/datasets": "/datasets/new", "/sign-out": "/"}
ACTS = ("preview", "suggest", "cancel")

NO_DATASET = (ErrorCode.UNKNOWN_DATASET, ErrorCode.FOREIGN_WORKSPACE)


class ShowErrorPages:
    """Stands outside of everything that may answer with the envelope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not wants_page(scope):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def send_page(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_envelope(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    response = await _page(scope, start, bytes(body))
                    await response(scope, receive, send)

        await self._app(scope, receive, send_page)


def wants_page(scope: Scope) -> bool:
    """Whether a person looks at the answer: a browser asks for HTML."""
    is_for_machines = scope["path"].startswith(MACHINE_PATHS)
    return not is_for_machines and "text/html" in Headers(scope=scope).get("accept", "")


def _is_envelope(message: Message) -> bool:
    content_type = Headers(raw=message.get("headers", [])).get("content-type", "")
    return message["status"] >= 400 and content_type.startswith("application/json")


async def _page(scope: Scope, start: Message, body: bytes) -> Response:
    error: dict[str, Any] = json.loads(body)["error"]
    status: int = start["status"]
    kept = Headers(raw=start["headers"])
    if status == 401:
        target = _page_to_come_back_to(scope)
        comes_back = f"?next={quote(target, safe='')}" if target != "/" else ""
        return RedirectResponse(SIGN_IN_PATH + comes_back, status_code=303)
    headers = {name: kept[name] for name in ("retry-after", "allow") if name in kept}
    state = scope.get("state", {})
    visitor = state.get("visitor")
    if error["error_code"] == ErrorCode.UNKNOWN_ROUTE:  # no route has looked who it is
        visitor = await run_in_threadpool(_visitor, Request(scope))
    return render(
        "error.html",
        visitor,
        status=status,
        headers=headers,
        error=error,
        details=_details(error["detail"]),
        request_id=state.get("request_id"),
        dataset_id=_dataset_id(scope["path"]) if error["error_code"] not in NO_DATASET else None,
    )


def _page_to_come_back_to(scope: Scope) -> str:
    """The page that was asked for, or the one that the form stands on."""
    path: str = scope["path"]
    if scope["method"] == "GET":
        return path + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
    if path.startswith(FORM_UPLOADS_PATH + "/"):
        return "/datasets" + path.removeprefix(FORM_UPLOADS_PATH)
    page, _, act = path.rpartition("/")
    return FORM_PAGES.get(path) or (page if act in ACTS else path)


def _visitor(request: Request) -> Visitor | None:
    with suppress(AssayError):
        return visitor_of(request, request.app.state.services)
    return None


def _dataset_id(path: str) -> str | None:
    """The dataset that a path below its page, or the form that sends it a file, is about."""
    first, _, rest = path.removeprefix("/").partition("/")
    dataset_id, _, below = rest.partition("/")
    is_about = bool(below) if first == "datasets" else f"/{first}" == FORM_UPLOADS_PATH
    return dataset_id if is_about and parse_id(dataset_id) is not None else None


def _details(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [f"{field}: {text}" for field, texts in detail.items() for text in texts]
    return [detail] if isinstance(detail, str) else list(detail)
