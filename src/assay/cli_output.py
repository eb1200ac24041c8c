"""How commands speak: tables on a terminal, plain columns in a pipe, JSON when asked, one sentence for a fault."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NoReturn, TextIO
from unicodedata import combining, east_asian_width

import click

from assay.errors import ErrorCode, Invalid

BLOCK_LETTERS = 65536

SOME_REJECTED = 1
UNUSABLE = 2
UNFINISHED = 3
INTERRUPTED = 130
READER_GONE = 141
EXIT_CODES = {
    0: "all went well; of a check or an import: every record was accepted",
    SOME_REJECTED: "records were rejected; of an import: some, and others accepted",
    UNUSABLE: "it could not be done: wrong words, a file or schema that can't be used, a refusal, no service, "
    "or every record rejected by an import",
    UNFINISHED: "an import has not ended, such as one that waits for a schema; with --no-wait that is 0",
    INTERRUPTED: "interrupted with Ctrl-C",
    READER_GONE: "the reader of a pipe went away, as with `head`",
}


def prepare_output() -> None:
    """A closed standard error hears nothing, and hinders nothing. What an output's encoding has no letters for is
    escaped: by then all is done, and an exception would hide it.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not _takes_all(stream):
            stream.reconfigure(errors="backslashreplace")


def _takes_all(stream: TextIO | None) -> bool:
    return stream is None or stream.encoding.lower().replace("-", "").startswith("utf")


def standard_output() -> BinaryIO:
    """For bytes. Ends the command where it is closed."""
    if sys.stdout is None:
        give_up("Standard output is closed: there is nowhere to write to.")
    return sys.stdout.buffer


def give_up(message: str, *, code: int = UNUSABLE) -> NoReturn:
    """One sentence on standard error: what happened, why, and what to do."""
    say(f"assay: {message}", err=True)
    sys.exit(code)


def say(text: str, *, err: bool = False) -> None:
    """Text in which something of a client's may stand, such as a file's name."""
    click.echo("\n".join(map(shown, text.split("\n"))), err=err)


def shown(text: str) -> str:
    """A line end, an escape sequence or a mark that turns the direction of writing must not rearrange the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def read_schema_file(path: Path) -> Any:
    """The JSON of a schema file. Raises `Invalid` when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Invalid(f"Can't read the schema {path}: {error.strerror}.", code=ErrorCode.INVALID_SCHEMA) from error
    except RecursionError as error:
        raise Invalid(f"The schema {path} is nested too deeply.", code=ErrorCode.INVALID_SCHEMA) from error
    except ValueError as error:
        raise Invalid(f"The schema {path} is no JSON: {error}.", code=ErrorCode.INVALID_SCHEMA) from error


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=not _takes_all(sys.stdout)))


def print_json_rows(rows: Iterable[Any]) -> None:
    """A list in JSON, however long it is. Nothing of it is printed before the last row has come."""
    ensure_ascii = not _takes_all(sys.stdout)
    with TemporaryFile("w+", encoding="utf-8", newline="") as file:
        before = "["
        for row in rows:
            file.write(f"{before}\n  {json.dumps(row, ensure_ascii=ensure_ascii)}")
            before = ","
        file.write("[]" if before == "[" else "\n]")
        file.seek(0)
        while text := file.read(BLOCK_LETTERS):
            click.echo(text, nl=False)
    click.echo()


def print_tabs(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """For a pipe: a line a row, its cells parted by tabs, and no tab within a cell."""
    click.echo("\t".join(head))
    for row in rows:
        click.echo("\t".join(shown(str(cell)) for cell in row))


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
    """Columns aligned by their widest cell; `right` are the columns of numbers. None is shown as a dash."""
    lines = [list(head), *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = []
        for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
            gap = " " * (width - _width(cell))
            cells.append(gap + cell if column in right else cell + gap)
        click.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else shown(str(value))


def _width(text: str) -> int:
    """How many columns of a terminal it takes: some letters take two, and some marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """Gives `show(stage, done, total)` in bytes; a total of None is not known. A bar on a terminal, on standard error;
    nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(f"{title}: {stage}", total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield show
