"""What is true of every request: a trailing slash is served, a body has a limit, a line in the log tells of it."""

import asyncio
import logging
import re
import time
from contextlib import suppress

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.errors import ErrorCode, Invalid
from assay.ids import new_id
from assay.log import telling_of
from assay.storage.local import UPLOADS_PATH
from assay.web.errors import error_response, status_of
from assay.web.parameters import FORM_UPLOADS_PATH

log = logging.getLogger("assay.requests")

STALLED_SECONDS = 30
PASSING_OVER_SECONDS = 10


class StripTrailingSlash:
    """Serves `/path/` as `/path`: the API's clients write both, and do not follow redirects."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            scope = dict(scope, path=scope["path"].rstrip("/") or "/")
        await self._app(scope, receive, send)


class LimitBody:
    """Gives a request's body in one piece, once it is asked for, and refuses one that is too large or never comes.

    A body that nobody asks for, as of a request that is refused for its headers, is passed over: an answer that comes
    before the client has sent all is often lost. Uploads have their own, larger limit.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith((UPLOADS_PATH + "/", FORM_UPLOADS_PATH + "/")):
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._max_bytes:
            error = self._too_large()
            await error_response(status_of(error), error.code, error.message)(scope, receive, send)
            return
        has_come = False

        async def receive_whole() -> Message:
            nonlocal has_come
            if has_come:
                return await receive()
            has_come = True
            # In one piece: as messages, a body that comes byte by byte would take hundreds of times its size.
            body = bytearray()
            message = await self._read(receive, into=body)
            if message["type"] == "http.request":
                message["body"] = bytes(body)
            return message

        async def send_after_body(message: Message) -> None:
            nonlocal has_come
            if not has_come:
                has_come = True
                with suppress(Invalid, TimeoutError):
                    async with asyncio.timeout(PASSING_OVER_SECONDS):
                        await self._read(receive, into=None)
            await send(message)

        await self._app(scope, receive_whole, send_after_body)

    async def _read(self, receive: Receive, *, into: bytearray | None) -> Message:
        """The last message of a body, or that the client is gone. Raises `Invalid` for too many bytes, or for none in a
        while."""
        size_bytes = 0
        heard_at = time.monotonic()
        try:
            async with asyncio.timeout(STALLED_SECONDS) as patience:
                while True:
                    message = await receive()
                    block = message.get("body", b"")
                    size_bytes += len(block)
                    if size_bytes > self._max_bytes:
                        raise self._too_large()
                    if into is not None:
                        into += block
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return message
                    now = time.monotonic()
                    if now - heard_at > 1:  # not at each byte
                        heard_at = now
                        patience.reschedule(asyncio.get_running_loop().time() + STALLED_SECONDS)
        except TimeoutError as error:
            detail = f"Nothing of the body has come for {STALLED_SECONDS} seconds; send it again."
            raise Invalid(detail, code=ErrorCode.BODY_INCOMPLETE) from error

    def _too_large(self) -> Invalid:
        detail = f"The body is larger than the {self._max_bytes:,} bytes that are taken."
        return Invalid(detail, code=ErrorCode.BODY_TOO_LARGE)


class AnswerBugs:
    """Answers an exception that nobody expected with the envelope. The traceback goes to the log, never out.

    What the server calls off when it ends is answered too, and is no bug.
    """

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
        except asyncio.CancelledError:
            if not has_started:
                detail = "The service is ending. Please try again once it is back."
                answer = error_response(503, ErrorCode.SERVICE_ENDING, detail, headers={"Retry-After": "5"})
                await answer(scope, receive, send)
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
