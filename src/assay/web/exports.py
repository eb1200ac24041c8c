"""The route that sends all records of a dataset as one file."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from assay.errors import ErrorCode, Invalid
from assay.exporting import EXPORT_FORMATS, SPREADSHEET_CSV, export_records, take_snapshot
from assay.web.auth import Reader, dataset_for
from assay.web.downloads import binary, download
from assay.web.errors import responses
from assay.web.parameters import BASE_PATH, DatasetId
from assay.web.services import WithServices

router = APIRouter(prefix=BASE_PATH)

Format = Annotated[Literal["parquet", "jsonl", "csv", "arrow"], Query(description="The kind of file.")]
FormulaSafe = Annotated[
    bool, Query(description="CSV only: put an apostrophe before what a spreadsheet would take for a formula.")
]


@router.get(
    "/datasets/{dataset_id}/export",
    operation_id="export-dataset",
    summary="Export a dataset's records",
    tags=["records"],
    response_class=StreamingResponse,
    responses=responses(400, 401, 403, 404, 503)
    | {200: binary(*sorted({row.media_type for row in EXPORT_FORMATS.values()}))},
)
def get_export(
    dataset_id: DatasetId,
    services: WithServices,
    token: Reader,
    format: Format = "parquet",
    formula_safe: FormulaSafe = False,
) -> StreamingResponse:
    """All records that the dataset has at the moment of the request, in its stable order, streamed."""
    dataset = dataset_for(services, token, dataset_id)
    if formula_safe and format != "csv":
        message = "formula_safe is for format=csv; other formats have typed columns, and none of them has formulas."
        raise Invalid(message, code=ErrorCode.INVALID_REQUEST)
    chosen = SPREADSHEET_CSV if formula_safe else EXPORT_FORMATS[format]
    blocks = export_records(services.storage, take_snapshot(services.db, dataset.id), chosen)
    return download(blocks, media_type=chosen.media_type, name=dataset.name + chosen.extension)
