"""The routes to what an import rejected: every fault, and the records themselves to mend and upload again."""

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from assay.fileformats import FILE_FORMATS
from assay.rejected import read_errors, read_rejected
from assay.web.auth import Reader
from assay.web.downloads import binary, download
from assay.web.errors import responses
from assay.web.parameters import BASE_PATH, DatasetId, ImportId, Limit, RowCursor, import_for, row_of_cursor
from assay.web.services import WithServices
from assay.wire import ImportErrorBody, Page

router = APIRouter(prefix=BASE_PATH)


@router.get(
    "/datasets/{dataset_id}/imports/{import_id}/errors",
    operation_id="list-dataset-import-errors",
    summary="List an import's errors",
    tags=["imports"],
    responses=responses(400, 401, 403, 404, 409),
)
def get_errors(
    dataset_id: DatasetId,
    import_id: ImportId,
    services: WithServices,
    token: Reader,
    limit: Limit = 100,
    cursor: RowCursor = None,
) -> Page[ImportErrorBody]:
    """Every failing field of every rejected record, in file order. 409 until the import has ended."""
    job = import_for(services, token, dataset_id, import_id)
    page = read_errors(services.db, services.storage, job, from_fault=row_of_cursor(cursor), limit=limit)
    return Page(
        results=[
            ImportErrorBody(record_index=error.record_index, field=error.field, reason=error.reason)
            for error in page.errors
        ],
        next_cursor=None if page.next_fault is None else str(page.next_fault),
    )


@router.get(
    "/datasets/{dataset_id}/imports/{import_id}/rejected",
    operation_id="download-dataset-import-rejected",
    summary="Download an import's rejected records",
    tags=["imports"],
    response_class=StreamingResponse,
    responses=responses(401, 403, 404, 409, 503) | {200: binary("text/csv", "application/x-ndjson")},
)
def get_rejected(
    dataset_id: DatasetId, import_id: ImportId, services: WithServices, token: Reader
) -> StreamingResponse:
    """The rejected records as they stood in the upload, in its format: mend them and upload the file.

    409 until the import has ended.
    """
    job = import_for(services, token, dataset_id, import_id)
    blocks = read_rejected(services.db, services.storage, job, record_limit_bytes=services.settings.record_limit_bytes)
    extension = FILE_FORMATS[job.format].extension
    name = f"{job.filename[: -len(extension)]}-rejected{job.filename[-len(extension) :]}"
    answer = download(blocks, media_type=job.content_type, name=name)
    # Without the charset that the framework adds: an upload is taken with exactly this content type.
    answer.headers["Content-Type"] = job.content_type
    return answer
