"""Where records begin and end in bytes: the one piece of code that planning and checking both use.

A JSONL record is a line. A CSV record ends at a line feed outside quotes; a quote opens only at the start of a cell, so
one that stands elsewhere spoils its own record and none of those after it. Only LF, or CRLF, ends a line.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]

LF, CR, SPACE, QUOTE, COMMA = b'\n\r ",'
JSON_SPACE = b" \t\r\n"

# Compiled code that does the same; used where it was loaded for other reasons.
FAST_FRAMING = "assay.kernel.fast_framing"

# numpy's temporaries for a piece of this size stay in a core's cache, or near it.
PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Frames:
    """The records of some bytes, blank ones left out: `data[starts[i]:stops[i]]` is record i without its line end.

    `content_starts` and `content_stops` bound what counts for a record's identity.
    """

    starts: Offsets
    stops: Offsets
    content_starts: Offsets
    content_stops: Offsets

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def bounds(self) -> tuple[Offsets, Offsets, Offsets, Offsets]:
        return self.starts, self.stops, self.content_starts, self.content_stops


def jsonl_ends(data: bytes, start: int, most: int) -> Offsets:
    """The offsets just past each line feed from `start` on, `most` of them at most."""
    if FAST_FRAMING in sys.modules:
        fast: Offsets = sys.modules[FAST_FRAMING].jsonl_ends(data, start, most)
        return fast
    whole = np.frombuffer(data, np.uint8)
    found: list[Offsets] = []
    count = 0
    for at in range(start, len(data), PIECE_BYTES):
        found.append(_places(whole[at : at + PIECE_BYTES] == LF) + (at + 1))
        count += len(found[-1])
        if count >= most:
            break
    return _joined(found, most)


def _places(mask: NDArray[np.bool_]) -> Offsets:
    """As `np.flatnonzero`, which takes twice as long where few are true: eight at a time, and then among these."""
    whole = len(mask) // 8 * 8
    words = mask[:whole].view(np.uint64)
    filled = np.flatnonzero(words != 0)
    if len(filled) > len(words) // 2:
        return np.flatnonzero(mask)
    within = np.flatnonzero(words[filled].view(np.bool_))
    return np.append(filled[within >> 3] * 8 + (within & 7), np.flatnonzero(mask[whole:]) + whole)


def _joined(found: list[Offsets], most: int) -> Offsets:
    return np.concatenate(found)[:most] if found else np.empty(0, np.int64)


def jsonl_lines(data: bytes, start: int, ends: Offsets) -> Frames:
    """The records among the lines that begin at `start` and end at `ends`."""
    starts, stops = _lines(data, start, ends)
    content_starts, content_stops = _trimmed(data, starts, stops)
    filled = content_starts < content_stops
    if filled.all():
        return Frames(starts, stops, content_starts, content_stops)
    return Frames(starts[filled], stops[filled], content_starts[filled], content_stops[filled])


def _lines(data: bytes, start: int, ends: Offsets) -> tuple[Offsets, Offsets]:
    """Where the lines start, and where they stop before their line ends, if they have one."""
    whole = np.frombuffer(data, np.uint8)
    starts = np.empty(len(ends), np.int64)
    starts[:1] = start
    starts[1:] = ends[:-1]
    stops = ends - (whole[ends - 1] == LF)
    filled = starts < stops
    stops[filled] -= whole[stops[filled] - 1] == CR
    return starts, stops


def _trimmed(data: bytes, starts: Offsets, stops: Offsets) -> tuple[Offsets, Offsets]:
    """The same spans without JSON's white space around them; an empty span for a line that has nothing else."""
    whole = np.frombuffer(data, np.uint8)
    filled = np.flatnonzero(starts < stops)
    outer = filled[(whole[starts[filled]] <= 32) | (whole[stops[filled] - 1] <= 32)]
    if not len(outer):
        return starts, stops
    starts, stops = starts.copy(), stops.copy()
    for row in outer.tolist():
        line = data[starts[row] : stops[row]]
        starts[row] += len(line) - len(line.lstrip(JSON_SPACE))
        stops[row] = starts[row] + len(line.strip(JSON_SPACE))
    return starts, stops


IN_QUOTES = b'"'


def csv_end(data: bytes, start: int) -> tuple[int, bytes]:
    """The end of the record that begins at `start`, just past its line feed, or -1 when it isn't in the data.

    In that case the second value stands for the record so far: set before the data that follow, it leads to the
    same end. It is `IN_QUOTES` when a quote is open.
    """
    ends, rest = _csv_scan(data, start, len(data), most=1)
    return (ends[0], b"") if ends else (-1, rest)


def _csv_scan(data: bytes, start: int, stop: int, *, most: int) -> tuple[list[int], bytes]:
    """The ends of the records from `start` on, where one begins, and what stands for the rest before `stop`.

    The state machine goes from quote to quote and line feed to line feed, and to none of them twice.
    """
    # Not by regular expressions: those that take linear time match wrongly in Python before 3.11.5.
    # https://github.com/python/cpython/issues/106052
    ends: list[int] = []
    record = at = start
    line_feed, quote = data.find(b"\n", at, stop), data.find(b'"', at, stop)
    while len(ends) < most:
        if 0 <= line_feed < at:
            line_feed = data.find(b"\n", at, stop)
        if 0 <= quote < at:
            quote = data.find(b'"', at, stop)
        if quote < 0 or 0 <= line_feed < quote:
            if line_feed < 0:
                break
            record = at = line_feed + 1
            ends.append(at)
        elif quote == record or data[quote - 1] == COMMA:
            at = _after_quoted(data, quote + 1, stop)
            if at < 0:
                return ends, IN_QUOTES
            if at == stop:  # with a quote that closes the cell, or is the first of a doubled one
                return ends, b'""'
        else:
            at = quote + 1
    is_at_cell = record == stop or (at < stop and data[stop - 1] == COMMA)
    return ends, b"" if is_at_cell else b"x"


def _after_quoted(data: bytes, at: int, stop: int) -> int:
    """From after an opening quote: the position after the closing one, or -1."""
    while (quote := data.find(b'"', at, stop)) >= 0:
        at = quote + 1
        if at == stop or data[at] != QUOTE:
            return at
        at += 1
    return -1


def jsonl_end(data: bytes, start: int) -> tuple[int, bytes]:
    """As `csv_end`: a line needs no memory of what stood before."""
    return data.find(b"\n", start) + 1 or -1, b""


def csv_ends(data: bytes, start: int, most: int) -> Offsets:
    """The offsets just past the line feed of each record from `start` on, where one begins; `most` at most."""
    if FAST_FRAMING in sys.modules:
        fast: Offsets = sys.modules[FAST_FRAMING].csv_ends(data, start, most)
        return fast
    if data.find(b'"', start) < 0:
        return jsonl_ends(data, start, most)
    found: list[Offsets] = []
    at, count, stop = start, 0, 0
    while stop < len(data) and count < most:
        stop = at + PIECE_BYTES
        ends = _regular_csv_ends(data, at, stop)
        if ends is None:
            ends = _irregular_csv_ends(data, at, stop)
        if not len(ends):
            # One record fills the piece: to look for its end in a larger one could take memory without bounds.
            stop = csv_end(data, at)[0] if stop < len(data) else -1
            if stop < 0:
                break
            ends = np.array([stop], np.int64)
        found.append(ends)
        count += len(ends)
        at = int(ends[-1])
    return _joined(found, most)


def _regular_csv_ends(data: bytes, start: int, stop: int) -> Offsets | None:
    """All at once, where counting quotes is right: None if any quote stands where RFC 4180 has none."""
    piece = np.frombuffer(data, np.uint8)[start:stop]
    is_mark = piece == QUOTE
    marks = _places(np.logical_or(is_mark, piece == LF, out=is_mark))
    is_quote = piece[marks] == QUOTE
    # Every other quote opens a cell, or is the second of a doubled one.
    opening = marks[is_quote][::2]
    before = piece[opening - 1]
    if len(opening) and opening[0] == 0:
        before[0] = LF
    if not ((before == COMMA) | (before == LF) | (before == QUOTE)).all():
        return None
    is_inside = np.logical_xor.accumulate(is_quote)
    ends: Offsets = marks[~(is_quote | is_inside)] + (start + 1)
    return ends


def _irregular_csv_ends(data: bytes, start: int, stop: int) -> Offsets:
    ends, _ = _csv_scan(data, start, min(stop, len(data)), most=stop)
    return np.array(ends, np.int64)


def csv_lines(data: bytes, start: int, ends: Offsets) -> Frames:
    """As `jsonl_lines`: here only a line with nothing at all is no record."""
    starts, stops = _lines(data, start, ends)
    filled = starts < stops
    if not filled.all():
        starts, stops = starts[filled], stops[filled]
    return Frames(starts, stops, starts, stops)


@dataclass(frozen=True)
class Framing:
    """How a format's records are found. `end` finds one record's end across blocks; see `csv_end`. A line with nothing
    but `blank` bytes is no record."""

    ends: Callable[[bytes, int, int], Offsets]
    end: Callable[[bytes, int], tuple[int, bytes]]
    lines: Callable[[bytes, int, Offsets], Frames]
    blank: bytes

    def count(self, data: bytes, start: int, ends: Offsets) -> int:
        """How many records `lines` would give; quicker, as most lines show by their first byte that they are one."""
        starts = np.append(start, ends[:-1])
        if (np.frombuffer(data, np.uint8)[starts] > SPACE).all():
            return len(ends)
        return len(self.lines(data, start, ends))

    def frames(self, data: bytes) -> Frames:
        """All records of data that begin and end with whole ones; the last may lack its line end."""
        ends = self.ends(data, 0, len(data))
        if len(data) and (not len(ends) or ends[-1] < len(data)):
            ends = np.append(ends, len(data))
        return self.lines(data, 0, ends)


JSONL = Framing(ends=jsonl_ends, end=jsonl_end, lines=jsonl_lines, blank=JSON_SPACE)
CSV = Framing(ends=csv_ends, end=csv_end, lines=csv_lines, blank=b"")
