"""The page that edits a dataset's schema, with a preview of what it would accept of a sample."""

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from assay.db import migrating
from assay.db.datasets import Dataset
from assay.errors import Conflict, ErrorCode, Invalid
from assay.ids import parse_id
from assay.inferring import suggest_schema
from assay.jobs import Import
from assay.operations import publish_schema
from assay.previewing import Preview, find_newest_upload, preview, sample_of_text, sample_of_upload
from assay.schema import DatasetSchema, fingerprint_of, parse_schema, schema_to_json
from assay.web.auth import dataset_for
from assay.web.console.datasets import dataset_context, faults_of
from assay.web.console.kept_forms import STALE, KeptForm
from assay.web.console.pages import render
from assay.web.console.schema_changes import SchemaChange, risky_change
from assay.web.console.schema_text import read_schema_text, write_schema_text
from assay.web.console.sessions import Reading, Visitor, check_writer, text_of
from assay.web.parameters import DatasetId, notice_uploads_before
from assay.web.services import Services, WithServices

router = APIRouter(include_in_schema=False)

# What the page shows on request alone.
UNASKED: dict[str, Any] = {
    "previewed": None,
    "preview_faults": [],
    "is_suggested": False,
    "change": None,
    "overtaken_by": "",
}
START_TEXT = '{\n  "strict": true,\n  "fields": {\n    "name": {"type": "text"}\n  }\n}'


@router.get("/datasets/{dataset_id}/schema")
def get_schema(dataset_id: DatasetId, services: WithServices, visitor: Reading, migration: str = "") -> Response:
    """`migration` is the job that the last change has started, to be shown to its end."""
    dataset = dataset_for(services, visitor.token, dataset_id)
    if dataset.schema is not None:
        return _page(
            services, visitor, dataset, schema_text=write_schema_text(dataset.schema), migration_text=migration
        )
    newest = find_newest_upload(services.db, dataset.id)
    suggested = None
    if newest is not None:
        with suppress(Conflict):  # no schema can be told from the file; the preview says why
            suggested = suggest_schema(services.storage, newest, whole=False, is_wanted=lambda: True)
    text = START_TEXT if suggested is None else write_schema_text(schema_to_json(suggested))
    return _page(services, visitor, dataset, schema_text=text, is_suggested=suggested is not None)


@router.post("/datasets/{dataset_id}/schema")
def post_schema(dataset_id: DatasetId, services: WithServices, visitor: Reading, posted: KeptForm) -> Response:
    check_writer(visitor)
    dataset, form = dataset_for(services, visitor.token, dataset_id), posted.form
    if posted.refusal is not None:
        return _stale_page(services, visitor, dataset, form)
    schema_text, opened_with = text_of(form, "schema"), text_of(form, "opened_with")
    try:
        schema = read_schema_text(schema_text)
        change = _unconfirmed_change(services, dataset, parse_schema(schema), form)
        if change is not None:
            return _page(services, visitor, dataset, form=form, schema_text=schema_text, change=change)
        notice_uploads_before(services, dataset.id)
        published = publish_schema(services.db, dataset.id, schema, instead_of=opened_with or None)
    except Invalid as error:
        faults = faults_of(error)
        return _page(services, visitor, dataset, form=form, schema_text=schema_text, faults=faults, status=400)
    except Conflict as error:
        if error.code is ErrorCode.STATE_CHANGED:
            return _overtaken_page(services, visitor, dataset, form)
        faults = [error.message]
        return _page(services, visitor, dataset, form=form, schema_text=schema_text, faults=faults, status=409)
    services.wake_worker()
    if published.migration_id is not None:
        return RedirectResponse(f"/datasets/{dataset.id}/schema?migration={published.migration_id}", status_code=303)
    return RedirectResponse(f"/datasets/{dataset.id}", status_code=303)


def _unconfirmed_change(
    services: Services, dataset: Dataset, schema: DatasetSchema, form: FormData
) -> SchemaChange | None:
    """What has to be asked before the schema is saved; nothing where it was answered, or where saving is refused."""
    if text_of(form, "opened_with") not in ("", fingerprint_of(dataset.schema)) or dataset.migration_id is not None:
        return None
    newest = find_newest_upload(services.db, dataset.id)
    change = risky_change(services.storage, dataset, schema, newest)
    return None if change is None or text_of(form, "confirmed") == change.confirmation else change


def _stale_page(services: Services, visitor: Visitor, dataset: Dataset, form: FormData) -> Response:
    text = text_of(form, "schema")
    return _page(services, visitor, dataset, form=form, schema_text=text, faults=[STALE], status=403)


def _overtaken_page(services: Services, visitor: Visitor, dataset: Dataset, form: FormData) -> Response:
    """The editor with what was typed, beside the schema that somebody else has saved since it was opened."""
    dataset = dataset_for(services, visitor.token, str(dataset.id))
    return _page(
        services,
        visitor,
        dataset,
        form=form,
        schema_text=text_of(form, "schema"),
        opened_with=fingerprint_of(dataset.schema),
        overtaken_by=write_schema_text(dataset.schema),
        status=409,
    )


@router.post("/datasets/{dataset_id}/schema/preview")
def post_preview(
    dataset_id: DatasetId, request: Request, services: WithServices, visitor: Reading, posted: KeptForm
) -> Response:
    """What the schema would accept of the sample; the piece of the page alone where a script asks for it."""
    dataset, form = dataset_for(services, visitor.token, dataset_id), posted.form
    is_asked_by_script = request.headers.get("x-fragment") == "preview"
    if posted.refusal is not None:
        if is_asked_by_script:
            raise posted.refusal
        return _stale_page(services, visitor, dataset, form)
    schema_text = text_of(form, "schema")
    faults: list[str] = []
    previewed = None
    try:
        previewed = _preview(services, dataset, schema_text, form)
    except Invalid as error:
        faults = faults_of(error)
    if is_asked_by_script:
        return render("_preview.html", visitor, previewed=previewed, preview_faults=faults)
    return _page(
        services,
        visitor,
        dataset,
        form=form,
        schema_text=schema_text,
        previewed=previewed,
        preview_faults=faults,
    )


@router.post("/datasets/{dataset_id}/schema/suggest")
def post_suggest(dataset_id: DatasetId, services: WithServices, visitor: Reading, posted: KeptForm) -> Response:
    """Puts what the newest upload looks like into the editor; nothing is saved."""
    dataset, form = dataset_for(services, visitor.token, dataset_id), posted.form
    if posted.refusal is not None:
        return _stale_page(services, visitor, dataset, form)
    newest = find_newest_upload(services.db, dataset.id)
    try:
        if newest is None:
            raise Conflict("Nothing has been uploaded yet.", code=ErrorCode.NOT_UPLOADED)
        suggested = suggest_schema(services.storage, newest, whole=False, is_wanted=lambda: True)
    except Conflict as error:
        text = text_of(form, "schema")
        return _page(services, visitor, dataset, form=form, schema_text=text, preview_faults=[error.message])
    text = write_schema_text(schema_to_json(suggested))
    previewed = preview(suggested, sample_of_upload(services.storage, newest))
    from_upload = FormData([("opened_with", text_of(form, "opened_with"))])
    return _page(services, visitor, dataset, form=from_upload, schema_text=text, previewed=previewed, is_suggested=True)


def _preview(services: Services, dataset: Dataset, schema_text: str, form: FormData) -> Preview | None:
    schema = parse_schema(read_schema_text(schema_text))
    if text_of(form, "source") == "text":
        text = text_of(form, "sample")
        return preview(schema, sample_of_text(text, format=text_of(form, "format") or None)) if text.strip() else None
    newest = find_newest_upload(services.db, dataset.id)
    return None if newest is None else preview(schema, sample_of_upload(services.storage, newest))


def _page(
    services: Services,
    visitor: Visitor,
    dataset: Dataset,
    *,
    schema_text: str,
    form: FormData | None = None,
    migration_text: str = "",
    faults: list[str] | None = None,
    status: int = 200,
    **asked: Any,
) -> Response:
    newest: Import | None = find_newest_upload(services.db, dataset.id)
    source = "" if form is None else text_of(form, "source")
    opened_with = "" if form is None else text_of(form, "opened_with")
    context = dataset_context(services, dataset, tab="schema")
    migration_id = parse_id(migration_text)
    if context["migration"] is None and migration_id is not None:
        with services.db.read() as tx:
            context["migration"] = migrating.get_migration(tx, dataset.id, migration_id)
    return render(
        "schema.html",
        visitor,
        status=status,
        **UNASKED | {"opened_with": opened_with or fingerprint_of(dataset.schema)} | context | asked,
        schema_text=schema_text,
        is_posted=form is not None,
        is_saved=bool(migration_text),
        newest=newest,
        source=source or ("upload" if newest else "text"),
        sample="" if form is None else text_of(form, "sample"),
        format="" if form is None else text_of(form, "format"),
        faults=faults or [],
    )
