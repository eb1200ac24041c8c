"""`assay infer`: a schema for a file on this machine, without a server."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from assay.cli_output import give_up, print_json, say
from assay.cli_sources import sources_of, spooled
from assay.errors import ErrorCode, Invalid
from assay.rejections import counted

if TYPE_CHECKING:
    from assay.kernel.infer import Proposal

SHOWN_NAMES = 10


@click.command()
@click.argument("file", type=click.Path())
@click.option("--filename", help="What the file is called, as for '-': ends in .csv or .jsonl.")
@click.option("--all", "whole", is_flag=True, help="Look at every record, of a file past 4 MiB too; else at some.")
def infer(file: str, filename: str | None, whole: bool) -> None:
    """Propose a schema for FILE (.csv or .jsonl), as JSON.

    FILE may be a .ndjson too, or '-' for standard input. The schema is to be read and changed, and may reject a few
    values of many. How many of those that were looked at, and which columns a schema can't have, is told on standard
    error.

    Exit code: 0 with a schema, 2 if none can be told from the file.
    """
    from assay.kernel.files import FileFault
    from assay.kernel.infer import infer_schema
    from assay.schema import schema_to_json

    source, *others = sources_of((file,), filename=filename)
    if others:
        give_up(f"A schema is told from one file, and {len(others) + 1:,} match {file!r}.")
    try:
        with spooled(source) as path, path.open("rb") as opened:
            size_bytes = os.fstat(opened.fileno()).st_size

            def read(offset: int, length: int) -> bytes:
                opened.seek(offset)
                return opened.read(length)

            proposal = infer_schema(read, size_bytes=size_bytes, format=source.format, whole=whole)
    except FileFault as fault:
        raise Invalid(f"{file}: {fault.reason}", code=ErrorCode.UNUSABLE_FILE) from fault
    except OSError as error:
        raise Invalid(f"Can't read {file}: {error.strerror}.", code=ErrorCode.UNUSABLE_FILE) from error
    print_json(schema_to_json(proposal.schema))
    if proposal.looked_at_bytes < size_bytes:
        looked_at = f"{proposal.record_count:,} records, {proposal.looked_at_bytes:,} of {size_bytes:,} bytes"
        say(f"assay: looked at {looked_at}, from everywhere in the file; --all looks at every record", err=True)
    for note in _notes(proposal):
        say(f"assay: {note}", err=True)


def _notes(proposal: "Proposal") -> Iterator[str]:
    """What is to be known of the schema that can't be read in it."""
    for left_out in proposal.left_out:
        names = ", ".join(f"'{key}'" for key in left_out.keys[:SHOWN_NAMES])
        more = len(left_out.keys) - SHOWN_NAMES
        if more > 0:
            names += f" and {more:,} more" if left_out.is_all else f" and more than {more:,} others"
        yield f"left out, as {left_out.why}: {names}"
    for field in proposal.refusals:
        counts = f"{field.refused:,} of {field.looked_at:,} values that were looked at would be rejected"
        yield f"field '{field.key}' as {field.type}: {counts}"
    for null in proposal.null_words:
        words = ", ".join(f"'{word}'" for word in null.words)
        yield f"field '{null.key}' would be {null.type} but for {words} in {null.count:,} of {null.looked_at:,} values"
    if proposal.empty_count:
        records = counted(proposal.empty_count, "record")
        yield f"{records} of empty cells alone left out of account; where a field is required they are rejected"
    for shortened in proposal.shortened:
        counts = f"{shortened.count:,} of {shortened.looked_at:,} values look like 1.23457E+18"
        yield f"field '{shortened.key}': {counts}: a spreadsheet may have cut off digits of identifiers"
