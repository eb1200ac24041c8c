"""The files that a command takes: paths, patterns, or '-' for standard input. All are looked at before any is read."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import cast

from assay.cli_output import give_up
from assay.fileformats import FILE_FORMATS, format_of_local_file

STANDARD_INPUT = "-"
BLOCK_BYTES = 1024 * 1024
# What another name would not help: what is in such a file has to be had out of it first.
UNPACK = "unpack it, and name the file that was in it."
SAVE_AS_CSV = "save the sheet as CSV, and name that file."
TO_PYTHON = "read it with pandas, Polars or pyarrow; the Python client takes the table as it is."
WHAT_TO_DO = {
    **dict.fromkeys((".gz", ".zip", ".zst", ".bz2", ".xz", ".7z", ".tar", ".tgz"), UNPACK),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), SAVE_AS_CSV),
    **dict.fromkeys((".parquet", ".arrow", ".feather"), TO_PYTHON),
}


@dataclass(frozen=True)
class NamedSource:
    """What is read, and what it is called: its format goes by the name's ending."""

    path: str
    name: str
    format: str

    @property
    def is_standard_input(self) -> bool:
        return self.path == STANDARD_INPUT


def sources_of(files: tuple[str, ...], *, filename: str | None) -> list[NamedSource]:
    """All that the words name, each looked at, so that a wrong one stops before anything is done."""
    paths = [path for text in files for path in _expanded(text)]
    if STANDARD_INPUT in paths and len(paths) > 1:
        give_up("Standard input, '-', is taken alone: give the other files to a command of their own.")
    if filename is not None and len(paths) > 1:
        give_up("--filename names one file, and there are several.")
    if STANDARD_INPUT in paths and filename is None:
        give_up("Say what standard input is with --filename NAME.csv or NAME.jsonl.")
    return [_source_of(path, name=filename or Path(path).name) for path in paths]


def _source_of(path: str, *, name: str) -> NamedSource:
    if path != STANDARD_INPUT:
        _look_at(Path(path))
    elif sys.stdin is None:
        give_up("Standard input is closed; pipe something into it.")
    file_format = format_of_local_file(name)
    if file_format is None:
        called = path if name == Path(path).name else name
        advice = WHAT_TO_DO.get(Path(name).suffix.lower(), "--filename gives the file another name.")
        give_up(f"{called}: the name must end in .csv or .jsonl; {advice}")
    return NamedSource(path, name, format=file_format)


@contextmanager
def spooled(source: NamedSource) -> Iterator[Path]:
    """The source as a file that can be read from anywhere, by other processes too, and whose name ends as its own.

    A pipe is copied. The copy is gone at the end, also of a command that is interrupted or told to end.
    """
    path = Path(source.path)
    is_copied = source.is_standard_input or not path.is_file()
    if not is_copied and format_of_local_file(path.name) == source.format:
        yield path
        return
    with ExitStack() as stack:
        stack.enter_context(_ended_in_order())
        # By a name of our own: the source's may be anything.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-"))
        named = Path(folder) / ("source" + FILE_FORMATS[source.format].extension)
        if is_copied:
            _copy(source, named)
        else:
            named.symlink_to(path.resolve())
        yield named


def _copy(source: NamedSource, to: Path) -> None:
    with ExitStack() as stack:
        if source.is_standard_input:
            opened = cast("BufferedReader", sys.stdin.buffer)
        else:
            opened = stack.enter_context(Path(source.path).open("rb"))
        file = stack.enter_context(to.open("wb"))
        # What is there, not so much as was asked for: a signal that came between two reads is acted on before the next.
        while block := opened.read1(BLOCK_BYTES):
            file.write(block)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Being told to end becomes an exception, so that what was begun is cleared away, as by Ctrl-C."""
    named = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in named if signal.getsignal(number) is signal.SIG_DFL]  # as it is not under nohup

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # the clearing away is not to be interrupted in its turn
        sys.exit(128 + number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _look_at(path: Path) -> None:
    try:
        if path.is_dir():
            give_up(f"{path} is a directory: name files, as in '{path}/*.csv'.")
        if path.is_fifo():
            return
        path.open("rb").close()
    except OSError as error:
        give_up(f"Can't read {path}: {error.strerror}.")


def _expanded(text: str) -> list[str]:
    """Patterns are expanded here too, for shells that don't; a file with such a name is taken as it is."""
    if text == STANDARD_INPUT or not any(letter in text for letter in "*?[") or _is_there(text):
        return [text]
    path = Path(text)
    pattern = str(path.relative_to(path.anchor))
    try:
        found = [match for match in Path(path.anchor or ".").glob(pattern) if not match.is_dir()]
    except ValueError as error:
        give_up(f"The pattern {text!r} can't be used: {error}.")
    if not found:
        give_up(f"No file matches {text!r}.")
    return sorted(map(str, found))


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # such as a name that is too long to be one
        return False
