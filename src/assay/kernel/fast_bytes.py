"""The fast pass's tools for bytes: find the next byte that matters, check UTF-8, compare and copy.

Every function is total: whatever the bytes are, it reads and writes inside its arrays only.
"""

import numpy as np
from numpy.typing import NDArray

from assay.kernel.fast_blocks import BLOCK, copy_unchecked, either_run, equal_run, plain_run, run_of
from assay.kernel.fast_compile import compiled, inlined

Bytes = NDArray[np.uint8]

HOST_BYTES = np.array([c < 0x80 and (chr(c).isalnum() or c in b".-_") for c in range(256)])

# Printable ASCII but for <>"\\, and bytes beyond ASCII that can't be part of a white space character.
URL_BYTES = np.array(
    [(0x20 < c < 0x7F and c not in b'<>"\\') or (c >= 0x80 and c not in (0xC2, 0xE1, 0xE2, 0xE3)) for c in range(256)]
)

_host_run = run_of(HOST_BYTES)
_url_run = run_of(URL_BYTES)


@inlined
def skip_plain(data: Bytes, i: int, first: int, second: int) -> int:
    """The first position from `i` on of a control byte, a byte beyond ASCII, or one of two; the size if none comes."""
    size = data.size
    while i >= 0 and i + BLOCK <= size:
        run = plain_run(data, i, first, second)
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
        run = either_run(data, i, first, second)
        i += run
        if run < BLOCK:
            return i
    while i < size and data[i] != first and data[i] != second:
        i += 1
    return i


@inlined
def skip_host(data: Bytes, i: int, end: int) -> int:
    """The first position from `i` to `end` that has no ASCII letter or digit, nor one of `.-_`; `end` if none comes."""
    while 0 <= i < end and i + BLOCK <= data.size:
        run = _host_run(data, i)
        i += run
        if run < BLOCK:
            return min(i, end)
    while i < end and HOST_BYTES[data[i]]:
        i += 1
    return min(i, end)


@inlined
def skip_url(data: Bytes, i: int, end: int) -> int:
    """The same for a byte that isn't one of `URL_BYTES`."""
    while 0 <= i < end and i + BLOCK <= data.size:
        run = _url_run(data, i)
        i += run
        if run < BLOCK:
            return min(i, end)
    while i < end and URL_BYTES[data[i]]:
        i += 1
    return min(i, end)


@inlined
def as_integer(small: int) -> int:
    """A number of fewer bits, or without sign, as one that numba computes with as Python would."""
    return np.int64(small)  # type: ignore[return-value]  # to Python it is as good as an int


@compiled
def copy_bytes(target: Bytes, at: int, source: Bytes, start: int, length: int) -> None:
    if at >= 0 and start >= 0 and length > 0 and at + length <= target.size and start + length <= source.size:
        copy_unchecked(target, at, source, start, length)


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
    same = 0
    while same < length and left_start + same + BLOCK <= left.size and right_start + same + BLOCK <= right.size:
        run: int = equal_run(left, left_start + same, right, right_start + same)
        same += run
        if run < BLOCK:
            return same >= length
    while same < length and left[left_start + same] == right[right_start + same]:
        same += 1
    return same >= length
