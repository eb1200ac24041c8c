"""`assay import` and `assay cancel`: files, patterns or standard input into a dataset of a service, and what became of
them."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from assay.cli_client import explained, find_dataset, find_dataset_if_there, json_option, open_client, service_options
from assay.cli_output import (
    INTERRUPTED,
    SOME_REJECTED,
    UNFINISHED,
    UNUSABLE,
    give_up,
    print_json,
    print_table,
    progress_bar,
    read_schema_file,
    say,
    shown,
)
from assay.cli_sources import NamedSource, sources_of

if TYPE_CHECKING:
    from assay.client import Client
    from assay.client_calls import Progress
    from assay.wire import DatasetBody, ImportBody

SHOWN_ERRORS = 10
EXIT_CODES = {"complete": 0, "partial": SOME_REJECTED, "failed": UNUSABLE}


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--dataset", "dataset_name", required=True, help="The dataset, by id or name.")
@click.option("--schema", type=click.Path(path_type=Path), help="Create the dataset with this schema if it is missing.")
@click.option("--workspace", help="Where it is created; the token's own, which is the default.")
@click.option("--filename", help="What the one file is called, as for '-': ends in .csv or .jsonl.")
@click.option("--no-wait", is_flag=True, help="Return once the files are uploaded.")
@json_option
@service_options
def import_files(
    files: tuple[str, ...],
    dataset_name: str,
    schema: Path | None,
    workspace: str | None,
    filename: str | None,
    no_wait: bool,
    as_json: bool,
    base_url: str,
) -> None:
    """Import files into a dataset, and show what became of them.

    FILE is a .csv, .jsonl or .ndjson (sent as .jsonl), a pattern, or '-' for standard input. All files are looked at
    before the first is sent. Columns and keys that the schema doesn't name are told of on standard error.

    Exit code: 0 all records accepted, 1 some rejected, 2 a file could not be imported, 3 an import has not ended (with
    --no-wait that is 0), 130 interrupted.
    """
    jobs: list[ImportBody] = []
    try:
        with open_client(base_url) as client:
            sources = sources_of(files, filename=filename)
            value = None if schema is None else read_schema_file(schema)
            target = _find_or_create(client, dataset_name, value, workspace=workspace)
            for source in sources:
                jobs.append(_import_one(client, target, source, wait=not no_wait))
                if not as_json:
                    _print_import(target, jobs[-1])
    finally:
        # What was imported is told even when a later file fails, and that it is nothing when none could be.
        if as_json:
            print_json([job.model_dump(mode="json", exclude_unset=True) for job in jobs])
    sys.exit(max(EXIT_CODES.get(job.status, 0 if no_wait else UNFINISHED) for job in jobs))


def _find_or_create(client: "Client", name: str, schema: Any | None, *, workspace: str | None) -> "DatasetBody":
    from assay.client_faults import MigrationUnknown

    if schema is None:
        return find_dataset(client, name)
    named = find_dataset_if_there(client, name)
    if named is None:
        return client.create_dataset(name, schema=schema, workspace_id=workspace)
    if named.schema_ is None:
        try:
            return client.set_schema(named.id, schema)
        except MigrationUnknown:  # its first schema makes none
            return client.dataset(named.id)
    if not _is_same(named, schema):
        say(
            f"The dataset {named.name!r} is there, with another schema, which is kept: "
            f"'assay dataset schema {named.id} FILE' changes it.",
            err=True,
        )
    return named


def _is_same(dataset: "DatasetBody", schema: Any) -> bool:
    from pydantic import ValidationError

    from assay.wire import SchemaBody

    try:
        return SchemaBody.model_validate(schema) == dataset.schema_
    except ValidationError:
        return False


def _import_one(client: "Client", target: "DatasetBody", source: NamedSource, *, wait: bool) -> "ImportBody":
    from assay.client_faults import ApiError, ServiceUnreachable, SourceChanged

    begun: list[UUID] = []
    try:
        with progress_bar(shown(source.name)) as show, _warnings_told():

            def on_progress(progress: "Progress") -> None:
                begun[:] = [progress.import_id]
                show(progress.stage, progress.done_bytes, progress.total_bytes)

            opened = sys.stdin.buffer if source.is_standard_input else Path(source.path)
            return client.import_file(target.id, opened, filename=source.name, wait=wait, progress=on_progress)
    except KeyboardInterrupt:
        give_up(_interrupted(client, target, begun), code=INTERRUPTED)
    except SourceChanged as error:
        give_up(str(error))
    except (ApiError, ServiceUnreachable) as error:
        give_up(f"{source.name}: {explained(error)}")


@contextmanager
def _warnings_told() -> Iterator[None]:
    """What the client warns of is told in a line, before the upload begins."""

    def tell(message: Warning | str, *_: object, **__: object) -> None:
        say(f"assay: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = tell
        yield


def _interrupted(client: "Client", target: "DatasetBody", begun: list[UUID]) -> str:
    """What Ctrl-C left behind: an upload that was cut is cancelled, an import that runs goes on."""
    from assay.client_faults import ApiError, ServiceUnreachable

    if not begun:
        return "Interrupted before the upload began: nothing was imported."
    look = f"'assay dataset show {target.id}' shows it"
    try:
        job = client.import_status(target.id, begun[0])
        if job.status == "uninitialised":
            client.cancel_import(target.id, job.import_id)
            return f"Interrupted while uploading: import {job.import_id} is cancelled, nothing of it was imported."
    except (ApiError, ServiceUnreachable, KeyboardInterrupt):
        return f"Interrupted. What became of import {begun[0]} is not known; {look}."
    if job.status in EXIT_CODES:
        return f"Interrupted. Import {job.import_id} had ended before, {job.status}; {look}."
    cancel = f"'assay cancel {target.id} {job.import_id}' ends it"
    return f"Interrupted. Import {job.import_id} is {job.status} and goes on without you; {look}, {cancel}."


def _print_import(target: "DatasetBody", job: "ImportBody") -> None:
    accepted, rejected = job.accepted_count or 0, job.rejected_count or 0
    duplicates = f" ({job.duplicate_count:,} of them duplicates)" if job.duplicate_count else ""
    if job.status in ("complete", "partial"):
        outcome = f"{accepted:,} accepted{duplicates}, {rejected:,} rejected"
    elif job.status == "pending_schema":
        outcome = f"the dataset has no schema; 'assay dataset schema {target.id} SCHEMA.json' lets the import go on"
    else:
        outcome = job.reason or "not ended yet"
    say(f"{job.filename}: {job.status}: {outcome}  [import {job.import_id}]")
    errors = job.errors or []
    if errors:
        click.echo("")
        rows = [(error.record_index, error.field, error.reason) for error in errors[:SHOWN_ERRORS]]
        print_table(["RECORD", "FIELD", "REASON"], rows, right=[0])
        if rejected > SHOWN_ERRORS:
            click.echo(f"and {rejected - SHOWN_ERRORS:,} more")
        say(f"\n'assay errors {target.id} {job.import_id} --rejected FILE' saves the rejected records to mend.\n")


@click.command()
@click.argument("dataset_name", metavar="DATASET")
@click.argument("import_id", metavar="IMPORT")
@service_options
def cancel(dataset_name: str, import_id: str, base_url: str) -> None:
    """Cancel an import that has not ended: nothing of it is imported."""
    with open_client(base_url) as client:
        target = find_dataset(client, dataset_name)
        job = client.cancel_import(target.id, import_id)
    say(f"{job.filename}: cancelled, nothing of it was imported  [import {job.import_id}]")
