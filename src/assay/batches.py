"""Reads rows of a stored Parquet file a batch at a time, whatever the file's size, and says so when it is damaged."""

from collections.abc import Generator

import pyarrow as pa

from assay.jobs import StoredParquet
from assay.reading import open_parquet
from assay.storage.base import Storage

ROWS_A_BATCH = 65_536


def read_batches(
    storage: Storage,
    file: StoredParquet,
    *,
    first_row: int = 0,
    columns: list[str] | None = None,
    rows_a_batch: int = ROWS_A_BATCH,
) -> Generator[pa.RecordBatch, None, None]:
    """The file's rows from `first_row` on. Raises `Unavailable` when the storage does, or for what is no sound file."""
    skipped = first_row
    with open_parquet(storage, file) as parquet:
        for index in range(parquet.metadata.num_row_groups):
            rows = parquet.metadata.row_group(index).num_rows
            if rows <= skipped:
                skipped -= rows
                continue
            # Each group by itself: what a damaged one lacks would be taken from the next one.
            for batch in parquet.iter_batches(rows_a_batch, row_groups=[index], columns=columns):
                rows -= batch.num_rows
                if skipped < batch.num_rows:
                    yield batch.slice(skipped)
                skipped = max(0, skipped - batch.num_rows)
            if rows:
                raise pa.ArrowInvalid("a row group has other rows than the footer says")
