"""What a service has of an import or a dataset, in a terminal, a pipe or a file: `assay errors` and `assay export`."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli_client import find_dataset, json_option, open_client, service_options
from assay.cli_output import (
    give_up,
    print_json_rows,
    print_table,
    print_tabs,
    progress_bar,
    say,
    shown,
    standard_output,
)

if TYPE_CHECKING:
    from assay.wire import ImportErrorBody

TABLE_ROWS = 1000
FORMATS = ("parquet", "jsonl", "csv", "arrow")


@click.command()
@click.argument("dataset_name", metavar="DATASET")
@click.argument("import_id", metavar="IMPORT")
@click.option(
    "--rejected",
    type=click.Path(path_type=Path),
    help="Write the rejected records here, as they stood; '-' is standard output.",
)
@json_option
@service_options
def errors(dataset_name: str, import_id: str, rejected: Path | None, as_json: bool, base_url: str) -> None:
    """Show every failing field of an import's rejected records.

    A table on a terminal, columns parted by tabs in a pipe, one list with --json. An import that failed as a whole has
    none: its reason is told, and the exit code is 2.
    """
    with open_client(base_url) as client:
        target = find_dataset(client, dataset_name)
        job = client.import_status(target.id, import_id)
        if job.status == "failed" and not job.rejected_count:
            give_up(f"{job.filename} was not imported at all, so no record was rejected by itself: {job.reason}")
        if rejected == Path("-"):
            client.download_rejected(target.id, import_id, standard_output())
            return
        if rejected is not None:
            client.download_rejected(target.id, import_id, rejected)
            say(f"Rejected records, as they stood: {rejected}", err=True)
            if not as_json:
                return
        found = client.errors(target.id, import_id)
        if as_json:
            print_json_rows(error.model_dump() for error in found)
        else:
            _print_errors(found)


def _print_errors(errors: Iterator["ImportErrorBody"]) -> None:
    head = ["RECORD", "FIELD", "REASON"]
    rows = ((error.record_index, error.field, error.reason) for error in errors)
    if not standard_output().isatty():
        first = list(islice(rows, 1))  # before the head: a refusal leaves standard output empty
        print_tabs(head, chain(first, rows))
        return
    block = list(islice(rows, TABLE_ROWS))
    if not block:
        say("No record was rejected.")
    while block:
        print_table(head, block, right=[0])
        block = list(islice(rows, TABLE_ROWS))


@click.command()
@click.argument("dataset_name", metavar="DATASET")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="The file to write; '-' is standard output.",
)
@click.option("--format", "file_format", type=click.Choice(FORMATS), help="Default: by the output's ending.")
@service_options
def export(dataset_name: str, output: Path, file_format: str | None, base_url: str) -> None:
    """Write a dataset's accepted records to a file. It is there once it is complete."""
    chosen = file_format or output.suffix.removeprefix(".").lower()
    if chosen not in FORMATS:
        give_up("The output must end in .parquet, .jsonl, .csv or .arrow, or name a --format.")
    with open_client(base_url) as client:
        target = find_dataset(client, dataset_name)
        if str(output) == "-":
            client.export(target.id, standard_output(), format=chosen)
            return
        with progress_bar(shown(output.name)) as show:
            show("downloading", 0, None)
            client.export(target.id, output, format=chosen, progress=lambda done: show("downloading", done, None))
        say(f"{output} ({output.stat().st_size:,} bytes)", err=True)
