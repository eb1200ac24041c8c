"""What can be imported, brought to one form: a file name, a size, and a way to read the bytes from the start."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from assay.client_calls import Upload
from assay.client_faults import SourceChanged
from assay.client_tables import require_table, write_lines

Source = Any
"""A path, a binary file object, a pandas or Polars DataFrame, or an Arrow table."""

BLOCK_BYTES = 1024 * 1024
OTHER_ENDING = ".ndjson"


@contextmanager
def open_source(source: Source, *, filename: str | None) -> Iterator[Upload]:
    """The source as an upload. `filename` must end in .csv, .jsonl or .ndjson; tables are sent as JSON Lines.

    Raises `TypeError` for what can't be imported, `OSError` for a path that can't be read; reading the upload raises
    `SourceChanged`.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        with path.open("rb") as opened, _seekable(opened) as file:
            yield _of_file(file, filename or path.name)
    elif hasattr(source, "read"):
        given = getattr(source, "name", None)  # of an opened descriptor it is a number
        name = filename or (Path(given).name if isinstance(given, str) else "")
        if not name:
            raise TypeError("Give the file object's name as filename=, ending in .csv or .jsonl.")
        with _seekable(source) as file:
            yield _of_file(file, name)
    else:
        require_table(source)
        name = _sent_name(filename or "table.jsonl")
        if not name.lower().endswith(".jsonl"):
            raise ValueError(f"A table is sent as JSON Lines: its filename must end in .jsonl, and {name!r} does not.")
        with tempfile.TemporaryFile() as file:
            write_lines(source, file)
            yield _of_file(file, name)


def _of_file(file: IO[bytes], filename: str) -> Upload:
    size = file.seek(0, os.SEEK_END)
    before = _state_of(file)

    def read() -> Iterator[bytes]:
        """As much as there was at first. The last block is given once it is sure that the file is still the same, so
        that what receives a torn file misses its end.
        """
        file.seek(0)
        left = size
        while left:
            block = file.read(min(left, BLOCK_BYTES))
            left -= len(block)
            if not block or (left == 0 and _state_of(file) != before):
                raise SourceChanged(filename)
            yield block

    return Upload(filename=_sent_name(filename), size_bytes=size, read=read)


def _sent_name(filename: str) -> str:
    """The service takes JSON Lines by one ending."""
    return filename[: -len(OTHER_ENDING)] + ".jsonl" if filename.lower().endswith(OTHER_ENDING) else filename


def _state_of(file: IO[bytes]) -> tuple[int, ...]:
    """What becomes another when the file is written to."""
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError):  # no file of the system's, such as a buffer
        return (file.seek(0, os.SEEK_END),)
    return status.st_size, status.st_mtime_ns


@contextmanager
def _seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """A file whose start can be come back to: a pipe is copied first, since an upload may have to be repeated."""
    if isinstance(file.read(0), str):
        raise TypeError("Open the file in binary mode ('rb').")
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        while block := file.read(BLOCK_BYTES):
            copy.write(block)
        yield copy
