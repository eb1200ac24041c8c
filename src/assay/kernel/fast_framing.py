"""The ends of records, found by compiled code: the offsets that `framing` finds, which uses it where it is loaded."""

import numpy as np

from assay.kernel.fast_bytes import Bytes, find_either
from assay.kernel.fast_compile import compiled
from assay.kernel.fast_spans import Numbers

LINE_FEED, QUOTE, COMMA = 0x0A, 0x22, 0x2C
BATCH_ENDS = 1 << 16


def jsonl_ends(data: bytes, start: int, most: int) -> Numbers:
    return _all_ends(data, start, most, is_csv=False)


def csv_ends(data: bytes, start: int, most: int) -> Numbers:
    return _all_ends(data, start, most, is_csv=True)


def _all_ends(data: bytes, start: int, most: int, *, is_csv: bool) -> Numbers:
    whole = np.frombuffer(data, np.uint8)
    found = [np.empty(0, np.int64)]
    while most > 0:
        ends = np.empty(min(most, BATCH_ENDS), np.int64)
        count = find_csv_ends(whole, start, ends) if is_csv else find_line_ends(whole, start, ends)
        found.append(ends[:count])
        if count < len(ends):
            break
        start = int(ends[-1])
        most -= count
    return np.concatenate(found)


@compiled
def find_line_ends(data: Bytes, i: int, ends: Numbers) -> int:
    """Fills in the offsets just past each line feed from `i` on, as many as there is room for; how many."""
    count = 0
    while count < ends.size:
        i = find_either(data, i, LINE_FEED, LINE_FEED)
        if i >= data.size:
            break
        i += 1
        ends[count] = i
        count += 1
    return count


@compiled
def find_csv_ends(data: Bytes, i: int, ends: Numbers) -> int:
    """The same for line feeds outside quotes; a quote opens only where a cell starts."""
    count = 0
    record = i
    while count < ends.size:
        i = find_either(data, i, LINE_FEED, QUOTE)
        if i >= data.size:
            break
        if data[i] == LINE_FEED:
            i += 1
            record = i
            ends[count] = i
            count += 1
        elif i == record or data[i - 1] == COMMA:
            i = after_quoted(data, i + 1)
        else:
            i += 1
    return count


@compiled
def after_quoted(data: Bytes, i: int) -> int:
    """From after an opening quote: the position after the closing one, or the size if none closes it."""
    while True:
        i = find_either(data, i, QUOTE, QUOTE) + 1
        if i >= data.size or data[i] != QUOTE:
            return min(i, data.size)
        i += 1
