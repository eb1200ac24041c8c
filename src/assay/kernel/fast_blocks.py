"""Sixty-four bytes at once: comparisons of vectors, made as LLVM's own instructions, and copies of memory.

Nothing here looks whether the bytes are there, a whole block of them from an index on: whoever calls it does.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

BLOCK = 64
"""Bytes looked at in one step."""

_BYTE = ir.IntType(8)
_VECTOR = ir.VectorType(_BYTE, BLOCK)
_make_array: Any = make_array
_copy_memory: Any = cgutils.raw_memcpy


def data_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(_make_array(array_type)(context, builder, array).data, [index])


def _block_at(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    pointer = data_pointer(context, builder, array_type, array, index)
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=1)


def _run(builder: Any, stops: Any) -> Any:
    """How many bytes come before the first stop; all of them where none comes."""
    return builder.cttz(builder.bitcast(stops, ir.IntType(BLOCK)), ir.Constant(ir.IntType(1), 0))


def _of(byte: int) -> Any:
    return ir.Constant(_VECTOR, [byte] * BLOCK)


def _splat(builder: Any, number: Any) -> Any:
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(nothing, builder.trunc(number, _BYTE), ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, nothing, ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK))


def _is_either(builder: Any, block: Any, first: Any, second: Any) -> Any:
    either = (builder.icmp_unsigned("==", block, _splat(builder, wanted)) for wanted in (first, second))
    return builder.or_(*either)


def _is_special(builder: Any, block: Any, first: Any, second: Any) -> Any:
    """As signed numbers, bytes beyond ASCII are below the control bytes."""
    return builder.or_(_is_either(builder, block, first, second), builder.icmp_signed("<", block, _of(0x20)))


def _run_until(is_stop: Callable[..., Any]) -> Any:
    """The intrinsic (array, index, first, second) -> how many bytes come before the first one that is a stop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _block_at(context, builder, signature.args[0], arguments[0], arguments[1])
        return _run(builder, is_stop(builder, block, *arguments[2:]))

    def typed(typing_context: Any, array: Any, index: Any, first: Any, second: Any) -> Any:
        return types.int64(array, types.int64, types.int64, types.int64), generate

    return intrinsic(typed)


def run_of(members: NDArray[np.bool_]) -> Any:
    """The intrinsic (array, index) -> how many bytes come before the first that is none of `members`, [byte]."""
    bounds = np.flatnonzero(np.diff(~members, prepend=False, append=False)).reshape(-1, 2).tolist()

    def is_stop(builder: Any, block: Any) -> Any:
        within = (
            builder.icmp_unsigned("<", builder.sub(block, _of(start)), _of(stop - start)) for start, stop in bounds
        )
        return reduce(builder.or_, within)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _run(builder, is_stop(builder, _block_at(context, builder, signature.args[0], *arguments)))

    def typed(typing_context: Any, array: Any, index: Any) -> Any:
        return types.int64(array, types.int64), generate

    return intrinsic(typed)


def _typed_equal(typing_context: Any, left: Any, left_at: Any, right: Any, right_at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        blocks = [_block_at(context, builder, signature.args[at], arguments[at], arguments[at + 1]) for at in (0, 2)]
        return _run(builder, builder.icmp_unsigned("!=", *blocks))

    return types.int64(left, types.int64, right, types.int64), generate


def _typed_copy(typing_context: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to = data_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        origin = data_pointer(context, builder, signature.args[2], arguments[2], arguments[3])
        _copy_memory(builder, to, origin, arguments[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


plain_run: Any = _run_until(_is_special)
either_run: Any = _run_until(_is_either)
equal_run: Any = intrinsic(_typed_equal)
copy_unchecked: Any = intrinsic(_typed_copy)
