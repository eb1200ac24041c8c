"""Errors as pages: what answers a browser with the JSON envelope outside of the API becomes a page that says the same.

An unknown visitor is sent to the sign-in, and comes back from there.
"""

import json
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.storage.local import UPLOADS_PATH
from assay.web.console.pages import render

SIGN_IN_PATH = "/sign-in"
MACHINE_PATHS = ("/api/", UPLOADS_PATH + "/", "/hooks/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static/")


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
                    await _page(scope, start, bytes(body))(scope, receive, send)

        await self._app(scope, receive, send_page)


def wants_page(scope: Scope) -> bool:
    """Whether a person looks at the answer: a browser asks for HTML."""
    is_for_machines = scope["path"].startswith(MACHINE_PATHS)
    return not is_for_machines and "text/html" in Headers(scope=scope).get("accept", "")


def _is_envelope(message: Message) -> bool:
    content_type = Headers(raw=message.get("headers", [])).get("content-type", "")
    return message["status"] >= 400 and content_type.startswith("application/json")


def _page(scope: Scope, start: Message, body: bytes) -> Response:
    error: dict[str, Any] = json.loads(body)["error"]
    status: int = start["status"]
    kept = Headers(raw=start["headers"])
    if status == 401:
        target = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        comes_back = f"?next={quote(target, safe='')}" if scope["method"] == "GET" and target != "/" else ""
        return RedirectResponse(SIGN_IN_PATH + comes_back, status_code=303)
    headers = {name: kept[name] for name in ("retry-after", "allow") if name in kept}
    visitor = scope.get("state", {}).get("visitor")
    return render("error.html", visitor, status=status, headers=headers, error=error, details=_details(error["detail"]))


def _details(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [f"{field}: {text}" for field, texts in detail.items() for text in texts]
    return [detail] if isinstance(detail, str) else list(detail)
