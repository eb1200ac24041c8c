"""Records that were accepted before, under another schema: every one is kept, with what the schema makes of its values.

Beside `check_chunk`, which decides about records, this never does: a value that the schema refuses becomes null and is
told. A record's id is the one that it has.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.fieldtypes import Value
from assay.kernel.arrays import bool_array, int64_array
from assay.kernel.chunks import Chunk, ChunkTask, check_chunk
from assay.kernel.columns import Accepted, accepted_arrow_schema, accepted_from_values, merged
from assay.kernel.formats import FORMATS
from assay.kernel.identity import Ids, ids_to_arrow


@dataclass(frozen=True)
class Kept:
    """The records of a chunk, or of a file, that are to be kept: their places in it, ascending, and their ids."""

    rows: NDArray[np.int64]
    ids: Ids


IDENTITY_COLUMNS = ("datapoint_id", "record_index")


def kept_of_table(table: pa.Table) -> Kept:
    """Accepted records by their ids and their indices in the whole file, from the columns that say so."""
    ids = table.column("datapoint_id").combine_chunks().storage
    halves = np.frombuffer(ids.buffers()[1], np.uint8).reshape(-1, 16)
    return Kept(table.column("record_index").to_numpy(), halves[ids.offset : ids.offset + len(ids)])


NULLED = pa.schema(
    [
        pa.field("datapoint_id", pa.uuid(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Normalised:
    """`table` has the kept records in their order, `nulled` every value that became null, since the schema refuses it;
    `nulled_count` records lost one."""

    table: pa.Table
    nulled: pa.Table
    nulled_count: int


def readable(chunk: Chunk) -> Chunk:
    """The chunk with all its bytes to be read: a record may be longer by now than what is taken of new ones."""
    return replace(chunk, length=chunk.length + chunk.skipped_bytes, skipped_bytes=0, skipped_line_end_bytes=0)


def normalise_chunk(data: bytes, task: ChunkTask, kept: Kept) -> Normalised:
    """`data` are the bytes of the task's chunk, which is `readable`."""
    # Records that the schema accepts are what they would be in a new import, and as quick.
    result = check_chunk(data, replace(task, record_limit_bytes=max(len(data), task.record_limit_bytes)))
    accepted_rows = result.table.column("record_index").to_numpy() - task.chunk.first_record_index
    is_kept = np.zeros(result.record_count, np.bool_)
    is_kept[kept.rows] = True
    is_accepted = np.zeros(result.record_count, np.bool_)
    is_accepted[accepted_rows] = True
    wanted = is_kept[accepted_rows]
    columns = [column.combine_chunks().filter(bool_array(wanted)) for column in result.table.columns[2:]]
    sound = Accepted(accepted_rows[wanted], columns)
    faulty = kept.rows[~is_accepted[kept.rows]]
    both = merged([sound, _mended(data, task, faulty)])
    table = pa.Table.from_arrays(
        [ids_to_arrow(kept.ids), int64_array(kept.rows + task.chunk.first_record_index), *both.columns],
        schema=accepted_arrow_schema(task.schema),
    )
    return Normalised(table, _nulled(result.rejections, task.chunk, kept, is_kept), nulled_count=len(faulty))


def _mended(data: bytes, task: ChunkTask, rows: NDArray[np.int64]) -> Accepted:
    """The records that the schema refuses, one by one, without the values at fault."""
    if not len(rows):
        return accepted_from_values(task.schema, [], [])
    format = FORMATS[task.format]
    judge = format.judge(task.schema, task.chunk.header or ())
    frames = format.framing.frames(data)
    starts, stops = frames.starts.tolist(), frames.stops.tolist()
    records: list[list[Value | None]] = []
    for row in rows.tolist():
        values, _ = judge(data[starts[row] : stops[row]])
        # None at all where the record can't be read any more, which only another release's rules can bring about.
        records.append(values or [None] * len(task.schema.fields))
    return accepted_from_values(task.schema, rows.tolist(), records)


def _nulled(rejections: pa.Table, chunk: Chunk, kept: Kept, is_kept: NDArray[np.bool_]) -> pa.Table:
    """The faults of the kept records, by their ids."""
    rows = rejections.column("record_index").to_numpy() - chunk.first_record_index
    wanted = is_kept[rows]
    ids = kept.ids[np.searchsorted(kept.rows, rows[wanted])]
    told = [rejections.column(name).combine_chunks().filter(bool_array(wanted)) for name in ("field", "reason")]
    return pa.Table.from_arrays([ids_to_arrow(ids), *told], schema=NULLED)
