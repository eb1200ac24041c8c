"""The text of one record with the value of a field found in it, to be shown to a person.

A best effort on records that may be malformed: what can't be found is not marked, and nothing is ever refused.
"""

import json
import re
from dataclasses import dataclass

from assay.rejections import RAW_FIELD

SHOWN_CHARACTERS = 700
MARKED_CHARACTERS = 300
LEAD_CHARACTERS = 120

Span = tuple[int, int]

_SPACE = re.compile(r"[ \t\r\n]*+")
_CELL = re.compile(r'"(?:[^"]++|"")*+"?|[^,]*+')
_POSITION = re.compile(r" at byte (\d+)$")
# Numbers may have more digits than int() takes, and their value is of no interest.
_decoder = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)


@dataclass(frozen=True)
class MarkedText:
    """A record's text in three pieces; `has_mark` tells an empty value that was found from none. The flags say
    where the record goes on beyond what is shown."""

    before: str
    marked: str
    after: str
    has_mark: bool
    is_cut_before: bool
    is_cut_after: bool


def mark_value(
    record: bytes, field: str, reason: str, *, format: str, header: tuple[str, ...], is_whole: bool = True
) -> MarkedText:
    """The record with the value of the field marked, or for a fault of the whole record the place that its reason
    names. `is_whole` is False where `record` is only its beginning."""
    text = record.decode(errors="replace")
    span: Span | None
    if field == RAW_FIELD:
        position = _POSITION.search(reason)
        start = None if position is None else len(record[: int(position[1])].decode(errors="replace"))
        span = None if start is None else (min(start, len(text)), min(start + 1, len(text)))
    elif format == "csv":
        span = cell_span(text, header.index(field)) if field in header else None
    else:
        span = member_span(text, field)
    return _cut(text, span, is_whole=is_whole)


def member_span(text: str, key: str) -> Span | None:
    """Where the value of a key of the record's JSON object stands; None for a key that is not there or not reached."""
    at = _skipped(text, 0)
    if text[at : at + 1] != "{":
        return None
    try:
        while text[at : at + 1] in ("{", ","):
            name, at = _decoder.raw_decode(text, _skipped(text, at + 1))
            at = _skipped(text, at)
            start = _skipped(text, at + 1)
            _, end = _decoder.raw_decode(text, start)
            if name == key:
                return start, end
            at = _skipped(text, end)
    except (ValueError, RecursionError):
        return None
    return None


def cell_span(text: str, column: int) -> Span | None:
    """Where the cell of a column stands, its quotes included."""
    at = 0
    for _ in range(column):
        match = _CELL.match(text, at)
        at = len(text) if match is None else match.end()
        if text[at : at + 1] != ",":
            return None
        at += 1
    match = _CELL.match(text, at)
    return None if match is None else match.span()


def _skipped(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _cut(text: str, span: Span | None, *, is_whole: bool) -> MarkedText:
    """What is around the mark, or the beginning, of at most `SHOWN_CHARACTERS`."""
    start, end = (0, 0) if span is None else span
    cut_mark = end - start > MARKED_CHARACTERS
    end = min(end, start + MARKED_CHARACTERS)
    first = 0 if end <= SHOWN_CHARACTERS // 2 else max(0, start - LEAD_CHARACTERS)
    last = min(len(text), first + SHOWN_CHARACTERS)
    return MarkedText(
        before=text[first:start],
        marked=text[start:end] + ("…" if cut_mark else ""),
        after="" if cut_mark else text[end:last],
        has_mark=span is not None,
        is_cut_before=first > 0,
        is_cut_after=not is_whole or cut_mark or last < len(text),
    )
