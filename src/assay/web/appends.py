"""The route that takes a few records in a request's body and answers at once what became of each."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from assay.appending import Appended, append_records
from assay.errors import ErrorCode, Invalid
from assay.web.auth import Writer, dataset_for
from assay.web.errors import responses, wrong_content_type
from assay.web.parameters import BASE_PATH, DatasetId
from assay.web.services import WithServices
from assay.wire import AppendBody, ImportErrorBody

router = APIRouter(prefix=BASE_PATH)

CONTENT_TYPES = ("application/x-ndjson", "application/jsonl", "application/jsonlines")


async def _bytes_of(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/datasets/{dataset_id}/datapoints",
    operation_id="append-dataset-datapoints",
    summary="Append records",
    tags=["records"],
    responses=responses(400, 401, 403, 404, 409, 413, 503),
    openapi_extra={
        "requestBody": {"required": True, "content": {name: {"schema": {"type": "string"}} for name in CONTENT_TYPES}}
    },
)
def post_datapoints(
    dataset_id: DatasetId,
    request: Request,
    services: WithServices,
    token: Writer,
    body: Annotated[bytes, Depends(_bytes_of)],
) -> AppendBody:
    """JSON Lines, at most 1,000 records, checked and added at once. Repeating a body writes nothing twice."""
    dataset = dataset_for(services, token, dataset_id)
    _check_content_type(request.headers.get("content-type", ""))
    appended = append_records(
        services.db,
        services.storage,
        dataset.id,
        body,
        known_ids=services.known_ids,
        record_limit_bytes=services.settings.record_limit_bytes,
    )
    return _append_body(appended)


def _check_content_type(given: str) -> None:
    essence = given.partition(";")[0].strip().lower()
    if essence in CONTENT_TYPES:
        return
    wanted = f"Send records as JSON Lines, with 'Content-Type: {CONTENT_TYPES[0]}'"
    if essence == "text/csv":
        message = f"CSV can't be appended. {wanted}, or upload the CSV as a file."
        raise Invalid(message, code=ErrorCode.CONTENT_TYPE_MISMATCH)
    raise wrong_content_type(wanted, given)


def _append_body(appended: Appended) -> AppendBody:
    # This API counts appended records from one.
    errors = [
        ImportErrorBody(record_index=error.record_index + 1, field=error.field, reason=error.reason)
        for error in appended.errors
    ]
    return AppendBody(accepted=appended.accepted, rejected=len(errors), errors=errors)
