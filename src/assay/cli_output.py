"""How commands speak: tables on a terminal, plain columns in a pipe, JSON when asked, one sentence for a fault."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from assay.errors import ErrorCode, Invalid

SOME_REJECTED = 1
UNUSABLE = 2
UNFINISHED = 3
INTERRUPTED = 130


def give_up(message: str, *, code: int = UNUSABLE) -> NoReturn:
    """One sentence on standard error: what happened, why, and what to do."""
    click.echo(f"assay: {message}", err=True)
    sys.exit(code)


def read_schema_file(path: Path) -> Any:
    """The JSON of a schema file. Raises `Invalid` when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Invalid(f"Can't read the schema {path}: {error.strerror}.", code=ErrorCode.INVALID_SCHEMA) from error
    except ValueError as error:
        raise Invalid(f"The schema {path} is no JSON: {error}.", code=ErrorCode.INVALID_SCHEMA) from error


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
    """Columns aligned by their widest cell; `right` are the columns of numbers. None is shown as a dash."""
    lines = [list(head), *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)
    # A line end or an escape sequence from a client's data must not rearrange the terminal.
    return "".join(letter if letter.isprintable() else "�" for letter in text)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Gives `show(stage, done, total)` in bytes. A bar on a terminal, on standard error; nothing in a pipe."""
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

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(f"{title}: {stage}", total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield show
