"""`assay check`: files against a schema on this machine, with the service's own kernel and no server."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli_output import (
    SOME_REJECTED,
    UNUSABLE,
    give_up,
    print_json,
    print_table,
    progress_bar,
    read_schema_file,
    say,
    shown,
)
from assay.cli_sources import NamedSource, sources_of, spooled
from assay.errors import ErrorCode, Invalid, InvalidFields
from assay.rejections import named
from assay.schema_names import MISSING_COLUMNS, START_BYTES, UNKNOWN_COLUMNS, names_of_records

if TYPE_CHECKING:
    from assay.kernel.check import Report
    from assay.schema import DatasetSchema

SHOWN_ERRORS = 20
SHOWN_REASONS = 20


@dataclass(frozen=True)
class Outputs:
    """Where the two sides of one file are written to, if anywhere."""

    accepted: Path | None
    rejected: Path | None


@dataclass(frozen=True)
class Unusable:
    """Why a file could not be checked at all."""

    reason: str


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--schema", required=True, type=click.Path(path_type=Path), help="The schema, as a JSON file.")
@click.option("--filename", help="What the one file is called, as for '-': ends in .csv or .jsonl.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of reports, each as the API's import job has it.")
@click.option("--accepted", type=click.Path(path_type=Path), help="Write one file's accepted records here, as Parquet.")
@click.option("--rejected", type=click.Path(path_type=Path), help="Write its rejected records here, as they stand.")
@click.option("--processes", type=click.IntRange(1, 256), default=None, help="Default: one for each core.")
def check(
    files: tuple[str, ...],
    schema: Path,
    filename: str | None,
    as_json: bool,
    accepted: Path | None,
    rejected: Path | None,
    processes: int | None,
) -> None:
    """Check every record of files against a schema.

    It needs no service. FILE is a .csv, .jsonl or .ndjson, a pattern, or '-' for standard input. Each is checked
    by itself, as the first file of an empty dataset would be; all are looked at before the first is checked.

    Exit code: 0 all records accepted, 1 some rejected, 2 a file or the schema can't be used.
    """
    outputs = Outputs(accepted, rejected)
    sources: list[NamedSource] = []
    found: list[Report | Unusable] = []
    try:
        dataset_schema = _read_schema(schema)
        sources = sources_of(files, filename=filename)
        _look_at_outputs(sources, schema, outputs)
        for source in sources:
            found.append(_check_one(source, dataset_schema, outputs, processes=processes or os.cpu_count() or 1))
            if isinstance(found[-1], Unusable):
                say(f"assay: {_called(source)}: {found[-1].reason}", err=True)
            elif not as_json:
                if len(found) > 1:
                    click.echo("")
                _print_report(source.name if len(sources) == 1 else source.path, found[-1], outputs)
    finally:
        # What was checked is told even when it could not go on, and that it is nothing when it could not begin.
        if as_json:
            print_json([_as_import_job(source.name, one) for source, one in zip(sources, found, strict=False)])
    if len(sources) > 1 and not as_json:
        _print_total(found)
    sys.exit(max(map(_exit_code, found)))


def _check_one(
    source: NamedSource, schema: "DatasetSchema", outputs: Outputs, *, processes: int
) -> "Report | Unusable":
    from assay.kernel.check import check_file
    from assay.kernel.files import FileFault

    try:
        with spooled(source) as path:
            if source.is_standard_input and not path.stat().st_size:
                return Unusable("Standard input is empty: nothing was piped in.")
            if source.format == "jsonl":
                _tell_keys(source.name, path, schema)
            with progress_bar(shown(source.name)) as show:
                return check_file(
                    path,
                    schema,
                    accepted=outputs.accepted,
                    rejected=outputs.rejected,
                    processes=processes,
                    progress=lambda done, total: show("checking", done, total),
                )
    except FileFault as fault:
        return Unusable(fault.reason)
    except OSError as error:
        message = f"Can't read or write {error.filename or _called(source)}: {error.strerror}."
        raise Invalid(message, code=ErrorCode.UNUSABLE_FILE) from error


def _tell_keys(name: str, path: Path, schema: "DatasetSchema") -> None:
    """Of a CSV the report tells; the keys of JSON Lines are only looked at where the file begins."""
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    for sentence in names_of_records(start, [field.key for field in schema.fields]):
        say(f"assay: {name}: {sentence}", err=True)


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


def _look_at_outputs(sources: list[NamedSource], schema_path: Path, outputs: Outputs) -> None:
    if Path("-") in (outputs.accepted, outputs.rejected):
        give_up("An output can't be '-', since the report is on standard output: name a file.")
    named = [output.resolve() for output in (outputs.accepted, outputs.rejected) if output is not None]
    if named and len(sources) > 1:
        give_up(
            f"--accepted and --rejected are for the records of one file, and there are {len(sources):,}: "
            "run 'assay check' once for each, with outputs of its own."
        )
    read = {schema_path.resolve(), *(Path(source.path).resolve() for source in sources if not source.is_standard_input)}
    if read & set(named) or len(set(named)) < len(named):
        give_up(
            "An output would overwrite the file that is checked, its schema, or the other output; name another file."
        )


def _called(source: NamedSource) -> str:
    return source.name if source.is_standard_input else source.path


def _exit_code(found: "Report | Unusable") -> int:
    if isinstance(found, Unusable):
        return UNUSABLE
    return SOME_REJECTED if found.rejected_count else 0


def _status(report: "Report") -> str:
    if report.rejected_count == 0:
        return "complete"
    return "partial" if report.accepted_count else "failed"


def _as_import_job(filename: str, found: "Report | Unusable") -> dict[str, Any]:
    if isinstance(found, Unusable):
        return {"filename": filename, "status": "failed", "reason": found.reason}
    job: dict[str, Any] = {"filename": filename, "status": _status(found)}
    if found.accepted_count:
        job |= {"accepted_count": found.accepted_count, "duplicate_count": found.duplicate_count}
    if found.rejected_count:
        job["rejected_count"] = found.rejected_count
        job["errors"] = [
            {"record_index": index, "line": line, "field": field, "reason": reason}
            for (index, field, reason), line in zip(found.first_faults, found.first_lines, strict=True)
        ]
        job["error_summary"] = [
            {"field": field, "reason": reason, "count": count}
            for (field, reason), count in found.faults_by_reason.most_common()
        ]
    if not found.accepted_count:
        job["reason"] = "All records were rejected."
    names = {"columns_not_in_schema": found.columns_not_in_schema, "fields_without_column": found.fields_without_column}
    return job | {key: list(each) for key, each in names.items() if each}


def _print_report(name: str, report: "Report", outputs: Outputs) -> None:
    say(f"{name}: {_counts([report])}")
    _print_names(UNKNOWN_COLUMNS, report.columns_not_in_schema)
    _print_names(MISSING_COLUMNS, report.fields_without_column)
    if report.rejected_count:
        _print_faults(report)
    if outputs.accepted is not None:
        say(f"\nAccepted records, each once: {outputs.accepted}")
    if outputs.rejected is not None:
        say(f"\nRejected records, as they stand in the file: {outputs.rejected}")


def _print_names(what: str, names: tuple[str, ...]) -> None:
    if names:
        say(f"{what.capitalize()}: {named(names)}")


def _print_total(found: "list[Report | Unusable]") -> None:
    reports = [one for one in found if not isinstance(one, Unusable)]
    unusable = len(found) - len(reports)
    noun = "file" if unusable == 1 else "files"
    say(f"\n{len(found):,} files: {_counts(reports)}" + (f"; {unusable:,} {noun} can't be used" if unusable else ""))


def _counts(reports: "list[Report]") -> str:
    """Duplicates are those within a file."""
    records = sum(report.record_count for report in reports)
    duplicates = sum(report.duplicate_count for report in reports)
    accepted = f"{sum(report.accepted_count for report in reports):,} accepted"
    accepted += f" ({duplicates:,} of them duplicates)" if duplicates else ""
    rejected = f"{sum(report.rejected_count for report in reports):,} rejected"
    return f"{records:,} {'record' if records == 1 else 'records'}, {accepted}, {rejected}"


def _print_faults(report: "Report") -> None:
    reasons = report.faults_by_reason.most_common()
    rows: list[tuple[object, ...]] = [(count, field, reason) for (field, reason), count in reasons[:SHOWN_REASONS]]
    click.echo("")
    print_table(["FAULTS", "FIELD", "REASON"], rows, right=[0])
    if len(reasons) > SHOWN_REASONS:
        click.echo(f"and {len(reasons) - SHOWN_REASONS:,} other reasons")
    click.echo("")
    faults = zip(report.first_lines, report.first_faults[:SHOWN_ERRORS], strict=False)
    print_table(["LINE", "RECORD", "FIELD", "FIRST FAULT"], [(line, *fault) for line, fault in faults], right=[0, 1])
    if report.rejected_count > SHOWN_ERRORS:
        click.echo(f"and {report.rejected_count - SHOWN_ERRORS:,} more rejected records; --json shows up to 1,000")
