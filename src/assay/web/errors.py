"""How a fault becomes an answer: one envelope for every status of 400 and more, framework faults included."""

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from assay.errors import AssayError, Conflict, Denied, ErrorCode, Invalid, InvalidFields, NotFound, Unavailable
from assay.log import with_cause
from assay.web.limits import RateLimitExceeded
from assay.web.strict_json import MalformedJson
from assay.wire import ErrorBody, ErrorDetail

log = logging.getLogger("assay.web")

KIND_STATUS: dict[type[AssayError], int] = {
    InvalidFields: 400,
    Invalid: 400,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
}
# The few codes whose status is not that of their kind.
CODE_STATUS = {ErrorCode.NOT_AUTHENTICATED: 401, ErrorCode.BODY_TOO_LARGE: 413, ErrorCode.RATE_LIMITED: 429}
JSON_WANTED = "Send the body as JSON, with 'Content-Type: application/json'."
NO_BODY = "There is no body. Send a JSON object, with 'Content-Type: application/json'."
NO_OBJECT = "The body must be a JSON object, not a list or a single value."
TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Wrong media type",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
}
# In place of the framework's words for programmers.
FAULT_WORDS = {
    "int_parsing": "Must be a whole number.",
    "int_parsing_size": "Must be a smaller number.",
    "float_parsing": "Must be a number.",
    "bool_parsing": "Must be true or false.",
    "greater_than_equal": "Must be at least {ge:,.16g}.",
    "less_than_equal": "Must be at most {le:,.16g}.",
    "literal_error": "Must be {expected}.",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
FRAMEWORK_CODES = {404: ErrorCode.UNKNOWN_ROUTE, 405: ErrorCode.METHOD_NOT_ALLOWED}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its OpenAPI description; any other one looks alike."""
    named: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": TITLES[status]} for status in statuses
    }
    return named | {"default": {"model": ErrorBody, "description": "Any other error"}}


def error_response(
    status: int,
    code: int,
    detail: str | list[str] | dict[str, list[str]],
    *,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body = ErrorBody(
        error=ErrorDetail(status=status, error_code=int(code), title=TITLES.get(status, "Error"), detail=detail)
    )
    return JSONResponse(body.model_dump(mode="json", exclude_unset=True), status_code=status, headers=headers)


def status_of(error: AssayError) -> int:
    return CODE_STATUS.get(error.code) or KIND_STATUS[type(error)]


def wrong_content_type(wanted: str, given: str) -> Invalid:
    """`wanted` says what to send, without a full stop."""
    found = f", not {given[:100]!r}" if given else "; the request has none"
    return Invalid(f"{wanted}{found}.", code=ErrorCode.CONTENT_TYPE_MISMATCH)


def install_handlers(app: FastAPI) -> None:
    """They are coroutines: a request that was called off, as when the service ends, can't wait for a thread."""
    app.add_exception_handler(AssayError, _on_fault)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_framework_fault)


async def _on_disconnect(_request: Request, _error: Exception) -> JSONResponse:
    """Most likely nobody hears it; but it is no fault of the service, and the log and the figures must not say so."""
    detail = "The connection ended before the whole body had arrived; send it again."
    return error_response(400, ErrorCode.BODY_INCOMPLETE, detail)


async def _on_fault(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, AssayError):
        raise error
    status = status_of(error)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Token"
    if status == 503:
        headers["Retry-After"] = "5"
        log.warning("answered 503: %s", with_cause(error))
    if isinstance(error, RateLimitExceeded):
        headers["Retry-After"] = str(error.retry_after_seconds)
    detail = error.faults if isinstance(error, InvalidFields) else error.message
    return error_response(status, error.code, detail, headers=headers)


async def _on_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    if isinstance(error.body, MalformedJson):
        return error_response(400, ErrorCode.INVALID_REQUEST, f"The body is no valid JSON: {error.body.fault}.")
    if isinstance(error.body, bytes) and error.body:  # the framework reads no other media type
        return error_response(415, ErrorCode.WRONG_MEDIA_TYPE, JSON_WANTED)
    faults: dict[str, list[str]] = {}
    for fault in error.errors():
        if fault["loc"] == ("body",):
            detail = NO_BODY if fault["type"] == "missing" else NO_OBJECT
            return error_response(400, ErrorCode.INVALID_REQUEST, detail)
        if fault["type"] == "json_invalid":
            detail = f"The body is no valid JSON: {fault['ctx']['error']}."
            return error_response(400, ErrorCode.INVALID_REQUEST, detail)
        where = [str(step) for step in fault["loc"] if step not in ("body", "query", "path")]
        faults.setdefault(".".join(where), []).append(_words(fault))
    return error_response(400, ErrorCode.INVALID_REQUEST, faults)


def _words(fault: dict[str, Any]) -> str:
    words = FAULT_WORDS.get(fault["type"])
    return str(fault["msg"]) if words is None else words.format(**fault.get("ctx", {}))


async def _on_framework_fault(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    code = FRAMEWORK_CODES.get(error.status_code, ErrorCode.INVALID_REQUEST)
    detail = {404: "There is nothing at this path.", 405: "This path has no such method."}.get(error.status_code)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    return error_response(error.status_code, code, detail or str(error.detail), headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    """All methods of the path: the framework names only those of the first route that it finds there."""
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
