"""Records that were accepted before, under another schema: every one is kept, with what the schema makes of its values.

Beside `check_chunk`, which decides about records, this never does: a value that the schema refuses becomes null and is
told. A record's id is the one that it has.
"""

from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.fieldtypes import Value
from assay.kernel.arrays import bool_array, int64_array
from assay.kernel.chunks import Chunk, ChunkTask, check_chunk
from assay.kernel.columns import Accepted, accepted_arrow_schema, accepted_from_values, merged
from assay.kernel.formats import FORMATS
from assay.kernel.identity import Ids, ids_to_arrow
from assay.schema import DatasetSchema


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


@dataclass(frozen=True)
class ChangedValue:
    """A value that became null, since the schema refuses it."""

    datapoint_id: UUID
    field: str
    reason: str


@dataclass(frozen=True)
class Normalised:
    """`table` has the kept records in their order; `nulled_count` of them lost a value, the first of which are told."""

    table: pa.Table
    nulled_count: int
    first_nulled: list[ChangedValue]


def planning_schema(schema: DatasetSchema) -> DatasetSchema:
    """What to plan the chunks of a file with that is to be normalised: a column that its header lacks is absence."""
    return DatasetSchema(strict=False, fields=tuple(replace(field, required=False) for field in schema.fields))


def readable(chunk: Chunk) -> Chunk:
    """The chunk with all its bytes to be read: a record may be longer by now than what is taken of new ones."""
    return replace(chunk, length=chunk.length + chunk.skipped_bytes, skipped_bytes=0, skipped_line_end_bytes=0)


def normalise_chunk(data: bytes, task: ChunkTask, kept: Kept, *, told: int) -> Normalised:
    """`data` are the bytes of the task's chunk, which is `readable`. At most `told` nulled values are told."""
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
    positions = np.flatnonzero(~is_accepted[kept.rows])
    mended, first_nulled = _mended(data, task, Kept(kept.rows[positions], kept.ids[positions]), told=told)
    both = merged([sound, mended])
    table = pa.Table.from_arrays(
        [ids_to_arrow(kept.ids), int64_array(kept.rows + task.chunk.first_record_index), *both.columns],
        schema=accepted_arrow_schema(task.schema),
    )
    return Normalised(table, nulled_count=len(positions), first_nulled=first_nulled)


def _mended(data: bytes, task: ChunkTask, faulty: Kept, *, told: int) -> tuple[Accepted, list[ChangedValue]]:
    """The records that the schema refuses, one by one, without the values at fault."""
    rows = faulty.rows.tolist()
    if not rows:
        return accepted_from_values(task.schema, [], []), []
    format = FORMATS[task.format]
    judge = format.judge(task.schema, task.chunk.header or ())
    frames = format.framing.frames(data)
    starts, stops = frames.starts.tolist(), frames.stops.tolist()
    records: list[list[Value | None]] = []
    nulled: list[ChangedValue] = []
    for row, identifier in zip(rows, faulty.ids, strict=True):
        values, faults = judge(data[starts[row] : stops[row]])
        # None at all where the record can't be read any more, which only another release's rules can bring about.
        records.append(values or [None] * len(task.schema.fields))
        if len(nulled) < told:
            key = UUID(bytes=identifier.tobytes())
            nulled += [ChangedValue(key, fault.field, fault.reason) for fault in faults]
    return accepted_from_values(task.schema, rows, records), nulled[:told]
