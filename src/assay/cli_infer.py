"""`assay infer`: a schema for a file on this machine, without a server."""

import os
from pathlib import Path

import click

from assay.cli_output import print_json, say
from assay.errors import ErrorCode, Invalid


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--all", "whole", is_flag=True, help="Look at every record; the default is about the first megabyte.")
def infer(file: Path, whole: bool) -> None:
    """Propose a schema for FILE (.csv or .jsonl), as JSON.

    It is to be read and changed, and may reject a few values of many; how many of those that were looked at is told on
    standard error.

    Exit code: 0 with a schema, 2 if none can be told from the file.
    """
    from assay.fileformats import FILE_FORMATS, format_of_filename
    from assay.kernel.files import FileFault
    from assay.kernel.infer import infer_schema
    from assay.schema import schema_to_json

    file_format = format_of_filename(file.name)
    if file_format is None:
        endings = " or ".join(row.extension for row in FILE_FORMATS.values())
        raise Invalid(f"{file}: The name of the file must end with {endings}.", code=ErrorCode.UNUSABLE_FILE)
    try:
        with file.open("rb") as opened:
            size_bytes = os.fstat(opened.fileno()).st_size

            def read(offset: int, length: int) -> bytes:
                opened.seek(offset)
                return opened.read(length)

            proposal = infer_schema(read, size_bytes=size_bytes, format=file_format, whole=whole)
    except FileFault as fault:
        raise Invalid(f"{file}: {fault.reason}", code=ErrorCode.UNUSABLE_FILE) from fault
    except OSError as error:
        raise Invalid(f"Can't read {file}: {error.strerror}.", code=ErrorCode.UNUSABLE_FILE) from error
    print_json(schema_to_json(proposal.schema))
    for field in proposal.refusals:
        counts = f"{field.refused:,} of {field.looked_at:,} values that were looked at would be rejected"
        say(f"assay: field '{field.key}' as {field.type}: {counts}", err=True)
    for shortened in proposal.shortened:
        counts = f"{shortened.count:,} of {shortened.looked_at:,} values look like 1.23457E+18"
        say(f"assay: field '{shortened.key}': {counts}: a spreadsheet may have cut off digits of identifiers", err=True)
