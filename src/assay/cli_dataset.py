"""`assay dataset`: a service's datasets, listed, created, shown, changed and deleted."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from assay.cli_client import find_dataset, json_option, open_client, service_options
from assay.cli_output import SOME_REJECTED, give_up, print_json, print_table, read_schema_file, say, shown

if TYPE_CHECKING:
    from assay.client import Client
    from assay.wire import DatasetBody, FieldBody, ImportBody

MIGRATION_POLL_SECONDS = 0.5
SHOWN_LOSSES = 10
ENDED = {"complete", "partial", "failed"}


@click.group()
def dataset() -> None:
    """Datasets: list, create, show, change and delete them."""


@dataset.command("list")
@json_option
@service_options
def dataset_list(as_json: bool, base_url: str) -> None:
    """List the workspace's datasets, newest first."""
    with open_client(base_url) as client:
        found = list(client.datasets())
    if as_json:
        print_json([_as_json(body, exclude={"imports"}) for body in found])
    elif not found:
        click.echo("No datasets yet. 'assay dataset create NAME --schema SCHEMA.json' makes one.")
    else:
        rows = [
            (str(body.id), body.name, body.total_datapoint_count, f"{body.created_at:%Y-%m-%d %H:%M}") for body in found
        ]
        print_table(["ID", "NAME", "RECORDS", "CREATED"], rows, right=[2])


def _as_json(body: "DatasetBody", *, exclude: set[str] | None = None) -> dict[str, Any]:
    """As the service gave it: its schema may be used again."""
    return body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=exclude)


@dataset.command("create")
@click.argument("name")
@click.option("--schema", type=click.Path(path_type=Path), help="The schema, as a JSON file; may be set later.")
@click.option("--workspace", help="Where it is created; the token's own, which is the default.")
@click.option("--another", is_flag=True, help="Create it though there is one of this name.")
@json_option
@service_options
def dataset_create(
    name: str, schema: Path | None, workspace: str | None, another: bool, as_json: bool, base_url: str
) -> None:
    """Create a dataset; prints its id. A name that is taken is refused: of two datasets it would mean neither."""
    value = None if schema is None else read_schema_file(schema)
    with open_client(base_url) as client:
        there = None if another else next((body for body in client.datasets() if body.name == name), None)
        if there is not None:
            give_up(f"There is a dataset named {name!r}, {there.id}. --another makes one more, to be named by its id.")
        made = client.create_dataset(name, schema=value, workspace_id=workspace)
    if as_json:
        print_json(_as_json(made))
    else:
        click.echo(str(made.id))


@dataset.command("show")
@click.argument("dataset_name", metavar="DATASET")
@json_option
@service_options
def dataset_show(dataset_name: str, as_json: bool, base_url: str) -> None:
    """Show a dataset (by id or name), its schema and its newest imports."""
    with open_client(base_url) as client:
        found = client.dataset(find_dataset(client, dataset_name).id)
        status = client.dataset_status(found.id)
    if as_json:
        print_json(_as_json(found))
        return
    say(f"{found.name}  {found.id}")
    say(f"{status}, {found.total_datapoint_count:,} records\n")
    _print_schema(found)
    if found.imports:
        click.echo("")
        columns = ["IMPORT", "FILE", "STATUS", "ACCEPTED", "DUPLICATES", "REJECTED", "CREATED"]
        print_table(columns, [_import_row(job) for job in found.imports], right=[3, 4, 5])
    for job in found.imports:
        if job.status == "failed":
            say(f"\n{job.import_id} failed: {job.reason}")


def _print_schema(found: "DatasetBody") -> None:
    if found.schema_ is None:
        say(f"No schema yet: 'assay dataset schema {found.id} SCHEMA.json' sets one.")
        return
    fields = [(key, *_rules(field, is_strict=found.schema_.strict)) for key, field in found.schema_.fields.items()]
    print_table(["FIELD", "TYPE", "REQUIRED", "RULES", "LABEL"], fields)


def _rules(field: "FieldBody", *, is_strict: bool) -> tuple[str, str, str | None, str | None]:
    is_required = is_strict if field.required is None else field.required
    rules = field.model_dump(exclude_none=True, exclude={"type", "label", "required"})
    text = ", ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in rules.items())
    return field.type, "yes" if is_required else "no", text or None, field.label


def _import_row(job: "ImportBody") -> tuple[Any, ...]:
    none = 0 if job.status in ENDED else None  # the answer has no counts of none
    counts = (job.accepted_count or none, job.duplicate_count or none, job.rejected_count or none)
    return str(job.import_id), job.filename, job.status, *counts, f"{job.created_at:%Y-%m-%d %H:%M}"


@dataset.command("schema")
@click.argument("dataset_name", metavar="DATASET")
@click.argument("schema", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--no-wait", is_flag=True, help="Don't wait until the records are under it.")
@service_options
def dataset_schema(dataset_name: str, schema: Path, yes: bool, no_wait: bool, base_url: str) -> None:
    """Set a dataset's schema from a JSON file.

    The first one releases the imports that wait for it. Another one brings the records that are there under it, from
    their files: a value that it refuses becomes null, and those of fields that it has not are gone from the dataset
    until a schema has them again. Where nobody can be asked, the latter needs --yes.

    Exit code: 0 no record lost a value, 1 some did, or it is not known, 2 it could not be done.
    """
    from assay.client_faults import MigrationUnknown

    value = read_schema_file(schema)
    with open_client(base_url) as client:
        found = find_dataset(client, dataset_name)
        records = f"{found.total_datapoint_count:,} records"
        dropped = _dropped_fields(found, value)
        if dropped:
            say(f"Fields that the new schema has not: {dropped}.", err=True)
        if not yes and found.schema_ is not None and found.total_datapoint_count:
            _ask_for_schema(found, records, is_dropping=bool(dropped))
        try:
            changed = client.set_schema(found.id, value)
        except MigrationUnknown as unknown:
            give_up(str(unknown), code=SOME_REJECTED)
        say("The schema is set.")
        if dropped:
            say(f"Gone from the dataset until a schema has them again: the values of {dropped}.")
        if changed.migration_job_id is None:
            return
        say(f"The {records} that are there are brought under it: migration {changed.migration_job_id}.")
        if not no_wait:
            _follow_migration(client, found.id, changed.migration_job_id)


def _dropped_fields(found: "DatasetBody", schema: Any) -> str:
    """The fields that records have values of, and the new schema has not; nothing where there are none."""
    if found.schema_ is None or found.total_datapoint_count == 0:
        return ""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if not isinstance(fields, dict):  # no schema, as the service will say
        return ""
    return ", ".join(key for key in found.schema_.fields if key not in fields)


def _ask_for_schema(found: "DatasetBody", records: str, *, is_dropping: bool) -> None:
    if not _is_somebody_there():
        if is_dropping:
            give_up("The schema is as it was: there is nobody to ask. --yes sets it without asking.")
        return
    question = f"Bring the {records} of {found.name!r} under it? What it refuses becomes null."
    if not click.confirm(shown(question), err=True):
        give_up("The schema is as it was.")


def _is_somebody_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _follow_migration(client: "Client", dataset_id: UUID, migration_id: UUID) -> None:
    """Until it has ended; then how."""
    while (migration := client.migration(dataset_id, migration_id)).status == "processing":
        time.sleep(MIGRATION_POLL_SECONDS)
    if migration.status == "failed":
        give_up(f"The records are as they were, and so is the schema. {migration.reason}")
    say(f"{migration.reprocessed_count or 0:,} records are under it, and {migration.failed_count or 0:,} lost a value.")
    if migration.errors:
        rows = [(str(lost.datapoint_id), lost.field, lost.reason) for lost in migration.errors[:SHOWN_LOSSES]]
        click.echo("")
        print_table(["RECORD", "FIELD", "WHY IT IS NULL"], rows)
        if (migration.failed_count or 0) > SHOWN_LOSSES:
            say(f"\nThe console shows all, and so does `migration_errors` of the Python client: {migration_id}.")
        sys.exit(SOME_REJECTED)


@dataset.command("delete")
@click.argument("dataset_name", metavar="DATASET")
@click.option("--yes", is_flag=True, help="Don't ask.")
@service_options
def dataset_delete(dataset_name: str, yes: bool, base_url: str) -> None:
    """Delete a dataset with its imports, records and files."""
    with open_client(base_url) as client:
        found = find_dataset(client, dataset_name)
        if not yes:
            if not _is_somebody_there():
                give_up("Nothing was deleted: there is nobody to ask. --yes deletes without asking.")
            records = f"{found.total_datapoint_count:,} records"
            if not click.confirm(shown(f"Delete {found.name!r} ({found.id}) with {records}, for good?"), err=True):
                give_up("Nothing was deleted.")
        client.delete_dataset(found.id)
    say(f"Deleted {found.name!r} ({found.id}).")
