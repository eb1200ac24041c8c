"""The JSON routes. Each parses, authorises, calls one function and returns."""

import asyncio
import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.convertors import PathConvertor, register_url_convertor

from assay.db import datasets, jobs
from assay.db.tokens import Token
from assay.jobs import SETTLED, Import
from assay.operations import (
    MAX_FILENAME_CHARACTERS,
    cancel_import,
    create_dataset,
    publish_schema,
    require_dataset,
)
from assay.reading import read_datapoints
from assay.web.auth import Reader, Writer, check_workspace, dataset_for
from assay.web.bodies import datapoint_body, dataset_body, import_body, status_body, with_migration
from assay.web.errors import responses
from assay.web.parameters import (
    BASE_PATH,
    Cursor,
    DatasetId,
    ImportId,
    Limit,
    RowCursor,
    id_of_cursor,
    import_for,
    import_id_of,
    look_again,
    notice_newest_uploads,
    notice_uploads_before,
    noticed,
    page_of,
    row_of_cursor,
)
from assay.web.services import Services, WithServices
from assay.web.strict_json import StrictJsonRoute
from assay.web.uploads import offer_upload
from assay.wire import (
    DatapointBody,
    DatasetBody,
    DatasetPatchBody,
    DatasetStatusBody,
    ImportBody,
    NewDatasetBody,
    Page,
    UploadUrlBody,
)

IMPORTS_SHOWN = 100
# For the description: another name is refused in words.
FILE_NAME = {
    "pattern": r"^[^\x00-\x1f\x7f]*\.([cC][sS][vV]|[jJ][sS][oO][nN][lL])$",
    "maxLength": MAX_FILENAME_CHARACTERS,
}
FIRST_POLL_SECONDS = 0.05
SLOWEST_POLL_SECONDS = 0.5


class _AnythingConvertor(PathConvertor):
    """Line feeds too, which the framework's own leaves out: what is no file name is told of as such."""

    regex = "(?s:.*)"


register_url_convertor("anything", _AnythingConvertor())

router = APIRouter(prefix=BASE_PATH, route_class=StrictJsonRoute)

WaitSeconds = Annotated[
    float, Query(ge=0, le=60, description="Answer when the job has ended, or after so many seconds.")
]


@router.post(
    "/datasets",
    operation_id="create-dataset",
    summary="Create a dataset",
    tags=["datasets"],
    status_code=201,
    response_model_exclude_unset=True,
    responses=responses(400, 401, 403, 413, 415),
)
def post_dataset(body: NewDatasetBody, services: WithServices, token: Writer) -> DatasetBody:
    """Without a `schema`, what is uploaded waits in `pending_schema` until one is set."""
    check_workspace(token, body.workspace_id)
    dataset = create_dataset(
        services.db, token.workspace_id, name=body.name, created_by=token.name, schema=body.schema_
    )
    return dataset_body(dataset, [])


@router.get(
    "/datasets",
    operation_id="list-datasets",
    summary="List datasets",
    tags=["datasets"],
    response_model_exclude_unset=True,
    responses=responses(400, 401, 403),
)
def get_datasets(
    services: WithServices,
    token: Reader,
    workspace_id: Annotated[str | None, Query(description="The token's own workspace.", max_length=64)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[DatasetBody]:
    """The workspace's datasets, newest first. `imports` is left empty here; ask for one dataset to see them."""
    check_workspace(token, workspace_id)
    with services.db.read() as tx:
        found = datasets.list_datasets(tx, token.workspace_id, limit=limit + 1, before=id_of_cursor(cursor))
    return page_of(found, lambda dataset: dataset_body(dataset, []), limit=limit)


@router.get(
    "/datasets/{dataset_id}",
    operation_id="get-dataset",
    summary="Get a dataset",
    tags=["datasets"],
    response_model_exclude_unset=True,
    responses=responses(401, 403, 404),
)
def get_dataset(dataset_id: DatasetId, services: WithServices, token: Reader) -> DatasetBody:
    """`imports` has the newest hundred; `GET /datasets/{dataset_id}/imports` has all."""
    dataset = dataset_for(services, token, dataset_id)
    notice_newest_uploads(services, dataset.id)
    return _dataset_answer(services, dataset.id)


@router.patch(
    "/datasets/{dataset_id}",
    operation_id="set-dataset-schema",
    summary="Set a dataset's schema",
    tags=["datasets"],
    response_model_exclude_unset=True,
    responses=responses(400, 401, 403, 404, 409, 413, 415),
)
def patch_dataset(dataset_id: DatasetId, body: DatasetPatchBody, services: WithServices, token: Writer) -> DatasetBody:
    """The first schema releases every import that waits in `pending_schema`, in upload order.

    Another one starts a migration, `migration_job_id`, unless there is nothing to migrate.
    """
    dataset = dataset_for(services, token, dataset_id)
    notice_uploads_before(services, dataset.id)
    published = publish_schema(services.db, dataset.id, body.schema_)
    services.wake_worker()
    answer = _dataset_answer(services, dataset.id)
    return answer if published.migration_id is None else with_migration(answer, published.migration_id)


@router.get(
    "/datasets/{dataset_id}/status",
    operation_id="get-dataset-status",
    summary="Get a dataset's status",
    tags=["datasets"],
    responses=responses(401, 403, 404),
)
def get_dataset_status(dataset_id: DatasetId, services: WithServices, token: Reader) -> DatasetStatusBody:
    dataset = dataset_for(services, token, dataset_id)
    notice_newest_uploads(services, dataset.id)
    with services.db.read() as tx:
        return status_body(dataset, datasets.count_states(tx, dataset.id))


@router.get(
    "/datasets/{dataset_id}/upload-url/{filename:anything}",
    operation_id="get-dataset-upload-url",
    summary="Get an upload URL",
    tags=["imports"],
    status_code=201,
    responses=responses(400, 401, 403, 404),
)
def get_upload_url(
    dataset_id: DatasetId,
    filename: Annotated[
        str, Path(description="The file's name, ending in .csv or .jsonl.", json_schema_extra=FILE_NAME)
    ],
    request: Request,
    services: WithServices,
    token: Writer,
) -> UploadUrlBody:
    """Creates an import job that waits for its file."""
    dataset = dataset_for(services, token, dataset_id)
    offer = offer_upload(services, dataset.id, filename)
    # Our own upload route's address is known here alone; an object store's URL has its host already.
    base_url = "" if "://" in offer.url else (services.settings.base_url or str(request.base_url)).rstrip("/")
    return UploadUrlBody(
        dataset_id=dataset.id,
        import_id=offer.job.id,
        upload_url=base_url + offer.url,
        http_method="PUT",
        content_type=offer.job.content_type,
        expires_at=offer.job.expires_at,
        file_key=offer.job.file_key,
    )


@router.get(
    "/datasets/{dataset_id}/imports",
    operation_id="list-dataset-imports",
    summary="List a dataset's imports",
    tags=["imports"],
    response_model_exclude_unset=True,
    responses=responses(400, 401, 403, 404),
)
def get_imports(
    dataset_id: DatasetId, services: WithServices, token: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[ImportBody]:
    """Newest first. A page has fewer than `limit` where its errors would make it too large."""
    dataset = dataset_for(services, token, dataset_id)
    with services.db.read() as tx:
        found, following = jobs.page_of_imports(tx, dataset.id, limit=limit, before=id_of_cursor(cursor))
    return Page(results=[import_body(job) for job in found], next_cursor=None if following is None else str(following))


@router.get(
    "/datasets/{dataset_id}/imports/{import_id}",
    operation_id="get-dataset-import-status",
    summary="Get an import's status",
    tags=["imports"],
    response_model_exclude_unset=True,
    responses=responses(400, 401, 403, 404),
)
async def get_import_status(
    dataset_id: DatasetId, import_id: ImportId, services: WithServices, token: Reader, wait: WaitSeconds = 0
) -> ImportBody:
    """Poll this until the status is `complete`, `partial`, `failed` or `pending_schema`, or let `wait` do it."""
    # A coroutine, since a thread for each waiting client would leave none for the others.
    deadline = time.monotonic() + wait
    pause = FIRST_POLL_SECONDS
    job = await run_in_threadpool(_find_import, services, token, dataset_id, import_id)
    while job.state not in SETTLED and (left := deadline - time.monotonic()) > 0 and not services.is_stopping.is_set():
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)
        job = await run_in_threadpool(look_again, services, job)
    return import_body(job)


@router.post(
    "/datasets/{dataset_id}/imports/{import_id}/cancel",
    operation_id="cancel-dataset-import",
    summary="Cancel an import",
    tags=["imports"],
    response_model_exclude_unset=True,
    responses=responses(401, 403, 404, 409),
)
def post_cancel(dataset_id: DatasetId, import_id: ImportId, services: WithServices, token: Writer) -> ImportBody:
    """Ends an import that has not ended yet as `failed`; none of its records will be seen."""
    dataset = dataset_for(services, token, dataset_id)
    return import_body(cancel_import(services.db, dataset.id, import_id_of(import_id)))


@router.get(
    "/datasets/{dataset_id}/datapoints",
    operation_id="list-dataset-datapoints",
    summary="List a dataset's records",
    tags=["records"],
    responses=responses(400, 401, 403, 404),
)
def get_datapoints(
    dataset_id: DatasetId, services: WithServices, token: Reader, limit: Limit = 100, cursor: RowCursor = None
) -> Page[DatapointBody]:
    """The accepted records in a stable order: what later imports add comes after what is there."""
    dataset = dataset_for(services, token, dataset_id)
    page = read_datapoints(services.db, services.storage, dataset.id, from_row=row_of_cursor(cursor), limit=limit)
    return Page(
        results=[datapoint_body(datapoint) for datapoint in page.datapoints],
        next_cursor=None if page.next_row is None else str(page.next_row),
    )


def _dataset_answer(services: Services, dataset_id: UUID) -> DatasetBody:
    with services.db.read() as tx:
        dataset = require_dataset(datasets.get_dataset(tx, dataset_id))
        return dataset_body(dataset, jobs.list_imports(tx, dataset_id, limit=IMPORTS_SHOWN, before=None))


def _find_import(services: Services, token: Token, dataset_id: str, import_id: str) -> Import:
    return noticed(services, import_for(services, token, dataset_id, import_id))
