"""Arrow tables of what was accepted and of what was rejected, and the putting together of parts judged apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.fieldtypes import FIELD_TYPES, Value
from assay.kernel.arrays import int64_array, value_array
from assay.rejections import Fault
from assay.schema import DatasetSchema

ARROW_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date32[day]": pa.date32(),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
}

REJECTIONS = pa.schema(
    [
        pa.field("record_index", pa.int64(), nullable=False),
        pa.field("byte_offset", pa.int64(), nullable=False),
        pa.field("byte_length", pa.int64(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Accepted:
    """Accepted records of a chunk: which of its records they are, ascending, and a column for each schema field."""

    rows: NDArray[np.int64]
    columns: list[pa.Array]


@dataclass(frozen=True)
class Rejected:
    """One fault a row, in the order of the records; a record's byte range is relative to the chunk."""

    rows: NDArray[np.int64]
    faults: list[Fault]


def field_types(schema: DatasetSchema) -> list[pa.DataType]:
    return [ARROW_TYPES[FIELD_TYPES[field.type].arrow] for field in schema.fields]


def accepted_arrow_schema(schema: DatasetSchema) -> pa.Schema:
    """The columns of accepted records: two of ours, then the schema's in its order."""
    ours = [pa.field("datapoint_id", pa.uuid(), nullable=False), pa.field("record_index", pa.int64(), nullable=False)]
    pairs = zip(schema.fields, field_types(schema), strict=True)
    return pa.schema(ours + [pa.field(field.key, arrow_type) for field, arrow_type in pairs])


def accepted_from_values(schema: DatasetSchema, rows: list[int], records: list[list[Value | None]]) -> Accepted:
    types = field_types(schema)
    by_field = zip(*records, strict=True) if records else [()] * len(types)
    columns = [value_array(values, arrow_type) for values, arrow_type in zip(by_field, types, strict=True)]
    return Accepted(np.array(rows, np.int64), columns)


def merged(parts: Sequence[Accepted]) -> Accepted:
    """Parts that were judged in different ways as one, in the order of their records."""
    filled = [part for part in parts if len(part.rows)] or [parts[0]]
    if len(filled) == 1:
        return filled[0]
    rows = np.concatenate([part.rows for part in filled])
    order = np.argsort(rows, kind="stable")
    by_field = zip(*(part.columns for part in filled), strict=True)
    return Accepted(rows[order], [pa.concat_arrays(columns).take(int64_array(order)) for columns in by_field])


def rejections_table(
    rejected: Rejected,
    *,
    first_record_index: int,
    byte_offset: int,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> pa.Table:
    rows = rejected.rows
    # Most faults are alike: each is written once and then pointed at.
    numbers: dict[Fault, int] = {}
    pointers = int64_array(np.array([numbers.setdefault(fault, len(numbers)) for fault in rejected.faults], np.int64))
    columns = [
        int64_array(rows + first_record_index),
        int64_array(starts[rows] + byte_offset),
        int64_array(stops[rows] - starts[rows]),
        *(value_array([fault[part] for fault in numbers], pa.string()).take(pointers) for part in range(3)),
    ]
    return pa.Table.from_arrays(columns, schema=REJECTIONS)
