"""The pages of one import: how it stands while it runs, and what it found once it has ended."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from assay.db import datasets, jobs
from assay.db.rejection_parts import count_faults
from assay.errors import ErrorCode, NotFound
from assay.faulty_records import FaultFilter, FaultyPage, read_faulty_page
from assay.jobs import TERMINAL, Import, JobEvent, Kind, State
from assay.operations import cancel_import
from assay.web.auth import dataset_for
from assay.web.console.datasets import dataset_context
from assay.web.console.pages import render
from assay.web.console.sessions import Form, Reading, Visitor, Writing
from assay.web.parameters import Cursor, DatasetId, ImportId, import_for, noticed, row_of_cursor
from assay.web.rejections import get_rejected
from assay.web.services import Services, WithServices

router = APIRouter(include_in_schema=False)

FAULTS_A_PAGE = 50
BARS_SHOWN = 12

FilterText = Annotated[str | None, Query(max_length=20_000)]


@dataclass(frozen=True)
class Step:
    """A state that an import was in. `took` is None for the one that it is in."""

    state: State
    at: datetime
    took: timedelta | None
    reason: str | None
    attempt: int


@dataclass(frozen=True)
class Progress:
    """How far a running import is. The rest can't be told before anything was read."""

    percent: float
    bytes_a_second: float | None
    records_a_second: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class Bar:
    """A row of the chart of faults: `width` is in percent of the longest bar, `share` of all faults."""

    field: str
    reason: str
    count: int
    width: float
    share: float


@router.get("/datasets/{dataset_id}/imports/{import_id}")
def get_import(
    dataset_id: DatasetId,
    import_id: ImportId,
    services: WithServices,
    visitor: Reading,
    field: FilterText = None,
    reason: FilterText = None,
    cursor: Cursor = None,
) -> Response:
    job = _find(services, visitor, dataset_id, import_id)
    dataset = dataset_for(services, visitor.token, dataset_id)
    chosen = FaultFilter(field=field or None, reason=reason or None)
    faults = None
    if job.state in TERMINAL and job.counts.rejected:
        faults = _faults(services, job, chosen, cursor=cursor)
    return render(
        "import.html",
        visitor,
        **dataset_context(services, dataset, tab="imports"),
        **_standing(services, job),
        bars=bars_of(job),
        **_kinds(services, job),
        reasons=sorted({row.reason for row in job.error_summary if field in (None, "", row.field)}),
        by_field=_by_field(job).most_common(),
        chosen=chosen,
        faults=faults,
        cursor=cursor,
        bars_shown=BARS_SHOWN,
    )


@router.get("/datasets/{dataset_id}/imports/{import_id}/live")
def get_live(dataset_id: DatasetId, import_id: ImportId, services: WithServices, visitor: Reading) -> Response:
    """The piece of the page that changes while the import runs; a header tells when there is a new page to load."""
    job = _find(services, visitor, dataset_id, import_id)
    headers = {"X-Import-State": job.state.value}
    return render("_import_live.html", visitor, headers=headers, **_standing(services, job))


@router.post("/datasets/{dataset_id}/imports/{import_id}/cancel")
def post_cancel(
    dataset_id: DatasetId, import_id: ImportId, services: WithServices, visitor: Writing, form: Form
) -> Response:
    job = _find(services, visitor, dataset_id, import_id)
    cancel_import(services.db, job.dataset_id, job.id)
    return RedirectResponse(f"/datasets/{job.dataset_id}/imports/{job.id}", status_code=303)


@router.get("/datasets/{dataset_id}/imports/{import_id}/rejected")
def get_rejected_file(dataset_id: DatasetId, import_id: ImportId, services: WithServices, visitor: Reading) -> Response:
    return get_rejected(dataset_id, import_id, services, visitor.token)


def _find(services: Services, visitor: Visitor, dataset_id: str, import_id: str) -> Import:
    job = import_for(services, visitor.token, dataset_id, import_id)
    if job.kind is not Kind.IMPORT:
        raise NotFound("The dataset has no such import.", code=ErrorCode.UNKNOWN_IMPORT)
    return noticed(services, job)


def _standing(services: Services, job: Import) -> dict[str, Any]:
    with services.db.read() as tx:
        events, now = jobs.list_events(tx, job.id), tx.now()
    return {"job": job, "steps": steps_of(events), "progress": progress_of(job, now=now), "now": now}


def _kinds(services: Services, job: Import) -> dict[str, Any]:
    """How many faults there are, how many of them are of kinds that the summary leaves out, and in which fields.

    Where it leaves some out, any field of the schema may have them.
    """
    fields = {row.field for row in job.error_summary}
    with services.db.read() as tx:
        told_count = sum(row.count for row in job.error_summary)
        fault_count = max(told_count, count_faults(tx, job.id))
        untold_count = fault_count - told_count
        if untold_count and job.schema_version is not None:
            fields |= datasets.get_schema(tx, job.dataset_id, version=job.schema_version)["fields"].keys()
    return {"fault_count": fault_count, "untold_count": untold_count, "fields": sorted(fields)}


def _faults(services: Services, job: Import, chosen: FaultFilter, *, cursor: str | None) -> FaultyPage:
    return read_faulty_page(
        services.db,
        services.storage,
        job,
        chosen,
        from_fault=row_of_cursor(cursor),
        limit=FAULTS_A_PAGE,
        record_limit_bytes=services.settings.record_limit_bytes,
    )


def steps_of(events: list[JobEvent]) -> list[Step]:
    """The states in their order, each with how long it lasted."""
    ends = [event.at for event in events[1:]]
    took = [end - event.at for event, end in zip(events, ends, strict=False)]
    return [
        Step(state=event.to_state, at=event.at, took=lasted, reason=event.reason, attempt=event.attempt)
        for event, lasted in zip(events, [*took, None], strict=False)
    ]


def progress_of(job: Import, *, now: datetime) -> Progress | None:
    """Of an import that is running; None for any other."""
    if job.state is not State.PROCESSING or not job.size_bytes:
        return None
    read = job.counts.processed_offset
    seconds = 0.0 if job.processing_started_at is None else (now - job.processing_started_at).total_seconds()
    rate = read / seconds if read and seconds > 0 else None
    records = job.counts.accepted + job.counts.rejected
    return Progress(
        percent=min(100.0, 100 * read / job.size_bytes),
        bytes_a_second=rate,
        records_a_second=records / seconds if rate is not None else None,
        seconds_left=None if rate is None else (job.size_bytes - read) / rate,
    )


def bars_of(job: Import) -> list[Bar]:
    """The chart of the import's faults, the longest bar first."""
    rows = job.error_summary
    longest = max((row.count for row in rows), default=1)
    total = sum(row.count for row in rows) or 1
    return [
        Bar(row.field, row.reason, row.count, width=100 * row.count / longest, share=100 * row.count / total)
        for row in rows
    ]


def _by_field(job: Import) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in job.error_summary:
        counts[row.field] += row.count
    return counts
