"""The route that proposes a schema for an uploaded file."""

import asyncio
import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from assay.inferring import UnwantedError, suggest_schema
from assay.schema import schema_to_json
from assay.web.auth import Reader
from assay.web.errors import responses
from assay.web.limits import LongWork
from assay.web.parameters import BASE_PATH, DatasetId, ImportId, import_for
from assay.web.services import WithServices
from assay.wire import SchemaBody

router = APIRouter(prefix=BASE_PATH)

LOOK_SECONDS = 1.0
CLIENT_CLOSED_REQUEST = 499  # nobody sees it but the log
Sample = Annotated[
    Literal["start", "all"], Query(description="What is looked at of a large file: some of its records, or all.")
]


@router.get(
    "/datasets/{dataset_id}/imports/{import_id}/suggested-schema",
    operation_id="suggest-dataset-import-schema",
    summary="Propose a schema for an uploaded file",
    tags=["imports"],
    response_model=SchemaBody,
    response_model_exclude_unset=True,
    responses=responses(400, 401, 403, 404, 409, 503),
)
async def get_suggested_schema(
    dataset_id: DatasetId,
    import_id: ImportId,
    request: Request,
    services: WithServices,
    token: Reader,
    sample: Sample = "start",
) -> Any:
    """Read it, change it, and set it. Of each field it rejects at most 5% of the values that were looked at; blank task
    groups come on top.

    409 while there is no upload, and for a file that no schema can be told from.
    """
    job = await run_in_threadpool(import_for, services, token, dataset_id, import_id)
    is_gone = threading.Event()
    long_work: LongWork = request.app.state.long_work
    work = asyncio.ensure_future(
        long_work.run(
            token.workspace_id,
            lambda: suggest_schema(
                services.storage, job, whole=sample == "all", is_wanted=lambda: not is_gone.is_set()
            ),
        )
    )
    # A large file takes minutes, and whoever asked may have left.
    while not (await asyncio.wait([work], timeout=LOOK_SECONDS))[0]:
        if await request.is_disconnected():
            is_gone.set()
    try:
        return SchemaBody.model_validate(schema_to_json(await work))
    except UnwantedError:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
