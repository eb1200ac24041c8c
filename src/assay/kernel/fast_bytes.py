"""The fast pass's tools for bytes: find the next byte that matters, check UTF-8, compare and copy.

Every function is total: whatever the bytes are, it reads and writes inside its arrays only.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from assay.kernel.fast_compile import compiled, inlined

Bytes = NDArray[np.uint8]

BLOCK = 32
"""Bytes looked at in one step."""


_make_array: Any = make_array
_copy_memory: Any = cgutils.raw_memcpy


def data_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(_make_array(array_type)(context, builder, array).data, [index])


def _block_run(with_controls: bool) -> Any:
    """Makes the function that tells how many of the 32 bytes from an index on come before the first stop byte, by one
    comparison of vectors. Stops are two given bytes, and perhaps all control bytes and those beyond ASCII."""
    byte, vector = ir.IntType(8), ir.VectorType(ir.IntType(8), BLOCK)

    def splat(builder: Any, value: Any) -> Any:
        nothing = ir.Constant(vector, ir.Undefined)
        single = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(single, nothing, ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = data_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        block = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)
        wanted = [splat(builder, builder.trunc(value, byte)) for value in arguments[2:]]
        stops = builder.or_(*(builder.icmp_unsigned("==", block, value) for value in wanted))
        if with_controls:  # as signed numbers, bytes beyond ASCII are below the control bytes
            stops = builder.or_(stops, builder.icmp_signed("<", block, ir.Constant(vector, [0x20] * BLOCK)))
        bits = builder.zext(builder.bitcast(stops, ir.IntType(BLOCK)), ir.IntType(64))
        bits = builder.or_(bits, ir.Constant(ir.IntType(64), 1 << BLOCK))
        return builder.cttz(bits, ir.Constant(ir.IntType(1), 1))

    def typed(typing_context: Any, array: Any, index: Any, first: Any, second: Any) -> Any:
        return types.int64(array, types.int64, types.int64, types.int64), generate

    return intrinsic(typed)


def _typed_copy(typing_context: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to = data_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        origin = data_pointer(context, builder, signature.args[2], arguments[2], arguments[3])
        _copy_memory(builder, to, origin, arguments[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


_plain_run: Any = _block_run(with_controls=True)
_other_run: Any = _block_run(with_controls=False)
_copy_unchecked: Any = intrinsic(_typed_copy)


@inlined
def skip_plain(data: Bytes, i: int, first: int, second: int) -> int:
    """The first position from `i` on of a control byte, a byte beyond ASCII, or one of two; the size if none comes."""
    size = data.size
    while i >= 0 and i + BLOCK <= size:
        run = _plain_run(data, i, first, second)
        i += run
        if run < BLOCK:
            return i
    while i < size and 0x20 <= data[i] < 0x80 and data[i] != first and data[i] != second:
        i += 1
    return i


@inlined
def find_either(data: Bytes, i: int, first: int, second: int) -> int:
    """The first position from `i` on of one of two bytes; the size if none comes."""
    size = data.size
    while i >= 0 and i + BLOCK <= size:
        run = _other_run(data, i, first, second)
        i += run
        if run < BLOCK:
            return i
    while i < size and data[i] != first and data[i] != second:
        i += 1
    return i


@inlined
def as_integer(small: int) -> int:
    """A number of fewer bits, or without sign, as one that numba computes with as Python would."""
    return np.int64(small)  # type: ignore[return-value]  # to Python it is as good as an int


@compiled
def copy_bytes(target: Bytes, at: int, source: Bytes, start: int, length: int) -> None:
    if at >= 0 and start >= 0 and length > 0 and at + length <= target.size and start + length <= source.size:
        _copy_unchecked(target, at, source, start, length)


@compiled
def after_character(data: Bytes, i: int) -> int:
    """The position after one UTF-8 sequence beyond ASCII, or -1 if it is none (RFC 3629, table 3-7 of Unicode)."""
    lead = data[i]
    left = data.size - i
    if 0xC2 <= lead <= 0xDF:
        return i + 2 if left > 1 and data[i + 1] & 0xC0 == 0x80 else -1
    if left > 2 and 0xE0 <= lead <= 0xEF:
        second = data[i + 1]
        low = 0xA0 if lead == 0xE0 else 0x80
        high = 0x9F if lead == 0xED else 0xBF
        return i + 3 if low <= second <= high and data[i + 2] & 0xC0 == 0x80 else -1
    if left > 3 and 0xF0 <= lead <= 0xF4:
        second = data[i + 1]
        low = 0x90 if lead == 0xF0 else 0x80
        high = 0x8F if lead == 0xF4 else 0xBF
        fine = low <= second <= high and data[i + 2] & 0xC0 == 0x80 and data[i + 3] & 0xC0 == 0x80
        return i + 4 if fine else -1
    return -1


@inlined
def same_bytes(left: Bytes, left_start: int, right: Bytes, right_start: int, length: int) -> bool:
    for k in range(length):  # noqa: SIM110  # numba compiles no generators
        if left[left_start + k] != right[right_start + k]:
            return False
    return True
