"""The fast pass over JSON's other values: numbers, words, and what objects and arrays hold, with no key twice."""

from typing import NamedTuple

import numpy as np

from assay.kernel.fast_bytes import Bytes, same_bytes
from assay.kernel.fast_compile import compiled, inlined
from assay.kernel.fast_spans import Numbers
from assay.kernel.fast_strings import QUOTE, walk_string

COMMA, COLON = 0x2C, 0x3A
OPEN_BRACE, OPEN_BRACKET, CLOSE_BRACE = 0x7B, 0x5B, 0x7D  # a closing bracket is its opening one + 2

# What is nested deeper, or has more keys open at once, is left to the exact pass.
MAX_DEPTH = 64
MAX_OPEN_KEYS = 256


class Nest(NamedTuple):
    """The walk's stack: the open brackets, and the keys so far of the open objects."""

    kinds: Numbers
    bases: Numbers
    starts: Numbers
    lengths: Numbers


def new_nest() -> Nest:
    depth, keys = np.zeros(MAX_DEPTH, np.int64), np.zeros(MAX_OPEN_KEYS, np.int64)
    return Nest(depth, depth.copy(), keys, keys.copy())


@inlined
def skip_space(data: Bytes, i: int) -> int:
    while data[i] == 0x20 or data[i] == 0x09 or data[i] == 0x0D:
        i += 1
    return i


@inlined
def is_digit(c: int) -> bool:
    return 0x30 <= c <= 0x39


@compiled
def walk_digits(data: Bytes, i: int) -> int:
    first = i
    while is_digit(data[i]):
        i += 1
    return i if i > first else -1


@compiled
def walk_number(data: Bytes, i: int) -> int:
    """The position after a number, or -1."""
    if data[i] == 0x2D:
        i += 1
    i = i + 1 if data[i] == 0x30 else walk_digits(data, i)
    if i >= 0 and data[i] == 0x2E:
        i = walk_digits(data, i + 1)
    if i >= 0 and data[i] | 0x20 == 0x65:
        i += 1
        if data[i] == 0x2B or data[i] == 0x2D:
            i += 1
        i = walk_digits(data, i)
    return i


@compiled
def walk_word(data: Bytes, i: int) -> int:
    """The position after true, false or null, or -1."""
    if data[i] == 0x74 and data[i + 1] == 0x72 and data[i + 2] == 0x75 and data[i + 3] == 0x65:
        return i + 4
    if data[i] == 0x6E and data[i + 1] == 0x75 and data[i + 2] == 0x6C and data[i + 3] == 0x6C:
        return i + 4
    false = data[i] == 0x66 and data[i + 1] == 0x61 and data[i + 2] == 0x6C and data[i + 3] == 0x73
    return i + 5 if false and data[i + 4] == 0x65 else -1


@compiled
def walk_scalar(data: Bytes, i: int) -> int:
    if data[i] == QUOTE:
        end, _ = walk_string(data, i + 1)
        return end + 1 if end >= 0 else -1
    return walk_number(data, i) if data[i] == 0x2D or is_digit(data[i]) else walk_word(data, i)


@compiled
def walk_nested_key(data: Bytes, i: int, nest: Nest, base: int, top: int) -> int:
    """From where a key should be: the position of its value, or -1. A key with escapes can't be compared: -1."""
    if data[i] != QUOTE or top >= MAX_OPEN_KEYS:
        return -1
    end, escaped = walk_string(data, i + 1)
    if end < 0 or escaped:
        return -1
    start, length = i + 1, end - i - 1
    for k in range(base, top):
        if nest.lengths[k] == length and same_bytes(data, nest.starts[k], data, start, length):
            return -1
    nest.starts[top] = start
    nest.lengths[top] = length
    i = skip_space(data, end + 1)
    return skip_space(data, i + 1) if data[i] == COLON else -1


@compiled
def open_bracket(data: Bytes, i: int, nest: Nest, depth: int, top: int) -> tuple[int, bool]:
    """Puts the bracket at `i` on the stack: (the position of the first value that it holds, or -1, False), or
    (the position of its closing bracket, True) where it holds none."""
    if depth == MAX_DEPTH:
        return -1, False
    kind = data[i]
    nest.kinds[depth] = kind
    nest.bases[depth] = top
    i = skip_space(data, i + 1)
    if data[i] == kind + 2:
        return i, True
    return walk_nested_key(data, i, nest, top, top) if kind == OPEN_BRACE else i, False


@compiled
def walk_container(data: Bytes, i: int, nest: Nest) -> int:
    """From an opening bracket: the position after its closing one, or -1."""
    depth = top = 0
    while i >= 0:
        # At a value.
        if data[i] == OPEN_BRACE or data[i] == OPEN_BRACKET:
            is_object = data[i] == OPEN_BRACE
            i, is_empty = open_bracket(data, i, nest, depth, top)
            if i < 0:
                break
            depth += 1
            if not is_empty:
                top += is_object
                continue
        else:
            i = walk_scalar(data, i)
        # After a value, or at the end of an empty container.
        while i >= 0:
            i = skip_space(data, i)
            kind = nest.kinds[depth - 1]
            if data[i] == kind + 2:
                depth -= 1
                top = nest.bases[depth]
                i += 1
                if depth == 0:
                    return i
            elif data[i] != COMMA:
                i = -1
            else:
                i = skip_space(data, i + 1)
                if kind == OPEN_BRACE:
                    i = walk_nested_key(data, i, nest, nest.bases[depth - 1], top)
                    top += 1
                break
    return -1
