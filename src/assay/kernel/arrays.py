"""Arrow arrays from numpy arrays and from Python values.

`pyarrow.array` does the same, but it imports pandas wherever that is installed, which takes longer than the check of a
small file.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.fieldtypes import Value

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_WIDTHS = {pa.int64(): np.int64, pa.float64(): np.float64, pa.timestamp("us", tz="UTC"): np.int64}


def int64_array(values: NDArray[np.int64]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])


def bool_array(values: NDArray[np.bool_]) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def value_array(values: Sequence[Value | None], arrow_type: pa.DataType) -> pa.Array:
    """A column of what the field types' parse functions give; None is null."""
    present = [value for value in values if value is not None]
    is_present = None if len(present) == len(values) else np.array([value is not None for value in values], np.bool_)
    validity = None if is_present is None else _bits(is_present)
    if arrow_type == pa.string():
        encoded = [str(value).encode() for value in present]
        lengths = _spread(np.array([len(text) for text in encoded], np.int32), is_present)
        offsets = np.zeros(len(values) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    elif arrow_type == pa.bool_():
        buffers = [validity, _bits(_spread(np.array(present, np.bool_), is_present).astype(np.bool_))]
    elif arrow_type == pa.date32():
        days = np.array([value.toordinal() - _EPOCH_DAY for value in present if isinstance(value, date)], np.int32)
        buffers = [validity, pa.py_buffer(_spread(days, is_present))]
    else:
        buffers = [validity, pa.py_buffer(_spread(np.array(present, _WIDTHS[arrow_type]), is_present))]
    return pa.Array.from_buffers(arrow_type, len(values), buffers)


def _spread(present: NDArray[np.generic], is_present: NDArray[np.bool_] | None) -> NDArray[np.generic]:
    """The values in their places, zeros where there is none."""
    if is_present is None:
        return present
    spread = np.zeros(len(is_present), present.dtype)
    spread[is_present] = present
    return spread


def _bits(values: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
