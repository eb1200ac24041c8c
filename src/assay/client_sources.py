"""What can be imported, brought to one form: a file name, a size, and a way to read the bytes from the start."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from assay.client_calls import Upload

Source = Any
"""A path, a binary file object, a pandas or Polars DataFrame, or an Arrow table."""

BLOCK_BYTES = 1024 * 1024
BATCH_ROWS = 8192


@contextmanager
def open_source(source: Source, *, filename: str | None) -> Iterator[Upload]:
    """The source as an upload. `filename` must end in .csv or .jsonl; tables are sent as JSON Lines.

    Raises `TypeError` for what can't be imported, `OSError` for a path that can't be read.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        with path.open("rb") as file:
            yield _of_file(file, filename or path.name)
    elif hasattr(source, "read"):
        name = filename or Path(str(getattr(source, "name", ""))).name
        if not name:
            raise TypeError("Give the file object's name as filename=, ending in .csv or .jsonl.")
        with _seekable(source) as file:
            yield _of_file(file, name)
    else:
        with tempfile.TemporaryFile() as file:
            write_lines(as_arrow(source), file)
            yield _of_file(file, filename or "table.jsonl")


def _of_file(file: IO[bytes], filename: str) -> Upload:
    size = file.seek(0, os.SEEK_END)

    def read() -> Iterator[bytes]:
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            yield block

    return Upload(filename=filename, size_bytes=size, read=read)


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


def as_arrow(source: Any) -> Any:
    """A DataFrame or table as an Arrow table; times without a zone are taken for UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(source, pa.Table):
        table = source
    elif type(source).__module__.startswith("pandas"):
        table = pa.Table.from_pandas(source, preserve_index=False)
    elif hasattr(source, "__arrow_c_stream__"):
        table = pa.table(source)
    else:
        raise TypeError(f"Can't import a {type(source).__name__}: give a path, a file object, a DataFrame or a table.")
    for index, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.tz is None:
            table = table.set_column(index, column.name, pc.assume_timezone(table.column(index), "UTC"))
    return table


def write_lines(table: Any, file: IO[bytes]) -> None:
    """A table as JSON Lines; null values are left out, as they mean absence."""
    import msgspec

    encode = msgspec.json.Encoder().encode
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        lines = [
            encode({key: value for key, value in row.items() if value is not None and value == value})
            for row in batch.to_pylist()
        ]
        file.write(b"\n".join([*lines, b""]))


def append_lines(records: list[dict[str, Any]]) -> bytes:
    """Records as the body of an append."""
    import msgspec

    return msgspec.json.Encoder().encode_lines(records)
