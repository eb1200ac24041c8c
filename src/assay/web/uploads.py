"""The signed PUT of the local storage: streamed to disk, never whole in memory, all or nothing.

The one route that is a coroutine for its body's sake: the chunks arrive on the event loop and are handed to a thread.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from xxhash import xxh3_128

from assay import crash_points
from assay.errors import AssayError, Conflict, ErrorCode, Invalid, NotFound, Unavailable
from assay.jobs import Import
from assay.noticing import notice_upload
from assay.operations import (
    SeenUpload,
    UploadOffer,
    begin_upload,
    end_upload,
    finish_upload,
    start_import,
)
from assay.storage.local import UPLOADS_PATH, LocalStorage, OpenUpload, UploadGrant
from assay.web.errors import responses, wrong_content_type
from assay.web.services import Services, WithServices
from assay.wire import UploadedBody

router = APIRouter()

WRITE_BYTES = 1024 * 1024
ALIVE_SECONDS = 60
STALLED_SECONDS = 300


def offer_upload(services: Services, dataset_id: UUID, filename: str) -> UploadOffer:
    """A new import and the URL for its file, within the service's limits."""
    return start_import(
        services.db,
        services.storage,
        dataset_id,
        filename=filename,
        valid_seconds=services.settings.upload_url_seconds,
        max_bytes=services.settings.max_upload_bytes,
    )


@router.put(
    UPLOADS_PATH + "/{token}",
    operation_id="upload-file",
    summary="Upload a file to its signed URL",
    tags=["imports"],
    response_model=UploadedBody,
    responses=responses(400, 403, 404, 409, 413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                name: {"schema": {"type": "string", "format": "binary"}}
                for name in ("text/csv", "application/x-ndjson")
            },
        }
    },
)
async def upload_file(token: str, request: Request, services: WithServices) -> UploadedBody:
    """The body is the file; `Content-Type` must be exactly what the upload URL's answer says. No token is needed."""
    storage = services.storage
    if not isinstance(storage, LocalStorage):
        raise NotFound("Uploads go straight to the object store here.", code=ErrorCode.UNKNOWN_ROUTE)
    grant, job = await run_in_threadpool(_admit, services, storage, token, request)
    size_bytes = await take_in(services, storage, job, grant, request.stream())
    return UploadedBody(import_id=job.id, size_bytes=size_bytes)


async def take_in(
    services: Services, storage: LocalStorage, job: Import, grant: UploadGrant, stream: AsyncIterator[bytes]
) -> int:
    """Store the stream as the upload of an import that was begun, and move the import on; the upload's size."""
    upload = await run_in_threadpool(storage.open_upload, grant.key)
    try:
        upload_hash = await _receive(stream, upload, services=services, grant=grant)
        await run_in_threadpool(upload.commit)
        crash_points.reached("upload_stored")
    except Conflict:
        # The import was cancelled on the way; or an earlier upload was stored, and whoever took it was cut short
        # before it could say so.
        await run_in_threadpool(upload.abort)
        await run_in_threadpool(notice_upload, services.db, storage, job, max_bytes=grant.max_bytes)
        raise
    except ClientDisconnect as error:
        await run_in_threadpool(_break_off, services, upload, job)
        message = "The connection ended before the whole file had arrived; upload it again to the same URL."
        raise Invalid(message, code=ErrorCode.BODY_INCOMPLETE) from error
    except AssayError:
        await run_in_threadpool(_break_off, services, upload, job)
        raise
    except asyncio.CancelledError:
        _break_off(services, upload, job)  # here and now: the service is ending, and may not come back to this
        message = "The service is ending; upload the file again to the same URL once it is back."
        raise Unavailable(message, code=ErrorCode.BODY_INCOMPLETE) from None
    seen = SeenUpload(size_bytes=upload.size_bytes, hash=upload_hash)
    await run_in_threadpool(finish_upload, services.db, job, seen)
    services.wake_worker()
    return upload.size_bytes


def _admit(services: Services, storage: LocalStorage, token: str, request: Request) -> tuple[UploadGrant, Import]:
    """Everything that can be refused before the first byte of the body."""
    with services.db.read() as tx:
        now = tx.now()
    grant = storage.verify_upload(token, now=now)
    given = request.headers.get("content-type", "")
    if given != grant.content_type:
        raise wrong_content_type(f"Send the file with 'Content-Type: {grant.content_type}'", given)
    if "content-range" in request.headers:  # RFC 9110, section 14.5: a part must not be taken for the whole
        message = "A file is uploaded whole, in one request without 'Content-Range'."
        raise Invalid(message, code=ErrorCode.INVALID_REQUEST)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > grant.max_bytes:
        raise too_large(grant.max_bytes)
    return grant, begin_upload(services.db, grant.key, quiet_seconds=ALIVE_SECONDS)


async def _receive(stream: AsyncIterator[bytes], upload: OpenUpload, *, services: Services, grant: UploadGrant) -> str:
    """Write the whole body; gives its hash, by which the worker knows that it reads what was uploaded."""
    body_hash = xxh3_128()
    kept_alive_at = time.monotonic()
    size_bytes = 0
    async for block in _blocks(stream):
        size_bytes += len(block)
        if size_bytes > grant.max_bytes:
            raise too_large(grant.max_bytes)
        body_hash.update(block)
        await run_in_threadpool(upload.write, block)
        if time.monotonic() - kept_alive_at > ALIVE_SECONDS / 4:
            kept_alive_at = time.monotonic()
            await run_in_threadpool(begin_upload, services.db, grant.key, quiet_seconds=ALIVE_SECONDS)
    return body_hash.hexdigest()


async def _blocks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body in blocks worth a thread's call each; of one that comes slowly, what has come after a while."""
    gathered = bytearray()
    given_at = time.monotonic()
    while (chunk := await _next_of(stream)) is not None:
        gathered += chunk
        if len(gathered) >= WRITE_BYTES or time.monotonic() - given_at > ALIVE_SECONDS / 4:
            yield bytes(gathered)
            gathered.clear()
            given_at = time.monotonic()
    if gathered:
        yield bytes(gathered)


async def _next_of(stream: AsyncIterator[bytes]) -> bytes | None:
    """None at the end. Raises `Invalid` for a client that is there and sends nothing."""
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            return await anext(stream, None)
    except TimeoutError as error:
        message = f"Nothing of the file has come for {STALLED_SECONDS} seconds; upload it again to the same URL."
        raise Invalid(message, code=ErrorCode.BODY_INCOMPLETE) from error


def _break_off(services: Services, upload: OpenUpload, job: Import) -> None:
    upload.abort()
    end_upload(services.db, job)


def too_large(max_bytes: int) -> Invalid:
    message = f"The file is larger than the {max_bytes:,} bytes that are taken; split it."
    return Invalid(message, code=ErrorCode.BODY_TOO_LARGE)
