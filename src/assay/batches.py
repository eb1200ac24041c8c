"""Reads rows of a stored Parquet file a batch at a time, whatever the file's size, and says so when it is damaged."""

from collections.abc import Generator

import pyarrow as pa
import pyarrow.parquet as pq

from assay.errors import ErrorCode, Unavailable
from assay.reading import StoredFile, check_footer
from assay.storage.base import Storage

ROWS_A_BATCH = 65_536


def read_batches(
    storage: Storage,
    key: str,
    *,
    size_bytes: int,
    first_row: int = 0,
    columns: list[str] | None = None,
    rows_a_batch: int = ROWS_A_BATCH,
) -> Generator[pa.RecordBatch, None, None]:
    """The file's rows from `first_row` on. Raises `Unavailable` when the storage does, or for what is no sound file."""
    source = pa.PythonFile(StoredFile(storage, key, size_bytes=size_bytes), mode="r")
    skipped = first_row
    try:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            check_footer(file)
            groups: list[int] = []
            for index in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(index).num_rows
                if not groups and rows <= skipped:
                    skipped -= rows
                else:
                    groups.append(index)
            for batch in file.iter_batches(rows_a_batch, row_groups=groups, columns=columns):
                if skipped < batch.num_rows:
                    yield batch.slice(skipped)
                skipped = max(0, skipped - batch.num_rows)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        # Arrow raises either for a page whose checksum is wrong, and for a file that is no Parquet at all.
        message = f"The stored file {key} is damaged: restore it from a backup, or import its upload again."
        raise Unavailable(message, code=ErrorCode.STORAGE_DAMAGED) from error
