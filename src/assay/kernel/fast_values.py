"""The fast pass over values: recognises what is surely valid, one field at a time, and writes it as numbers.

Each function takes the spans of a batch, and marks a row as suspect that it can't vouch for. Where a value stands
doesn't matter: spans point into the chunk or, past its end, into the side buffer.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.kernel.fast_bytes import Bytes, as_integer, skip_host, skip_url
from assay.kernel.fast_compile import compiled, inlined
from assay.kernel.fast_keys import Keys, lookup
from assay.kernel.fast_nested import OPEN_BRACE, OPEN_BRACKET, Nest, is_digit, walk_container, walk_scalar
from assay.kernel.fast_spans import ABSENT, CELL, SUSPECT, Numbers, Spans, source_of


@compiled
def mark_kinds(spans: Spans, allowed: Numbers, marks: Bytes) -> None:
    """Fills in a status, [field, row], for each value of a row: suspect if its kind isn't among the bits `allowed`."""
    for field in range(allowed.size):
        for row in range(spans.status.size):
            fine = allowed[field] >> spans.kinds[row, field] & 1
            marks[field, row] = spans.status[row] if fine else SUSPECT


@compiled
def mark_lengths(data: Bytes, spans: Spans, field: int, least: int, most: int) -> None:
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            count = 0
            for k in range(start, end):
                count += source[k] & 0xC0 != 0x80
            if count < least or count > most:
                spans.status[row] = SUSPECT


@compiled
def mark_unlisted(data: Bytes, spans: Spans, field: int, listed: Keys) -> None:
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            if lookup(source, start, end, listed) < 0:
                spans.status[row] = SUSPECT


@compiled
def mark_empty_identifiers(data: Bytes, spans: Spans, field: int) -> None:
    """A character of ASCII that is no white space makes an identifier; without one the exact pass decides."""
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            while start < end and not 0x20 < source[start] < 0x7F:
                start += 1
            if start == end:
                spans.status[row] = SUSPECT


@inlined
def after_scheme(source: Bytes, i: int, end: int) -> int:
    if end - i < 8:
        return -1
    for k in range(4):
        if source[i + k] | 0x20 != (0x68, 0x74, 0x74, 0x70)[k]:
            return -1
    i += 4
    if source[i] | 0x20 == 0x73:
        i += 1
    return i + 3 if source[i] == 0x3A and source[i + 1] == 0x2F and source[i + 2] == 0x2F else -1


@inlined
def after_host(source: Bytes, i: int, end: int) -> int:
    """A host of ASCII letters, digits, dots, dashes, underscores, one of the first two to begin with; then perhaps a
    port of at most four digits."""
    first = i
    i = skip_host(source, i, end)
    if i == first or source[first] == 0x2D or source[first] == 0x2E or source[first] == 0x5F:
        return -1
    if i < end and source[i] == 0x3A:
        i += 1
        first = i
        while i < end and is_digit(source[i]):
            i += 1
        if i - first > 4:
            return -1
    return i


@compiled
def ends_with_one(source: Bytes, start: int, end: int, endings: Bytes) -> bool:
    """`endings`: [ending, character] in lower case, right-aligned, filled up with zeros on the left."""
    for k in range(endings.shape[0]):
        fits = True
        for back in range(1, endings.shape[1] + 1):
            wanted = endings[k, endings.shape[1] - back]
            if wanted == 0:
                break
            c = source[end - back] if end - back >= start else 0
            if c != wanted and not (0x41 <= c <= 0x5A and c | 0x20 == wanted):
                fits = False
                break
        if fits:
            return True
    return False


@inlined
def is_url(source: Bytes, start: int, end: int, endings: Bytes) -> bool:
    if end - start > 8192:
        return False
    i = after_scheme(source, start, end)
    if i >= 0:
        i = after_host(source, i, end)
    if i < 0 or (i < end and source[i] != 0x2F and source[i] != 0x3F and source[i] != 0x23):
        return False
    if skip_url(source, i, end) < end:
        return False
    if endings.shape[0] == 0:
        return True
    path_end = i
    while path_end < end and source[path_end] != 0x3F and source[path_end] != 0x23:
        path_end += 1
    return ends_with_one(source, i, path_end, endings)


@compiled
def mark_not_urls(data: Bytes, spans: Spans, field: int, endings: Bytes) -> None:
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            if not is_url(source, start, end, endings):
                spans.status[row] = SUSPECT


@inlined
def integer_of(source: Bytes, i: int, end: int) -> tuple[bool, int]:
    """(recognised, value): an integer of at most 18 digits, perhaps with a fraction of zeros."""
    negative = i < end and source[i] == 0x2D
    if negative:
        i += 1
    first = i
    value = 0
    while i < end and is_digit(source[i]) and i - first < 19:
        value = value * 10 + as_integer(source[i] - 0x30)
        i += 1
    digits = i - first
    if digits == 0 or digits > 18 or (digits > 1 and source[first] == 0x30):
        return False, 0
    if i + 1 < end and source[i] == 0x2E:
        i += 1
        while i < end and source[i] == 0x30:
            i += 1
    return i == end, -value if negative else value


@compiled
def read_integers(data: Bytes, spans: Spans, field: int, values: NDArray[Any], low: int, high: int) -> None:
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            fine, value = integer_of(source, start, end)
            values[row] = value
            if not fine or value < low or value > high:
                spans.status[row] = SUSPECT


@inlined
def number_of(source: Bytes, i: int, end: int, powers: NDArray[np.float64]) -> tuple[int, float]:
    """(0 no number, 1 a number, 2 one that is too hard; its value).

    Exact by Clinger's argument: up to 2^53 and up to 10^22 a float holds either, and one operation rounds once.
    """
    negative = i < end and source[i] == 0x2D
    if negative:
        i += 1
    first = i
    mantissa = 0
    while i < end and is_digit(source[i]):
        mantissa = mantissa * 10 + as_integer(source[i] - 0x30)
        i += 1
    digits = i - first
    if digits == 0 or (digits > 1 and source[first] == 0x30):
        return 0, 0.0
    exponent = 0
    if i < end and source[i] == 0x2E:
        i += 1
        dot = i
        while i < end and is_digit(source[i]):
            mantissa = mantissa * 10 + as_integer(source[i] - 0x30)
            i += 1
        exponent = dot - i
        digits -= exponent
        if exponent == 0:
            return 0, 0.0
    if i < end and source[i] | 0x20 == 0x65:
        after, power = exponent_of(source, i + 1, end)
        i = after
        exponent += power
    if i != end:
        return 0, 0.0
    if digits > 18 or mantissa > 1 << 53 or exponent < -22 or exponent > 22:
        return 2, 0.0
    value = np.float64(mantissa)
    value = value / powers[-exponent] if exponent < 0 else value * powers[exponent]
    return 1, -value if negative else value


@inlined
def exponent_of(source: Bytes, i: int, end: int) -> tuple[int, int]:
    """(the position after the digits or -1, the exponent; one past 99,999 is cut off)."""
    negative = False
    if i < end and (source[i] == 0x2B or source[i] == 0x2D):
        negative = source[i] == 0x2D
        i += 1
    first = i
    power = 0
    while i < end and is_digit(source[i]):
        power = min(power * 10 + as_integer(source[i] - 0x30), 99_999)
        i += 1
    if i == first:
        return -1, 0
    return i, -power if negative else power


@compiled
def read_numbers(data: Bytes, spans: Spans, field: int, values: NDArray[Any], powers: NDArray[np.float64]) -> None:
    """A number that is too hard is left as NaN, which no number of JSON is."""
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            outcome, values[row] = number_of(source, start, end, powers)
            if outcome == 0:
                spans.status[row] = SUSPECT
            elif outcome == 2:
                values[row] = np.nan


@compiled
def read_booleans(data: Bytes, spans: Spans, field: int, values: NDArray[Any]) -> None:
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            length = end - start
            word = np.uint64(0)
            if length == 4 or length == 5:
                for k in range(start, end):
                    word = word << np.uint64(8) | np.uint64(source[k] | 0x20)
            values[row] = word == np.uint64(0x74727565)
            if not values[row] and word != np.uint64(0x66616C7365):
                spans.status[row] = SUSPECT


@inlined
def digits_of(source: Bytes, i: int, count: int) -> int:
    """The value of `count` digits, or -1."""
    value = 0
    for k in range(i, i + count):
        if not is_digit(source[k]):
            return -1
        value = value * 10 + as_integer(source[k] - 0x30)
    return value


@inlined
def day_of(source: Bytes, i: int, end: int) -> int:
    """Days since 1970 of the YYYY-MM-DD at `i`, or a value below any real day's."""
    none = -1_000_000_000
    if end - i < 10 or source[i + 4] != 0x2D or source[i + 7] != 0x2D:
        return none
    year, month, day = digits_of(source, i, 4), digits_of(source, i + 5, 2), digits_of(source, i + 8, 2)
    if year < 1 or month < 1 or month > 12 or day < 1:
        return none
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 28 + leap if month == 2 else 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
    if day > days:
        return none
    # Howard Hinnant's days_from_civil: years from March on, in eras of 400.
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@compiled
def read_dates(data: Bytes, spans: Spans, field: int, values: NDArray[Any]) -> None:
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            values[row] = day_of(source, start, end)
            if end - start != 10 or values[row] < -1_000_000:
                spans.status[row] = SUSPECT


@inlined
def clock_of(source: Bytes, i: int) -> int:
    """The minutes of the HH:MM at `i`, or -1."""
    hour, minute = digits_of(source, i, 2), digits_of(source, i + 3, 2)
    return hour * 60 + minute if 0 <= hour < 24 and 0 <= minute < 60 and source[i + 2] == 0x3A else -1


@inlined
def fraction_of(source: Bytes, i: int, end: int) -> tuple[int, int]:
    """(the position after a fraction of a second if there is one, its microseconds), or -1 for an empty one."""
    if source[i] != 0x2E:
        return i, 0
    i += 1
    first = i
    micros = 0
    while i < end and is_digit(source[i]):
        if i - first < 6:
            micros = micros * 10 + as_integer(source[i] - 0x30)
        i += 1
    for _ in range(i - first, 6):
        micros *= 10
    return (i if i > first else -1), micros


@inlined
def moment_of(source: Bytes, i: int, end: int) -> tuple[bool, int]:
    """(recognised, microseconds since 1970 in UTC) of an RFC 3339 date-time, but for the first and the last day."""
    if end - i < 20:
        return False, 0
    day = day_of(source, i, end)
    between = source[i + 10]
    clock, second = clock_of(source, i + 11), digits_of(source, i + 17, 2)
    fine = between == 0x54 or between == 0x74 or between == 0x20
    if day < -719_161 or day > 2_932_895 or not fine or clock < 0 or source[i + 16] != 0x3A or not 0 <= second < 60:
        return False, 0
    i, micros = fraction_of(source, i + 19, end)
    if i < 0 or i >= end:
        return False, 0
    zone = source[i]
    shift = 0
    if zone == 0x2B or zone == 0x2D:
        if end - i != 6:
            return False, 0
        shift = clock_of(source, i + 1)
        fine = shift >= 0
        shift = shift if zone == 0x2D else -shift
    else:
        fine = zone | 0x20 == 0x7A and end - i == 1
    return fine, ((day * 1440 + clock + shift) * 60 + second) * 1_000_000 + micros


@compiled
def read_moments(data: Bytes, spans: Spans, field: int, values: NDArray[Any]) -> None:
    for row in range(spans.status.size):
        if spans.kinds[row, field] != ABSENT:
            source, start, end = source_of(data, spans, row, field)
            fine, values[row] = moment_of(source, start, end)
            if not fine:
                spans.status[row] = SUSPECT


@compiled
def mark_not_json(data: Bytes, spans: Spans, field: int, nest: Nest) -> None:
    """Suspects a cell that isn't one value of JSON; what walks it stops at a line feed, and one follows each cell."""
    for row in range(spans.status.size):
        if spans.kinds[row, field] == CELL:
            source, start, end = source_of(data, spans, row, field)
            if source[start] == OPEN_BRACE or source[start] == OPEN_BRACKET:
                after = walk_container(source, start, nest)
            else:
                after = walk_scalar(source, start)
            if after != end:
                spans.status[row] = SUSPECT
