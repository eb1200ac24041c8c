"""The application: routes, faults, limits, health, and the API's own description."""

from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Scope

from assay import __version__
from assay.web import (
    api,
    appends,
    deletions,
    events,
    exports,
    hooks,
    migrations,
    rejections,
    suggestions,
    uploads,
    webhooks,
)
from assay.web.console import routes as console_routes
from assay.web.console.errors import ShowErrorPages
from assay.web.console.sessions import Sessions
from assay.web.description import describe_truly
from assay.web.errors import error_response, install_handlers, responses
from assay.web.limits import LongWork, OpenStreams, RateLimiter
from assay.web.metrics import Metrics, get_metrics
from assay.web.middleware import SIGNED, AnswerBugs, LimitBody, LogRequests, SecureAnswers, StripTrailingSlash
from assay.web.readiness import Readiness
from assay.web.services import Services

DESCRIPTION = """\
Assay takes CSV and JSON Lines files into datasets, checks every record against the dataset's schema,
keeps the accepted ones and says of each rejected one which field failed and why.

1. Create a dataset with a schema.
2. Ask for an upload URL.
3. `PUT` the file there, with the content type it names.
4. Poll the import.
5. Read the records.
"""


def create_app(services: Services) -> FastAPI:
    """The ASGI application over services that the caller opens and closes."""
    app = FastAPIOffline(
        redoc_url=None,
        title="Assay",
        version=__version__,
        summary="The import desk for datasets.",
        description=DESCRIPTION,
        redirect_slashes=False,
        telemetry={"metrics": False, "logs": False, "exclude": _has_signed_path},
    )
    app.state.services = services
    app.state.metrics = metrics = Metrics(services.db)
    app.state.readiness = Readiness(services.db, services.storage)
    app.state.rate_limiter = RateLimiter(services.settings.rate_limit_per_minute)
    app.state.open_streams = OpenStreams()
    app.state.long_work = LongWork()
    for module in (api, appends, migrations, uploads, events, rejections, exports, suggestions, deletions):
        app.include_router(module.router)
    app.include_router(webhooks.router)
    app.include_router(hooks.router)
    app.state.sessions = Sessions(services.db)
    app.include_router(console_routes.router)
    _add_operation_routes(app)
    describe_truly(app)
    install_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(LimitBody, max_bytes=services.settings.max_body_bytes)
    app.add_middleware(StripTrailingSlash)
    app.add_middleware(AnswerBugs)
    app.add_middleware(ShowErrorPages)
    app.add_middleware(SecureAnswers)
    app.add_middleware(LogRequests, request_seconds=metrics.request_seconds)
    return app


def _has_signed_path(scope: Scope) -> bool:
    """Its span would tell the path to whoever reads traces."""
    return SIGNED.search(scope["path"]) is not None


def _add_operation_routes(app: FastAPI) -> None:
    """What whoever runs the service asks it."""
    app.get(
        "/healthz",
        operation_id="health",
        summary="Is the process alive?",
        tags=["operation"],
        responses=responses(),
    )(_health)
    app.get(
        "/readyz",
        operation_id="readiness",
        summary="Can the service do its work?",
        tags=["operation"],
        responses=responses(503),
    )(_readiness)
    app.get(
        "/metrics",
        operation_id="metrics",
        summary="Figures for Prometheus",
        tags=["operation"],
        response_class=PlainTextResponse,
        responses=responses(503),
    )(get_metrics)


async def _health() -> dict[str, str]:
    return {"status": "ok"}


async def _readiness(request: Request) -> Any:
    """503 while the database or the storage can't be reached, or the database is not migrated."""
    readiness: Readiness = request.app.state.readiness
    fault = await readiness.find_fault()
    if fault is not None:
        return error_response(503, fault.code, fault.message)
    return JSONResponse({"status": "ready"})
