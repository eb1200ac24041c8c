"""What is true of every request: a trailing slash is served, a body has a limit, a line in the log tells of it."""

import logging
import re
import time

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.errors import ErrorCode
from assay.ids import new_id
from assay.log import telling_of
from assay.storage.local import UPLOADS_PATH
from assay.web.errors import error_response
from assay.web.parameters import FORM_UPLOADS_PATH

log = logging.getLogger("assay.requests")


class StripTrailingSlash:
    """Serves `/path/` as `/path`: the API's clients write both, and do not follow redirects."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            scope = dict(scope, path=scope["path"].rstrip("/") or "/")
        await self._app(scope, receive, send)


class LimitBody:
    """Refuses a request body that is too large, announced or not. Uploads have their own, larger limit."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith((UPLOADS_PATH + "/", FORM_UPLOADS_PATH + "/")):
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        is_too_large = announced.isdigit() and int(announced) > self._max_bytes
        # In one piece: as messages, a body that comes byte by byte would take hundreds of times its size.
        body = bytearray()
        message: Message = {}
        while not is_too_large:
            message = await receive()
            body += message.get("body", b"")
            is_too_large = len(body) > self._max_bytes
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        if is_too_large:
            detail = f"The body is larger than the {self._max_bytes:,} bytes that are taken."
            await error_response(413, ErrorCode.BODY_TOO_LARGE, detail)(scope, receive, send)
            return
        if message["type"] == "http.request":
            message["body"] = bytes(body)
        messages = [message]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)


class AnswerBugs:
    """Answers an exception that nobody expected with the envelope. The traceback goes to the log, never out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def watched_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            if has_started or scope["type"] != "http":
                raise  # the server ends the connection, so that half an answer is not taken for a whole one
            log.exception("a request failed by a fault of the service")
            detail = "The service made an error, which is in its log. Please try again."
            await error_response(500, ErrorCode.INTERNAL, detail)(scope, receive, send)


# What no page or answer of ours needs is forbidden. The API's documentation has a script in its page.
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
CONTENT_POLICY = b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
DOCUMENTATION_POLICY = b"default-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


class SecureAnswers:
    """Puts the security headers on every answer, and keeps the API's out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = DOCUMENTATION_POLICY if scope["path"].rstrip("/") == "/docs" else CONTENT_POLICY
                headers = [*SECURITY_HEADERS, (b"content-security-policy", policy)]
                given = {name for name, _ in message.get("headers", ())}
                if b"cache-control" not in given and not scope["path"].startswith("/static"):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await self._app(scope, receive, send_secured if scope["type"] == "http" else send)


# Any other word may stand in a request as its method: they are one, so that nobody can make labels without end.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class LogRequests:
    """One line a request: method, path, status, time, ids. Never a header, a query or a body; no signed path."""

    def __init__(self, app: ASGIApp, *, request_seconds: Histogram) -> None:
        self._app = app
        self._request_seconds = request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # To its beginning: an answer may go on as long as an import runs, or a client takes to read it.
                method = scope["method"] if scope["method"] in METHODS else "other"
                self._request_seconds.labels(method, str(status)).observe(time.perf_counter() - started)
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        with telling_of(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                _log_request(scope, status, seconds=time.perf_counter() - started)


# Not for logs and traces, wherever it stands in a path: at one that is none, as when a proxy puts something before it
# or letters are changed, a signed token is good still.
SIGNED = re.compile(rf"({UPLOADS_PATH}/).+", re.IGNORECASE | re.DOTALL)


def _log_request(scope: Scope, status: int, *, seconds: float) -> None:
    path = scope["path"]
    shown = SIGNED.sub(r"\1(signed)", path).encode("unicode_escape").decode()
    method = scope["method"].encode("unicode_escape").decode()
    extra = {"method": method, "path": shown, "status": status, "duration_ms": round(seconds * 1000, 1)}
    if token_id := scope["state"].get("token_id"):
        extra["token_id"] = token_id
    request_id = scope["state"]["request_id"]
    log.info("%s %s %d %.1fms request=%s", method, shown, status, seconds * 1000, request_id, extra=extra)
