"""How files come in from the console: by the upload URL where a script sends them, else by a form, streamed as well."""

import mmap
import tempfile
from contextlib import suppress
from typing import IO

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response

from assay.errors import AssayError, Conflict, ErrorCode, Invalid
from assay.jobs import Import
from assay.operations import UploadOffer, begin_upload, cancel_import
from assay.storage.local import LocalStorage, UploadGrant
from assay.web.auth import dataset_for
from assay.web.console.form_uploads import FormUpload
from assay.web.console.sessions import (
    FORM_TOKEN,
    Form,
    Reading,
    Visitor,
    Writing,
    check_form_token,
    check_writer,
    text_of,
)
from assay.web.parameters import FORM_UPLOADS_PATH, DatasetId, noticed
from assay.web.services import Services, WithServices
from assay.web.uploads import ALIVE_SECONDS, offer_upload, take_in, too_large

router = APIRouter(include_in_schema=False)

# A store that takes whole objects alone gets the form's file from a temporary one; while it does, nobody else acts.
FORWARDING_SECONDS = 3600


@router.post("/datasets/{dataset_id}/imports")
def post_import(dataset_id: DatasetId, services: WithServices, visitor: Writing, form: Form) -> Response:
    """Where a script of ours is to PUT the file, and where it goes from there."""
    offer = _start(services, visitor, dataset_id, text_of(form, "filename"))
    job = offer.job
    import_url = f"/datasets/{job.dataset_id}/imports/{job.id}"
    return JSONResponse({"upload_url": offer.url, "content_type": job.content_type, "import_url": import_url})


@router.post(FORM_UPLOADS_PATH + "/{dataset_id}")
async def post_file(dataset_id: DatasetId, request: Request, services: WithServices, visitor: Reading) -> Response:
    """A multipart form with the form token first and the file last."""
    form = FormUpload(request)
    await form.open()
    check_form_token(request, form.fields.get(FORM_TOKEN))
    check_writer(visitor)
    if not form.filename:
        raise Invalid("Choose a file first.", code=ErrorCode.INVALID_FILE_NAME)
    offer = await run_in_threadpool(_start, services, visitor, dataset_id, form.filename)
    try:
        await _receive(services, offer.job, form)
    except (ClientDisconnect, AssayError) as error:
        await run_in_threadpool(_give_up, services, offer.job)
        if isinstance(error, AssayError) and error.code is not ErrorCode.BODY_INCOMPLETE:
            raise
        # Not to the same URL, as whoever sends it without a form may.
        message = "The connection ended before the whole file had arrived; send it again."
        raise Invalid(message, code=ErrorCode.BODY_INCOMPLETE) from error
    return RedirectResponse(f"/datasets/{offer.job.dataset_id}/imports/{offer.job.id}", status_code=303)


def _start(services: Services, visitor: Visitor, dataset_id: str, filename: str) -> UploadOffer:
    dataset = dataset_for(services, visitor.token, dataset_id)
    return offer_upload(services, dataset.id, filename)


async def _receive(services: Services, job: Import, form: FormUpload) -> None:
    max_bytes = services.settings.max_upload_bytes
    if isinstance(services.storage, LocalStorage):
        await run_in_threadpool(begin_upload, services.db, job.file_key, quiet_seconds=ALIVE_SECONDS)
        grant = UploadGrant(key=job.file_key, content_type=job.content_type, max_bytes=max_bytes)
        await take_in(services, services.storage, job, grant, form.blocks())
        return
    await run_in_threadpool(begin_upload, services.db, job.file_key, quiet_seconds=FORWARDING_SECONDS)
    with tempfile.TemporaryFile() as file:
        size_bytes = 0
        async for block in form.blocks():
            size_bytes += len(block)
            if size_bytes > max_bytes:
                raise too_large(max_bytes)
            await run_in_threadpool(file.write, block)
        await run_in_threadpool(_forward, services, job, file, size_bytes)


def _forward(services: Services, job: Import, file: IO[bytes], size_bytes: int) -> None:
    """Hand a file to the store without having it in memory."""
    file.flush()
    if size_bytes:
        with mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ) as data:
            services.storage.put(job.file_key, data)
    else:
        services.storage.put(job.file_key, b"")
    noticed(services, job)


def _give_up(services: Services, job: Import) -> None:
    """Nobody has the URL of this import, so it would wait for ever."""
    with suppress(Conflict):
        cancel_import(services.db, job.dataset_id, job.id)
