"""From spans to Arrow columns: the chosen rows of a field, with no Python object per value."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.kernel.fast_bytes import Bytes
from assay.kernel.fast_spans import ABSENT, Numbers, Spans, gather, measure


def text_columns(data: Bytes, spans: Spans, fields: list[int], rows: Numbers) -> list[pa.Array]:
    offsets = np.empty((len(fields), len(rows) + 1), np.int32)
    chosen = np.array(fields, np.int64)
    measure(spans, rows, chosen, offsets)
    ends = np.cumsum(offsets[:, -1], dtype=np.int64)
    # Arrow's pool keeps its memory; fresh pages from the system for each chunk cost more than the copying.
    text = pa.allocate_buffer(int(ends[-1]) if len(ends) else 0)
    firsts = ends - offsets[:, -1]
    gather(data, spans, rows, chosen, offsets, firsts, np.frombuffer(text, np.uint8))
    return [
        pa.Array.from_buffers(
            pa.string(),
            len(rows),
            [_validity(spans, field, rows), pa.py_buffer(offsets[at]), text.slice(firsts[at], offsets[at, -1])],
        )
        for at, field in enumerate(fields)
    ]


def value_column(spans: Spans, field: int, rows: Numbers, values: NDArray[Any], arrow_type: pa.DataType) -> pa.Array:
    chosen = values[rows]
    if chosen.dtype == bool:
        chosen = np.packbits(chosen, bitorder="little")
    return pa.Array.from_buffers(arrow_type, len(rows), [_validity(spans, field, rows), pa.py_buffer(chosen)])


def _validity(spans: Spans, field: int, rows: Numbers) -> pa.Buffer | None:
    present = spans.kinds[rows, field] != ABSENT
    return None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
