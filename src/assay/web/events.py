"""Server-sent events of an import: one at each change of its status or progress, the terminal one last, which
`pending_schema` is too."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from assay.errors import NotFound, Unavailable
from assay.jobs import SETTLED, Import
from assay.web.auth import Reader
from assay.web.bodies import import_body
from assay.web.errors import responses
from assay.web.parameters import BASE_PATH, DatasetId, ImportId, import_for, look_again
from assay.web.services import WithServices

log = logging.getLogger("assay.web")

router = APIRouter(prefix=BASE_PATH)

LOOK_SECONDS = 0.25


def _import_of_path(dataset_id: DatasetId, import_id: ImportId, services: WithServices, token: Reader) -> Import:
    # Looked up before the answer begins, so that a fault still gets its status.
    return import_for(services, token, dataset_id, import_id)


@router.get(
    "/datasets/{dataset_id}/imports/{import_id}/events",
    operation_id="watch-dataset-import",
    summary="Watch an import",
    tags=["imports"],
    response_class=EventSourceResponse,
    responses=responses(401, 403, 404),
)
async def get_events(
    job: Annotated[Import, Depends(_import_of_path)], services: WithServices
) -> AsyncIterator[ServerSentEvent]:
    """Each event is named `import` and has the import job as its data; the stream ends when the job has,
    and at `pending_schema`, from where only a person can go on."""
    # A coroutine, since it stays open as long as the job runs. The framework keeps an idle connection alive.
    shown = None
    while True:
        body = import_body(job).model_dump(mode="json", exclude_unset=True)
        state = (body["status"], body.get("processed_offset"), body.get("processing_started_at"))
        if state != shown:
            shown = state
            yield ServerSentEvent(data=body, event="import")
        if job.state in SETTLED or services.is_stopping.is_set():
            return
        await asyncio.sleep(LOOK_SECONDS)
        try:
            job = await run_in_threadpool(look_again, services, job)
        except NotFound:
            return  # deleted in the meantime
        except Unavailable as error:
            log.warning("the events of an import have to wait: %s", error)
