"""The commands that talk to a running service: `dataset`, `import`, `errors`, `export`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

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
)

if TYPE_CHECKING:
    from assay.client import Client
    from assay.client_calls import Progress
    from assay.wire import DatasetBody, ImportBody

Command = TypeVar("Command", bound=Callable[..., Any])

SHOWN_ERRORS = 10
EXIT_CODES = {"complete": 0, "partial": SOME_REJECTED, "failed": UNUSABLE}


def service_options(command: Command) -> Command:
    """Where the service is, and the token for it."""
    command = click.option("--token", envvar="ASSAY_TOKEN", show_envvar=True, help="The API token.")(command)
    return click.option(
        "--base-url",
        envvar="ASSAY_URL",
        show_envvar=True,
        default="http://127.0.0.1:8000",
        show_default=True,
        help="The service's address.",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@contextmanager
def open_client(base_url: str, token: str | None) -> Iterator["Client"]:
    """A client whose faults end the command with one sentence."""
    from assay.client import Client
    from assay.client_calls import ApiError, ServiceUnreachable

    if not token:
        give_up("No token: set ASSAY_TOKEN, or give --token. 'assay token create' makes one, beside the service.")
    try:
        with Client(base_url, token) as client:
            yield client
    except ApiError as error:
        request = f" (request {error.request_id})" if error.request_id else ""
        give_up(f"{error}{request}")
    except ServiceUnreachable as error:
        give_up(f"{error} 'assay serve' starts one; --base-url says where it is.")
    except OSError as error:
        give_up(f"Can't read or write {error.filename or 'the file'}: {error.strerror or error}.")


def find_dataset(client: "Client", text: str) -> "DatasetBody":
    """The dataset of that id, or the newest of that name."""
    from assay.ids import parse_id

    if parse_id(text) is not None:
        return client.dataset(text)
    named = next((dataset for dataset in client.datasets() if dataset.name == text), None)
    if named is None:
        give_up(
            f"There is no dataset named {text!r}. 'assay dataset list' shows them; 'assay dataset create' makes one."
        )
    return named


@click.group()
def dataset() -> None:
    """Datasets: list, create, show, change and delete them."""


@dataset.command("list")
@json_option
@service_options
def dataset_list(as_json: bool, base_url: str, token: str | None) -> None:
    """List the workspace's datasets, newest first."""
    with open_client(base_url, token) as client:
        found = list(client.datasets())
    if as_json:
        print_json([body.model_dump(mode="json", by_alias=True, exclude={"imports"}) for body in found])
    elif not found:
        click.echo("No datasets yet. 'assay dataset create NAME --schema SCHEMA.json' makes one.")
    else:
        rows = [
            (str(body.id), body.name, body.total_datapoint_count, f"{body.created_at:%Y-%m-%d %H:%M}") for body in found
        ]
        print_table(["ID", "NAME", "RECORDS", "CREATED"], rows, right=[2])


@dataset.command("create")
@click.argument("name")
@click.option("--schema", type=click.Path(path_type=Path), help="The schema, as a JSON file; may be set later.")
@click.option("--workspace", default="default", show_default=True)
@json_option
@service_options
def dataset_create(
    name: str, schema: Path | None, workspace: str, as_json: bool, base_url: str, token: str | None
) -> None:
    """Create a dataset; prints its id."""
    value = None if schema is None else read_schema_file(schema)
    with open_client(base_url, token) as client:
        made = client.create_dataset(name, schema=value, workspace_id=workspace)
    if as_json:
        print_json(made.model_dump(mode="json", by_alias=True))
    else:
        click.echo(str(made.id))


@dataset.command("show")
@click.argument("dataset_name", metavar="DATASET")
@json_option
@service_options
def dataset_show(dataset_name: str, as_json: bool, base_url: str, token: str | None) -> None:
    """Show a dataset (by id or name), its schema and its newest imports."""
    with open_client(base_url, token) as client:
        found = client.dataset(find_dataset(client, dataset_name).id)
        status = client.dataset_status(found.id)
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return
    click.echo(f"{found.name}  {found.id}\n{status}, {found.total_datapoint_count:,} records\n")
    if found.schema_ is None:
        click.echo("No schema yet: 'assay dataset schema' sets one.")
    else:
        fields = [(key, field.type, field.label) for key, field in found.schema_.fields.items()]
        print_table(["FIELD", "TYPE", "LABEL"], fields)
    if found.imports:
        click.echo("")
        print_table(
            ["IMPORT", "FILE", "STATUS", "ACCEPTED", "REJECTED", "CREATED"],
            [
                (
                    str(job.import_id),
                    job.filename,
                    job.status,
                    job.accepted_count,
                    job.rejected_count,
                    f"{job.created_at:%Y-%m-%d %H:%M}",
                )
                for job in found.imports
            ],
            right=[3, 4],
        )


@dataset.command("schema")
@click.argument("dataset_name", metavar="DATASET")
@click.argument("schema", type=click.Path(path_type=Path))
@service_options
def dataset_schema(dataset_name: str, schema: Path, base_url: str, token: str | None) -> None:
    """Set a dataset's schema from a JSON file. The first one releases the imports that wait for it."""
    value = read_schema_file(schema)
    with open_client(base_url, token) as client:
        client.set_schema(find_dataset(client, dataset_name).id, value)
    click.echo("The schema is set.")


@dataset.command("delete")
@click.argument("dataset_name", metavar="DATASET")
@click.option("--yes", is_flag=True, help="Don't ask.")
@service_options
def dataset_delete(dataset_name: str, yes: bool, base_url: str, token: str | None) -> None:
    """Delete a dataset with its imports, records and files."""
    with open_client(base_url, token) as client:
        found = find_dataset(client, dataset_name)
        if not yes:
            question = f"Delete {found.name!r} ({found.id}) with {found.total_datapoint_count:,} records, for good?"
            click.confirm(question, abort=True)
        client.delete_dataset(found.id)
    click.echo("Deleted.")


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--dataset", "dataset_name", required=True, help="The dataset, by id or name.")
@click.option("--schema", type=click.Path(path_type=Path), help="Create the dataset with this schema if it is missing.")
@click.option("--filename", help="What the file is called, for standard input ('-'): ends in .csv or .jsonl.")
@click.option("--no-wait", is_flag=True, help="Return once the files are uploaded.")
@json_option
@service_options
def import_files(
    files: tuple[str, ...],
    dataset_name: str,
    schema: Path | None,
    filename: str | None,
    no_wait: bool,
    as_json: bool,
    base_url: str,
    token: str | None,
) -> None:
    """Import files (.csv or .jsonl; '-' is standard input) into a dataset, and show what became of them.

    Exit code: 0 all records accepted, 1 some rejected, 2 a file could not be imported, 3 an import has not ended.
    """
    with open_client(base_url, token) as client:
        target = _find_or_create(client, dataset_name, schema)
        jobs = [
            _import_one(client, target, file, filename=filename, wait=not no_wait)
            for file in _expanded(files, filename)
        ]
        if as_json:
            print_json([job.model_dump(mode="json", exclude_unset=True) for job in jobs])
        else:
            for job in jobs:
                _print_import(target, job)
    sys.exit(0 if no_wait else max(EXIT_CODES.get(job.status, UNFINISHED) for job in jobs))


def _find_or_create(client: "Client", name: str, schema: Path | None) -> "DatasetBody":
    if schema is None:
        return find_dataset(client, name)
    named = next((found for found in client.datasets() if name in (found.name, str(found.id))), None)
    return named or client.create_dataset(name, schema=read_schema_file(schema))


def _expanded(files: tuple[str, ...], filename: str | None) -> list[str]:
    """Patterns are expanded here too, for shells that don't; a file with such a name is taken as it is."""
    found: list[str] = []
    for text in files:
        if text != "-" and not Path(text).exists() and any(letter in text for letter in "*?["):
            path = Path(text)
            matches = sorted(str(match) for match in Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
            if not matches:
                give_up(f"No file matches {text!r}.")
            found += matches
        else:
            found.append(text)
    if "-" in found and not filename:
        give_up("Say what standard input is with --filename NAME.csv or NAME.jsonl.")
    return found


def _import_one(
    client: "Client", target: "DatasetBody", file: str, *, filename: str | None, wait: bool
) -> "ImportBody":
    source = sys.stdin.buffer if file == "-" else Path(file)
    name = filename if file == "-" else None
    known_before = {job.import_id for job in target.imports}
    try:
        with progress_bar(Path(name or file).name) as show:

            def on_progress(progress: "Progress") -> None:
                show(progress.stage, progress.done_bytes, progress.total_bytes)

            return client.import_file(target.id, source, filename=name, wait=wait, progress=on_progress)
    except KeyboardInterrupt:
        _tell_interrupted(client, target, known_before)
        sys.exit(INTERRUPTED)


def _tell_interrupted(client: "Client", target: "DatasetBody", known_before: set[Any]) -> None:
    """What Ctrl-C left behind: an upload that was cut is cancelled, an import that runs goes on."""
    job = next((job for job in client.imports(target.id) if job.import_id not in known_before), None)
    if job is None:
        give_up("Interrupted before the upload began: nothing was imported.", code=INTERRUPTED)
    if job.status == "uninitialised":
        client.cancel_import(target.id, job.import_id)
        give_up(
            f"Interrupted while uploading: import {job.import_id} is cancelled, nothing was imported.", code=INTERRUPTED
        )
    give_up(
        f"Interrupted. Import {job.import_id} is {job.status} and goes on without you; "
        f"'assay dataset show {target.id}' shows it.",
        code=INTERRUPTED,
    )


def _print_import(target: "DatasetBody", job: "ImportBody") -> None:
    accepted, rejected = job.accepted_count or 0, job.rejected_count or 0
    duplicates = f" ({job.duplicate_count:,} of them duplicates)" if job.duplicate_count else ""
    if job.status in ("complete", "partial"):
        outcome = f"{accepted:,} accepted{duplicates}, {rejected:,} rejected"
    elif job.status == "pending_schema":
        outcome = f"the dataset has no schema; 'assay dataset schema {target.id} SCHEMA.json' lets the import go on"
    else:
        outcome = job.reason or "not ended yet"
    click.echo(f"{job.filename}: {job.status}: {outcome}  [import {job.import_id}]")
    errors = job.errors or []
    if errors:
        click.echo("")
        rows = [(error.record_index, error.field, error.reason) for error in errors[:SHOWN_ERRORS]]
        print_table(["RECORD", "FIELD", "REASON"], rows, right=[0])
        if rejected > SHOWN_ERRORS:
            click.echo(f"and {rejected - SHOWN_ERRORS:,} more")
        click.echo(f"\n'assay errors {target.id} {job.import_id} --rejected FILE' saves the rejected records to mend.")


@click.command()
@click.argument("dataset_name", metavar="DATASET")
@click.argument("import_id", metavar="IMPORT")
@click.option("--rejected", type=click.Path(path_type=Path), help="Write the rejected records here, as they stood.")
@json_option
@service_options
def errors(
    dataset_name: str, import_id: str, rejected: Path | None, as_json: bool, base_url: str, token: str | None
) -> None:
    """Show every failing field of every rejected record of an import; with --json one object a line."""
    with open_client(base_url, token) as client, suppress(BrokenPipeError):
        target = find_dataset(client, dataset_name)
        if rejected is not None:
            client.download_rejected(target.id, import_id, rejected)
            click.echo(f"Rejected records, as they stood: {rejected}", err=True)
            return
        if not as_json:
            click.echo("RECORD\tFIELD\tREASON")
        for error in client.errors(target.id, import_id):
            line = json.dumps(error.model_dump(), ensure_ascii=False)
            click.echo(line if as_json else f"{error.record_index}\t{error.field}\t{error.reason}")


@click.command()
@click.argument("dataset_name", metavar="DATASET")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "jsonl", "csv", "arrow"]),
    help="Default: by the output's ending.",
)
@service_options
def export(dataset_name: str, output: Path, file_format: str | None, base_url: str, token: str | None) -> None:
    """Write all accepted records of a dataset to a file."""
    chosen = file_format or output.suffix.removeprefix(".").lower()
    if chosen not in ("parquet", "jsonl", "csv", "arrow"):
        give_up("The output must end in .parquet, .jsonl, .csv or .arrow, or name a --format.")
    with open_client(base_url, token) as client:
        client.export(find_dataset(client, dataset_name).id, output, format=chosen)
    click.echo(f"{output} ({output.stat().st_size:,} bytes)", err=True)
