"""`assay check`: a file against a schema on this machine, with the service's own kernel and no server."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli_output import SOME_REJECTED, print_json, print_table, progress_bar, read_schema_file, say, shown
from assay.errors import ErrorCode, Invalid, InvalidFields

if TYPE_CHECKING:
    from assay.kernel.check import Report
    from assay.schema import DatasetSchema

SHOWN_ERRORS = 20
SHOWN_REASONS = 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--schema", required=True, type=click.Path(path_type=Path), help="The schema, as a JSON file.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as the API's import job has it.")
@click.option("--accepted", type=click.Path(path_type=Path), help="Write the accepted records here, as Parquet.")
@click.option("--rejected", type=click.Path(path_type=Path), help="Write the rejected records here, as they stand.")
@click.option("--processes", type=click.IntRange(1, 256), default=None, help="Default: one for each core.")
def check(
    file: Path, schema: Path, as_json: bool, accepted: Path | None, rejected: Path | None, processes: int | None
) -> None:
    """Check every record of FILE (.csv or .jsonl) against a schema, without a service.

    Exit code: 0 all records accepted, 1 some rejected, 2 the file or the schema can't be used.
    """
    from assay.kernel.check import check_file
    from assay.kernel.files import FileFault

    dataset_schema = _read_schema(schema)
    _check_outputs(file, accepted, rejected)
    try:
        with progress_bar(shown(file.name)) as show:
            report = check_file(
                file,
                dataset_schema,
                accepted=accepted,
                rejected=rejected,
                processes=processes or os.cpu_count() or 1,
                progress=lambda done, total: show("checking", done, total),
            )
    except FileFault as fault:
        if as_json:
            print_json({"filename": file.name, "status": "failed", "reason": fault.reason})
        raise Invalid(f"{file}: {fault.reason}", code=ErrorCode.UNUSABLE_FILE) from fault
    except OSError as error:
        message = f"Can't read or write {error.filename or file}: {error.strerror}."
        raise Invalid(message, code=ErrorCode.UNUSABLE_FILE) from error
    if as_json:
        print_json(_as_import_job(file, report))
    else:
        _print_report(file, report, accepted=accepted, rejected=rejected)
    if report.rejected_count:
        sys.exit(SOME_REJECTED)


def _read_schema(path: Path) -> "DatasetSchema":
    from assay.schema import parse_schema

    value = read_schema_file(path)
    try:
        return parse_schema(value)
    except InvalidFields as error:
        lines = [f"  {where}: {text}" for where, texts in error.faults.items() for text in texts]
        raise Invalid(
            "\n".join([f"The schema {path} can't be used:", *lines]), code=ErrorCode.INVALID_SCHEMA
        ) from error


def _check_outputs(file: Path, *outputs: Path | None) -> None:
    named = [output.resolve() for output in outputs if output is not None]
    if file.resolve() in named or len(set(named)) < len(named):
        message = "An output would overwrite the file that is checked, or the other output; name another file."
        raise Invalid(message, code=ErrorCode.UNUSABLE_FILE)


def _status(report: "Report") -> str:
    if report.rejected_count == 0:
        return "complete"
    return "partial" if report.accepted_count else "failed"


def _as_import_job(file: Path, report: "Report") -> dict[str, Any]:
    job: dict[str, Any] = {"filename": file.name, "status": _status(report)}
    if report.accepted_count:
        job |= {"accepted_count": report.accepted_count, "duplicate_count": report.duplicate_count}
    if report.rejected_count:
        job["rejected_count"] = report.rejected_count
        job["errors"] = [
            {"record_index": index, "field": field, "reason": reason} for index, field, reason in report.first_faults
        ]
    if not report.accepted_count:
        job["reason"] = "All records were rejected."
    return job


def _print_report(file: Path, report: "Report", *, accepted: Path | None, rejected: Path | None) -> None:
    noun = "record" if report.record_count == 1 else "records"
    duplicates = f" ({report.duplicate_count:,} of them duplicates)" if report.duplicate_count else ""
    say(
        f"{file.name}: {report.record_count:,} {noun}, "
        f"{report.accepted_count:,} accepted{duplicates}, {report.rejected_count:,} rejected"
    )
    if report.rejected_count:
        _print_faults(report)
    if accepted is not None:
        say(f"\nAccepted records, each once: {accepted}")
    if rejected is not None:
        say(f"\nRejected records, as they stand in the file: {rejected}")


def _print_faults(report: "Report") -> None:
    reasons = report.faults_by_reason.most_common()
    rows: list[tuple[object, ...]] = [(count, field, reason) for (field, reason), count in reasons[:SHOWN_REASONS]]
    click.echo("")
    print_table(["FAULTS", "FIELD", "REASON"], rows, right=[0])
    if len(reasons) > SHOWN_REASONS:
        click.echo(f"and {len(reasons) - SHOWN_REASONS:,} other reasons")
    click.echo("")
    print_table(["RECORD", "FIELD", "FIRST FAULT"], report.first_faults[:SHOWN_ERRORS], right=[0])
    if report.rejected_count > SHOWN_ERRORS:
        click.echo(f"and {report.rejected_count - SHOWN_ERRORS:,} more rejected records; --json shows up to 1,000")
