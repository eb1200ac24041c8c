"""Server-sent events of an import: one at each change of its status or progress, the terminal one last, which
`pending_schema` is too."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from assay.db import tokens
from assay.db.jobs import list_events
from assay.db.tokens import Token
from assay.errors import NotFound, Unavailable
from assay.jobs import SETTLED, Counts, Import, JobEvent, State
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


def _look(services: Services, token: Token, job: Import, *, at_token: bool) -> list[Import]:
    """The import as it is, after what it was since it was seen as `job`; nothing once it is gone, or the token."""
    if at_token:
        with services.db.read() as tx:
            if tokens.get_valid_token(tx, token.id) is None:
                return []
    try:
        now_stands = look_again(services, job)
    except NotFound:
        return []
    if (now_stands.state, now_stands.attempt) == (job.state, job.attempt):
        return [now_stands]
    with services.db.read() as tx:
        history = list_events(tx, job.id)
    return [*_between(job, now_stands, history), now_stands] if history else []


def _between(before: Import, after: Import, history: Sequence[JobEvent]) -> Iterator[Import]:
    """The states that an import was in between two looks. None has the same attempt twice."""
    places = {(event.to_state, event.attempt): place for place, event in enumerate(history)}
    first = places[before.state, before.attempt] + 1
    for event in history[first : places[after.state, after.attempt]]:
        started_at = event.at if event.to_state is State.PROCESSING else None
        yield replace(
            after,
            state=event.to_state,
            attempt=event.attempt,
            updated_at=event.at,
            reason=event.reason,
            processing_started_at=started_at,
            counts=Counts(),
        )


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
    seen = [job]
    with streams.one_more(str(token.id)):
        while seen:
            for job in seen:
                body = import_body(job).model_dump(mode="json", exclude_unset=True)
                state = (body["status"], body.get("processed_offset"), body.get("processing_started_at"))
                if state != shown:
                    shown = state
                    yield ServerSentEvent(data=body, event="import")
            if job.state in SETTLED or services.is_stopping.is_set():
                return
            await asyncio.sleep(max(LOOK_SECONDS, streams.count / LOOKS_A_SECOND))
            at_token = time.monotonic() - asked_at > ASK_AGAIN_SECONDS
            try:
                seen = await run_in_threadpool(_look, services, token, job, at_token=at_token)
            except Unavailable as error:
                log.warning("the events of an import have to wait: %s", error)
                seen = [job]
            else:
                asked_at = time.monotonic() if at_token else asked_at
