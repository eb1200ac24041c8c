"""The fast pass over JSON Lines: walks each record strictly by RFC 8259 and notes where its fields' values stand."""

import numpy as np
from numpy.typing import NDArray

from assay.kernel.fast_bytes import Bytes
from assay.kernel.fast_compile import compiled, inlined
from assay.kernel.fast_keys import Keys, intern, key_is
from assay.kernel.fast_nested import (
    CLOSE_BRACE,
    COLON,
    COMMA,
    OPEN_BRACE,
    OPEN_BRACKET,
    Nest,
    is_digit,
    skip_space,
    walk_container,
    walk_number,
    walk_word,
)
from assay.kernel.fast_spans import ABSENT, BOOLEAN, CLEAR, CONTAINER, NUMBER, STRING, SUSPECT, Numbers, Spans, note
from assay.kernel.fast_strings import LINE_FEED, QUOTE, broken_off, has_line_feed, unescape, walk_string


@inlined
def walk_key(data: Bytes, i: int, previous: int, keys: Keys, spans: Spans) -> tuple[int, int]:
    """From a key's opening quote: (its slot or -1, the position after its closing quote or what `walk_string` gave)."""
    guess = keys.follow[previous + 1]
    if guess >= 0 and key_is(data, i + 1, keys, guess):
        return guess, i + 2 + keys.starts[guess + 1] - keys.starts[guess]
    end, escaped = walk_string(data, i + 1)
    if end < 0:
        return -1, end
    if escaped:
        at = spans.side_used[0]
        if at + end - i > spans.side.size:
            return -1, -1
        return intern(spans.side_view, at, unescape(data, i + 1, end, spans.side, at), keys), end + 1
    slot = intern(data, i + 1, end, keys)
    # Only a key that stands as it is spelled: bytes that look like another's text may be escapes, or no JSON at all.
    keys.follow[previous + 1] = slot
    return slot, end + 1


@compiled
def note_string(data: Bytes, start: int, end: int, row: int, field: int, spans: Spans) -> bool:
    """Notes a string with escapes by its text; False if there is no room for it."""
    at = spans.side_used[0]
    if at + end - start > spans.side.size:
        return False
    after = unescape(data, start, end, spans.side, at)
    spans.side_used[0] = after
    note(spans, row, field, data.size + at, after - at, STRING)
    return True


@inlined
def walk_value(data: Bytes, i: int, row: int, field: int, spans: Spans, raw: NDArray[np.bool_], nest: Nest) -> int:
    """Walks one value, and notes it if `field` isn't negative; the position after it, or what stands for none."""
    c = data[i]
    if c == QUOTE:
        end, escaped = walk_string(data, i + 1)
        if end < 0 or field < 0:
            return end + 1 if end >= 0 else end
        if raw[field]:
            note(spans, row, field, i, end + 1 - i, STRING)
        elif not escaped:
            note(spans, row, field, i + 1, end - i - 1, STRING)
        elif not note_string(data, i + 1, end, row, field, spans):
            return -1
        return end + 1
    if c in (OPEN_BRACE, OPEN_BRACKET):
        kind = CONTAINER
        end = walk_container(data, i, nest)
    elif c == 0x2D or is_digit(c):
        kind = NUMBER
        end = walk_number(data, i)
    elif c == LINE_FEED:
        return ~i
    else:
        kind = ABSENT if c == 0x6E else BOOLEAN
        end = walk_word(data, i)
    if field >= 0 and end >= 0:
        note(spans, row, field, i, end - i, kind)
    return end


@inlined
def walk_record(
    data: Bytes, i: int, row: int, number: int, keys: Keys, spans: Spans, raw: NDArray[np.bool_], nest: Nest
) -> int:
    """From an opening brace: the position after its closing one, or what stands for none."""
    previous = -1
    i = skip_space(data, i + 1)
    if data[i] == CLOSE_BRACE:
        return i + 1
    while data[i] == QUOTE:
        slot, i = walk_key(data, i, previous, keys, spans)
        if slot < 0:
            return min(i, -1)
        if keys.seen[slot] == number:
            return -1
        keys.seen[slot] = number
        previous = slot
        i = skip_space(data, i)
        if data[i] != COLON:
            return broken_off(data, i)
        i = walk_value(data, skip_space(data, i + 1), row, slot if slot < raw.size else -1, spans, raw, nest)
        if i < 0:
            return i
        i = skip_space(data, i)
        if data[i] == CLOSE_BRACE:
            return i + 1
        if data[i] != COMMA:
            return broken_off(data, i)
        i = skip_space(data, i + 1)
    return broken_off(data, i)


@compiled
def walk_lines(
    data: Bytes,
    starts: Numbers,
    stops: Numbers,
    content_starts: Numbers,
    content_stops: Numbers,
    number: int,
    keys: Keys,
    spans: Spans,
    raw: NDArray[np.bool_],
    nest: Nest,
) -> None:
    """A row for each record, as its frame has it; `number` is the first one's."""
    for row in range(starts.size):
        spans.kinds[row, :] = ABSENT
        start, stop, end = content_starts[row], stops[row], -1
        if has_line_feed(data, stop) and data[start] == OPEN_BRACE:
            end = walk_record(data, start, row, number + row, keys, spans, raw, nest)
        spans.status[row] = CLEAR if end == content_stops[row] else SUSPECT
        is_cut = end < 0 and ~end >= stop  # at the line feed, or the carriage return before it
        spans.torn[row] = stop - starts[row] if is_cut else 0
