"""The page of a dataset's accepted records, as a table."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from assay.reading import read_datapoints
from assay.web.auth import dataset_for
from assay.web.console.cells import table_of
from assay.web.console.datasets import dataset_context
from assay.web.console.pages import render
from assay.web.console.sessions import Reading
from assay.web.parameters import DatasetId
from assay.web.services import WithServices

router = APIRouter(include_in_schema=False)

RECORDS_A_PAGE = 50

FirstRow = Annotated[int, Query(alias="from", ge=1, le=10**15, description="The first row shown, counted from 1.")]


@router.get("/datasets/{dataset_id}/records")
def get_records(dataset_id: DatasetId, services: WithServices, visitor: Reading, first: FirstRow = 1) -> Response:
    """From any record on: a table of ten thousand is walked in pages, or entered where one likes."""
    dataset = dataset_for(services, visitor.token, dataset_id)
    page = read_datapoints(services.db, services.storage, dataset.id, from_row=first - 1, limit=RECORDS_A_PAGE)
    last_start = max(1, (dataset.record_count - 1) // RECORDS_A_PAGE * RECORDS_A_PAGE + 1)
    return render(
        "records.html",
        visitor,
        **dataset_context(services, dataset, tab="records"),
        records=table_of(page.datapoints, dataset.schema, first=first),
        first=first,
        last=first - 1 + len(page.datapoints),
        previous_start=max(1, first - RECORDS_A_PAGE) if first > 1 else None,
        next_start=None if page.next_row is None else page.next_row + 1,
        last_start=last_start,
    )
