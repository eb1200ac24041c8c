"""Server-sent events of an import: one at each change of its status or progress, the terminal one last, which
`pending_schema` is too."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from assay.db import tokens
from assay.db.tokens import Token
from assay.errors import NotFound, Unavailable
from assay.jobs import SETTLED, Import
from assay.web.auth import Reader
from assay.web.bodies import import_body
from assay.web.errors import responses
from assay.web.limits import OpenStreams
from assay.web.parameters import BASE_PATH, DatasetId, ImportId, import_for, look_again
from assay.web.services import Services, WithServices

log = logging.getLogger("assay.web")

router = APIRouter(prefix=BASE_PATH)

LOOK_SECONDS = 0.25
# With many streams each looks less often, so that all together leave the threads to others.
LOOKS_A_SECOND = 50
ASK_AGAIN_SECONDS = 15  # whether the token still opens the dataset


def _import_of_path(dataset_id: DatasetId, import_id: ImportId, services: WithServices, token: Reader) -> Import:
    # Looked up before the answer begins, so that a fault still gets its status.
    return import_for(services, token, dataset_id, import_id)


def _room_for_one_more(request: Request, token: Reader) -> OpenStreams:
    streams: OpenStreams = request.app.state.open_streams
    streams.check(str(token.id))  # here, where a refusal still gets its status
    return streams


def _look(services: Services, token: Token, job: Import, *, at_token: bool) -> Import | None:
    """None once the import is gone, or the token."""
    if at_token:
        with services.db.read() as tx:
            if tokens.get_valid_token(tx, token.id) is None:
                return None
    try:
        return look_again(services, job)
    except NotFound:
        return None


@router.get(
    "/datasets/{dataset_id}/imports/{import_id}/events",
    operation_id="watch-dataset-import",
    summary="Watch an import",
    tags=["imports"],
    response_class=EventSourceResponse,
    responses=responses(401, 403, 404),
)
async def get_events(
    job: Annotated[Import, Depends(_import_of_path)],
    streams: Annotated[OpenStreams, Depends(_room_for_one_more)],
    services: WithServices,
    token: Reader,
) -> AsyncIterator[ServerSentEvent]:
    """Each event is named `import` and has the import job as its data; the stream ends when the job has,
    and at `pending_schema`, from where only a person can go on."""
    # A coroutine, since it stays open as long as the job runs. The framework keeps an idle connection alive.
    shown = None
    asked_at = time.monotonic()
    current: Import | None = job
    with streams.one_more(str(token.id)):
        while current is not None:
            body = import_body(current).model_dump(mode="json", exclude_unset=True)
            state = (body["status"], body.get("processed_offset"), body.get("processing_started_at"))
            if state != shown:
                shown = state
                yield ServerSentEvent(data=body, event="import")
            if current.state in SETTLED or services.is_stopping.is_set():
                return
            await asyncio.sleep(max(LOOK_SECONDS, streams.count / LOOKS_A_SECOND))
            at_token = time.monotonic() - asked_at > ASK_AGAIN_SECONDS
            try:
                current = await run_in_threadpool(_look, services, token, current, at_token=at_token)
            except Unavailable as error:
                log.warning("the events of an import have to wait: %s", error)
            else:
                asked_at = time.monotonic() if at_token else asked_at
