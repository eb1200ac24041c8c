"""The pages of datasets: the list, a new one, one of them, and its end."""

import logging
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from assay.db import datasets, jobs, migrating, overviews
from assay.db.datasets import Dataset
from assay.deleting import delete_dataset
from assay.errors import Invalid, InvalidFields, Unavailable
from assay.jobs import State
from assay.log import with_cause
from assay.migrations import Migration
from assay.operations import create_dataset, require_dataset
from assay.reading import read_datapoints
from assay.schema import CONSTRAINTS, parse_schema, schema_to_json, stored_schema
from assay.storage.local import LocalStorage
from assay.web.auth import dataset_for
from assay.web.bodies import status_body
from assay.web.console.cells import Table, table_of
from assay.web.console.kept_forms import STALE, KeptForm
from assay.web.console.pages import render
from assay.web.console.schema_text import read_schema_text
from assay.web.console.sessions import Form, Reading, Writing, check_writer, text_of
from assay.web.exports import Format, FormulaSafe, get_export
from assay.web.parameters import Cursor, DatasetId, id_of_cursor
from assay.web.services import Services, WithServices

log = logging.getLogger("assay.web")
router = APIRouter(include_in_schema=False)

DATASETS_A_PAGE = 50
IMPORTS_SHOWN = 8
RECORDS_SHOWN = 5
IMPORTS_A_PAGE = 50
NAME_CHARACTERS = 255


@dataclass(frozen=True)
class SchemaRow:
    """A field of a schema, as a table shows it."""

    key: str
    label: str | None
    type: str
    is_required: bool
    constraints: str


@router.get("/")
def get_datasets(services: WithServices, visitor: Reading, cursor: Cursor = None) -> Response:
    with services.db.read() as tx:
        workspace_id = visitor.token.workspace_id
        found = datasets.list_datasets(tx, workspace_id, limit=DATASETS_A_PAGE + 1, before=id_of_cursor(cursor))
        shown = found[:DATASETS_A_PAGE]
        newest = overviews.list_newest_imports(tx, [dataset.id for dataset in shown])
    next_cursor = str(shown[-1].id) if len(found) > DATASETS_A_PAGE else None
    return render(
        "datasets.html", visitor, datasets=shown, newest=newest, is_first_page=cursor is None, next_cursor=next_cursor
    )


@router.get("/datasets/new")
def get_new_dataset(visitor: Reading) -> Response:
    check_writer(visitor)
    return render("dataset_new.html", visitor, name="", schema_text="", faults=[])


@router.post("/datasets")
def post_dataset(services: WithServices, visitor: Reading, posted: KeptForm) -> Response:
    check_writer(visitor)
    name, schema_text = text_of(posted.form, "name").strip(), text_of(posted.form, "schema")
    if posted.refusal is not None:
        return render("dataset_new.html", visitor, status=403, name=name, schema_text=schema_text, faults=[STALE])
    faults = []
    if not 1 <= len(name) <= NAME_CHARACTERS or "\0" in name:
        faults.append(f"Name: a dataset's name has 1 to {NAME_CHARACTERS} characters.")
    try:
        schema = read_schema_text(schema_text) if schema_text.strip() else None
        if schema is not None:
            parse_schema(schema)
    except Invalid as error:
        faults += faults_of(error)
    if faults:
        return render("dataset_new.html", visitor, status=400, name=name, schema_text=schema_text, faults=faults)
    token = visitor.token
    dataset = create_dataset(services.db, token.workspace_id, name=name, created_by=token.name, schema=schema)
    return RedirectResponse(f"/datasets/{dataset.id}", status_code=303)


def faults_of(error: Invalid) -> list[str]:
    """What is wrong, a sentence each, with where it is wrong."""
    if isinstance(error, InvalidFields):
        return [f"{field}: {text}" for field, texts in error.faults.items() for text in texts]
    return [error.message]


@router.get("/datasets/{dataset_id}")
def get_dataset(dataset_id: DatasetId, services: WithServices, visitor: Reading) -> Response:
    dataset = dataset_for(services, visitor.token, dataset_id)
    # What is read after the imports has the records of all that have ended: a page with none under way is the last.
    with services.db.read() as tx:
        imports = jobs.list_imports(tx, dataset.id, limit=IMPORTS_SHOWN, before=None)
        dataset = require_dataset(datasets.get_dataset(tx, dataset.id))
    records, records_fault = _first_records(services, dataset)
    return render(
        "dataset.html",
        visitor,
        **dataset_context(services, dataset, tab="overview"),
        imports=imports,
        fields=schema_rows(dataset),
        records=records,
        records_fault=records_fault,
    )


def _first_records(services: Services, dataset: Dataset) -> tuple[Table | None, str]:
    """The records, or why they can't be read: the rest of the page is there all the same."""
    try:
        page = read_datapoints(services.db, services.storage, dataset.id, from_row=0, limit=RECORDS_SHOWN)
    except Unavailable as error:
        log.warning("the records of dataset %s can't be shown: %s", dataset.id, with_cause(error))
        return None, error.message
    return table_of(page.datapoints, dataset.schema), ""


@router.get("/datasets/{dataset_id}/delete")
def get_delete(dataset_id: DatasetId, services: WithServices, visitor: Reading) -> Response:
    """Asks first: the dataset's name has to be typed."""
    check_writer(visitor)
    dataset = dataset_for(services, visitor.token, dataset_id)
    return render("dataset_delete.html", visitor, **dataset_context(services, dataset, tab=""), faults=[])


@router.post("/datasets/{dataset_id}/delete")
def post_delete(dataset_id: DatasetId, services: WithServices, visitor: Writing, form: Form) -> Response:
    dataset = dataset_for(services, visitor.token, dataset_id)
    # A browser shows runs of white space as one space, so that is what people see and type.
    if text_of(form, "name").split() != dataset.name.split():
        faults = ["What was typed is not the dataset's name."]
        context = dataset_context(services, dataset, tab="")
        return render("dataset_delete.html", visitor, status=400, **context, faults=faults)
    delete_dataset(services.db, dataset.id)
    return RedirectResponse("/", status_code=303)


@router.get("/datasets/{dataset_id}/imports")
def get_imports(dataset_id: DatasetId, services: WithServices, visitor: Reading, cursor: Cursor = None) -> Response:
    dataset = dataset_for(services, visitor.token, dataset_id)
    with services.db.read() as tx:
        shown, next_cursor = jobs.page_of_imports(tx, dataset.id, limit=IMPORTS_A_PAGE, before=id_of_cursor(cursor))
        dataset = require_dataset(datasets.get_dataset(tx, dataset.id))
    return render(
        "imports.html",
        visitor,
        **dataset_context(services, dataset, tab="imports"),
        imports=shown,
        is_first_page=cursor is None,
        next_cursor=next_cursor,
    )


@router.get("/datasets/{dataset_id}/export")
def get_export_file(
    dataset_id: DatasetId,
    services: WithServices,
    visitor: Reading,
    format: Format = "parquet",
    formula_safe: FormulaSafe = False,
) -> Response:
    return get_export(dataset_id, services, visitor.token, format, formula_safe)


def dataset_context(services: Services, dataset: Dataset, *, tab: str) -> dict[str, Any]:
    """What every page of a dataset shows above itself."""
    with services.db.read() as tx:
        states = datasets.count_states(tx, dataset.id)
        import_count = overviews.count_imports(tx, dataset.id)
        migration: Migration | None = None
        if dataset.migration_id is not None:
            migration = migrating.get_migration(tx, dataset.id, dataset.migration_id)
    return {
        "dataset": dataset,
        "tab": tab,
        "dataset_status": (status := status_body(dataset, states).status),
        "status_label": _status_label(status, states),
        "waiting_count": states.get(State.PENDING_SCHEMA, 0),
        "import_count": import_count,
        "migration": migration,
        "uploads_here": isinstance(services.storage, LocalStorage),
    }


def _status_label(status: str, states: dict[State, int]) -> str:
    """The API's word; for a dataset without records what it waits for, if it does."""
    if status != "UNINITIALISED":
        return status.capitalize()
    if states.get(State.PENDING_SCHEMA):
        return "Waiting for a schema"
    return "Waiting for a file" if states.get(State.UNINITIALISED) else "Empty"


def schema_rows(dataset: Dataset) -> list[SchemaRow]:
    """The fields of the dataset's schema; none while it has none."""
    if dataset.schema is None:
        return []
    schema = stored_schema(dataset.schema)
    given: Any = schema_to_json(schema)["fields"]
    return [
        SchemaRow(
            key=field.key,
            label=field.label,
            type=field.type,
            is_required=field.is_required(schema.strict),
            constraints=_constraints(given[field.key]),
        )
        for field in schema.fields
    ]


def _constraints(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(settings[name])}" for name in CONSTRAINTS if name in settings)


def _shown(constraint: object) -> str:
    return " | ".join(map(str, constraint)) if isinstance(constraint, list) else str(constraint)
