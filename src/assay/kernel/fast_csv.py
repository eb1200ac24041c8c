"""The fast pass over CSV: splits each record into cells by RFC 4180 and notes where its fields' cells stand."""

from assay.kernel.fast_bytes import Bytes, after_character, copy_bytes, skip_plain
from assay.kernel.fast_compile import compiled, inlined
from assay.kernel.fast_spans import ABSENT, CELL, CLEAR, SUSPECT, Numbers, Spans, note
from assay.kernel.fast_strings import QUOTE

COMMA, TAB, LINE_FEED, CARRIAGE_RETURN = 0x2C, 0x09, 0x0A, 0x0D


@compiled
def walk_bare(data: Bytes, i: int) -> int:
    """The position of the comma or line end after a cell without quotes, or of what the fast pass won't judge."""
    while True:
        i = skip_plain(data, i, COMMA, QUOTE)
        if i < data.size and data[i] >= 0x80:
            after = after_character(data, i)
            if after < 0:
                return i
            i = after
        elif i < data.size and data[i] == TAB:
            i += 1
        else:
            return i


@compiled
def walk_quoted(data: Bytes, i: int, stop: int) -> tuple[int, bool]:
    """From after the opening quote: (the position after the closing one or -1, whether there are doubled quotes)."""
    doubled = False
    while 0 <= i < stop:
        i = skip_plain(data, i, QUOTE, QUOTE)
        if i >= stop:
            break
        c = data[i]
        if c == QUOTE:
            if i + 1 >= stop or data[i + 1] != QUOTE:
                return i + 1, doubled
            doubled = True
            i += 2
        elif c >= 0x80:
            i = after_character(data, i)
        elif c in (TAB, LINE_FEED, CARRIAGE_RETURN):
            i += 1
        else:
            break
    return -1, doubled


@compiled
def note_doubled(data: Bytes, i: int, end: int, row: int, field: int, spans: Spans) -> bool:
    """Notes a cell with its doubled quotes undone, a line feed after it; False if there is no room for it."""
    side, first = spans.side, spans.side_used[0]
    at = first
    if at + end - i + 1 > side.size:
        return False
    while i < end:
        plain = i
        while plain < end and data[plain] != QUOTE:
            plain += 1
        plain = min(plain + 1, end)
        copy_bytes(side, at, data, i, plain - i)
        at += plain - i
        i = plain + 1
    side[at] = LINE_FEED
    spans.side_used[0] = at + 1
    note(spans, row, field, data.size + first, at - first, CELL)
    return True


@inlined
def walk_cells(data: Bytes, i: int, stop: int, row: int, fields: Numbers, spans: Spans) -> int:
    """How many cells the record from `i` to `stop` has; 0 if it isn't surely well-formed. `fields` has each column's
    field, or -1."""
    cells = 0
    while True:
        field = fields[cells] if cells < fields.size else -1
        if data[i] == QUOTE:
            start = i + 1
            i, doubled = walk_quoted(data, start, stop)
            if i < 0:
                return 0
            length = i - 1 - start
            if field >= 0 and doubled:
                if not note_doubled(data, start, i - 1, row, field, spans):
                    return 0
            elif field >= 0 and length > 0:
                note(spans, row, field, start, length, CELL)
        else:
            start = i
            i = walk_bare(data, i)
            if field >= 0 and i > start:
                note(spans, row, field, start, i - start, CELL)
        cells += 1
        if i >= stop:
            return cells if i == stop else 0
        if data[i] != COMMA:
            return 0
        i += 1


@compiled
def walk_rows(data: Bytes, starts: Numbers, stops: Numbers, fields: Numbers, spans: Spans) -> None:
    """A row for each record; `starts` and `stops` bound them without their line ends."""
    for row in range(starts.size):
        spans.kinds[row, :] = ABSENT
        cells = walk_cells(data, starts[row], stops[row], row, fields, spans) if stops[row] < data.size else 0
        fine = cells == fields.size
        spans.status[row] = CLEAR if fine else SUSPECT
        spans.torn[row] = 0 if fine else cells
