"""Tables as Parquet bytes, quick to write and small: zstd, and dictionaries only where values repeat.

What a page holds has a checksum; the footer has none, so whoever writes a file keeps the footer's hash, and whoever
reads it compares. The few bytes before a page have none either: `parquet_bytes` makes files in which damage to them
shows.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from assay.kernel.arrays import bool_array

if TYPE_CHECKING:
    from typing_extensions import Buffer  # `collections.abc.Buffer` came with Python 3.12

COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1

# The footer's length and the magic, which a file ends with.
# https://parquet.apache.org/docs/file-format/
TRAILER_BYTES = 8

# The most of a row group: of what has to be in memory at once to be read.
ROWS_A_GROUP = 65_536
GROUP_BYTES = 32 * 1024 * 1024
# Each column of a row group is one page, however large it is. Damage to what stands before a page can't pass for data
# then: a page that is passed over, or is short, leaves its column short, while of several pages the next one's values
# would move up to records that are not theirs.
PAGE_BYTES = 512 * 1024 * 1024
_ONE_PAGE = {"data_page_size": PAGE_BYTES, "dictionary_pagesize_limit": PAGE_BYTES}
if "max_rows_per_page" in inspect.signature(pq.ParquetWriter).parameters:  # older ones know no such limit
    _ONE_PAGE["max_rows_per_page"] = ROWS_A_GROUP

# A dictionary of values that hardly repeat costs half of the writer's speed and makes nothing smaller.
SAMPLE_ROWS = 2048
REPEATS_WITHIN_SAMPLE = 0.5


def parquet_bytes(table: pa.Table) -> pa.Buffer:
    """A file to be stored and read again, of which damage never passes for data."""
    return joined_parquet_bytes([table])


def joined_parquet_bytes(tables: Iterable[pa.Table]) -> pa.Buffer:
    """The same of several tables, at least one, one after the other; no more of them is held than a row group needs."""
    sink = pa.BufferOutputStream()
    with ExitStack() as stack:
        writer = None
        for table in gathered(tables):
            writer = writer or stack.enter_context(_writer(sink, table, **_ONE_PAGE))
            rows_of_size = GROUP_BYTES * table.num_rows // max(1, table.nbytes)
            writer.write_table(table, row_group_size=max(1, min(ROWS_A_GROUP, rows_of_size)))
    return sink.getvalue()


def gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The tables put together, as many as a row group takes."""
    group: list[pa.Table] = []
    rows = size_bytes = 0
    for table in tables:
        if group and (rows + table.num_rows > ROWS_A_GROUP or size_bytes + table.nbytes > GROUP_BYTES):
            yield pa.concat_tables(group)
            group, rows, size_bytes = [], 0, 0
        group.append(table)
        rows += table.num_rows
        size_bytes += table.nbytes
    if group:
        yield pa.concat_tables(group)


def parquet_writer(sink: object, first: pa.Table) -> pq.ParquetWriter:
    """A writer for tables like `first`, whose values decide about dictionaries."""
    return _writer(sink, first)


def _writer(sink: object, first: pa.Table, **sizes: int) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        first.schema,
        compression=COMPRESSION,
        compression_level=COMPRESSION_LEVEL,
        write_batch_size=8192,
        write_page_checksum=True,  # damage on a disk must not be read as data
        use_dictionary=repeating_columns(first),
        write_statistics=[field.name for field in first.schema if not _is_text(field.type)],
        **sizes,
    )


def repeating_columns(table: pa.Table) -> list[str]:
    """The names of the text columns of whose first values less than half are distinct."""
    sample = table.slice(0, SAMPLE_ROWS)
    limit = int(sample.num_rows * REPEATS_WITHIN_SAMPLE)
    return [
        field.name
        for field, column in zip(sample.schema, sample.columns, strict=True)
        if _is_text(field.type) and _has_at_most(limit, column)
    ]


def _has_at_most(limit: int, column: pa.ChunkedArray) -> bool:
    """So many distinct values. Where nothing repeats, the first few show it."""
    return all(len(values.unique()) <= limit for values in (column.slice(0, limit + 1), column))


def _is_text(arrow_type: pa.DataType) -> bool:
    return bool(arrow_type == pa.string())


def without_stored_rows(parquet: pa.Buffer, row_indices: NDArray[np.int64]) -> pa.Buffer:
    """The same file without these rows."""
    table = pq.read_table(pa.BufferReader(parquet), page_checksum_verification=True)
    return parquet_bytes(without_rows(table, row_indices))


def without_rows(table: pa.Table, row_indices: NDArray[np.int64]) -> pa.Table:
    if not len(row_indices):
        return table
    kept = np.ones(table.num_rows, np.bool_)
    kept[row_indices] = False
    return table.filter(bool_array(kept))


def footer_size(end: Buffer) -> int:
    """How many bytes at the end of a Parquet file are its footer, by their own word; `end` is the file or its end."""
    trailer = memoryview(end)[-TRAILER_BYTES:]
    return int.from_bytes(trailer[:4], "little") + TRAILER_BYTES


def footer_hash(end: Buffer) -> str:
    """The hash of a Parquet file's footer, with its length and the magic; `end` is the file, or all its footer."""
    return xxhash.xxh3_128(memoryview(end)[-footer_size(end) :]).hexdigest()


def check_footer(end: Buffer, expected_hash: str) -> None:
    """Raise `ArrowInvalid`, as Arrow does for a page, when the footer is not the one that was written."""
    if footer_hash(end) != expected_hash:
        raise pa.ArrowInvalid("the footer is not the one that was written")
