"""What the fast pass does with a field of each type: which kinds of values it takes, and how it recognises them.

Prepared once a schema; a `Recogniser` then serves one batch of rows after another.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assay.kernel import fast_values as known
from assay.kernel.fast_bytes import Bytes
from assay.kernel.fast_columns import text_columns
from assay.kernel.fast_keys import new_keys
from assay.kernel.fast_nested import new_nest
from assay.kernel.fast_spans import ABSENT, BOOLEAN, CELL, CONTAINER, NUMBER, STRING, SUSPECT, Spans, source_of
from assay.schema import Constraints, DatasetSchema, Field, compile_pattern

Values = NDArray[Any]
Recogniser = Callable[[Bytes, Spans], Values | None]
"""Marks the rows that it can't vouch for; gives the values of a column that isn't text."""

_POWERS = np.array([float(10**exponent) for exponent in range(23)])


@dataclass(frozen=True)
class FastType:
    """`kinds` are those that a value may have; `recogniser` makes the function for the field at an index."""

    kinds: tuple[int, ...]
    recogniser: Callable[[int, Constraints], Recogniser]


def recognisers(schema: DatasetSchema) -> list[Recogniser]:
    return [FAST_TYPES[field.type].recogniser(at, field.constraints) for at, field in enumerate(schema.fields)]


def allowed_kinds(schema: DatasetSchema) -> NDArray[np.int64]:
    """For each field the kinds that its value may have, as bits."""
    return np.array([_kind_bits(field, schema.strict) for field in schema.fields], np.int64)


def _kind_bits(field: Field, strict: bool) -> int:
    kinds = FAST_TYPES[field.type].kinds
    return sum(1 << kind for kind in (kinds if field.is_required(strict) else (ABSENT, *kinds)))


def _text(at: int, constraints: Constraints) -> Recogniser:
    checks: list[Recogniser] = []
    least, most = constraints.min_length, constraints.max_length
    if least is not None or most is not None:
        low, high = least or 0, min(2**31, 2**31 if most is None else most)
        checks.append(lambda data, spans: known.mark_lengths(data, spans, at, low, high))
    if constraints.enum is not None:
        listed = new_keys([str(value) for value in constraints.enum], spare_slots=0, spare_bytes=0)
        checks.append(lambda data, spans: known.mark_unlisted(data, spans, at, listed))
    if constraints.pattern is not None:
        matches = _pattern(constraints.pattern)
        checks.append(lambda data, spans: _mark_unmatched(data, spans, at, matches))

    def recognise(data: Bytes, spans: Spans) -> None:
        for check in checks:
            check(data, spans)

    return recognise


# What two versions of RE2 may take differently: properties of Unicode, letters without regard to their case.
_OF_UNICODE = re.compile(r"\\[pP]|\(\?[a-zA-Z]*i")


def _pattern(pattern: str) -> Callable[[pa.Array], Values]:
    """Which of an array's texts match. Arrow has RE2 too, and asks it without making an object of each text."""
    matches = compile_pattern(pattern)

    def one_by_one(texts: pa.Array) -> Values:
        return np.array([matches(text.as_buffer().to_pybytes()) for text in texts], bool)

    def all_at_once(texts: pa.Array) -> Values:
        try:
            return np.asarray(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False), dtype=bool)
        except pa.ArrowInvalid:
            return one_by_one(texts)

    return one_by_one if _OF_UNICODE.search(pattern) else all_at_once


def _mark_unmatched(data: Bytes, spans: Spans, at: int, matches: Callable[[pa.Array], Values]) -> None:
    rows = np.flatnonzero((spans.status != SUSPECT) & (spans.kinds[:, at] != ABSENT))
    if len(rows):
        spans.status[rows[~matches(text_columns(data, spans, [at], rows)[0])]] = SUSPECT


def _url(*endings: str) -> Callable[[int, Constraints], Recogniser]:
    width = max(map(len, endings), default=0)
    table = np.zeros((len(endings), width), np.uint8)
    for row, ending in zip(table, endings, strict=True):
        row[width - len(ending) :] = np.frombuffer(ending.encode(), np.uint8)

    def make(at: int, constraints: Constraints) -> Recogniser:
        text = _text(at, constraints)

        def recognise(data: Bytes, spans: Spans) -> None:
            known.mark_not_urls(data, spans, at, table)
            text(data, spans)

        return recognise

    return make


def _identifier(at: int, constraints: Constraints) -> Recogniser:
    text = _text(at, constraints)

    def recognise(data: Bytes, spans: Spans) -> None:
        known.mark_empty_identifiers(data, spans, at)
        text(data, spans)

    return recognise


def _integer(at: int, constraints: Constraints) -> Recogniser:
    low, high = constraints.integer_range()
    enum = None if constraints.enum is None else np.array([int(value) for value in constraints.enum], np.int64)

    def recognise(data: Bytes, spans: Spans) -> Values:
        values = np.zeros(len(spans.status), np.int64)
        known.read_integers(data, spans, at, values, low, high)
        _mark_unlisted_values(spans, at, values, enum)
        return values

    return recognise


def _number(at: int, constraints: Constraints) -> Recogniser:
    enum = None if constraints.enum is None else np.array([float(value) for value in constraints.enum])

    def recognise(data: Bytes, spans: Spans) -> Values:
        values = np.zeros(len(spans.status), np.float64)
        known.read_numbers(data, spans, at, values, _POWERS)
        _read_hard_numbers(data, spans, at, values)
        present = spans.kinds[:, at] != ABSENT
        spans.status[present & ~(np.isfinite(values) & _within(values, constraints))] = SUSPECT
        _mark_unlisted_values(spans, at, values, enum)
        return values

    return recognise


def _read_hard_numbers(data: Bytes, spans: Spans, at: int, values: Values) -> None:
    for row in np.flatnonzero(np.isnan(values) & (spans.status != SUSPECT)).tolist():
        source, start, end = source_of(data, spans, row, at)
        values[row] = float(source[start:end].tobytes())


def _within(values: Values, constraints: Constraints) -> Values:
    fine = np.ones(len(values), bool)
    if constraints.minimum is not None:
        fine &= values >= float(constraints.minimum)
    if constraints.exclusive_minimum is not None:
        fine &= values > float(constraints.exclusive_minimum)
    if constraints.maximum is not None:
        fine &= values <= float(constraints.maximum)
    if constraints.exclusive_maximum is not None:
        fine &= values < float(constraints.exclusive_maximum)
    return fine


def _mark_unlisted_values(spans: Spans, at: int, values: Values, enum: Values | None) -> None:
    if enum is not None:
        spans.status[(spans.kinds[:, at] != ABSENT) & ~np.isin(values, enum)] = SUSPECT


def _boolean(at: int, constraints: Constraints) -> Recogniser:
    enum = None if constraints.enum is None else np.array(constraints.enum, bool)

    def recognise(data: Bytes, spans: Spans) -> Values:
        values = np.zeros(len(spans.status), bool)
        known.read_booleans(data, spans, at, values)
        _mark_unlisted_values(spans, at, values, enum)
        return values

    return recognise


def _date(at: int, _: Constraints) -> Recogniser:
    def recognise(data: Bytes, spans: Spans) -> Values:
        values = np.zeros(len(spans.status), np.int32)
        known.read_dates(data, spans, at, values)
        return values

    return recognise


def _datetime(at: int, _: Constraints) -> Recogniser:
    def recognise(data: Bytes, spans: Spans) -> Values:
        values = np.zeros(len(spans.status), np.int64)
        known.read_moments(data, spans, at, values)
        return values

    return recognise


def _json(at: int, _: Constraints) -> Recogniser:
    nest = new_nest()
    return lambda data, spans: known.mark_not_json(data, spans, at, nest)


_ANY = (STRING, NUMBER, BOOLEAN, CONTAINER, CELL)

FAST_TYPES = {
    "text": FastType((STRING, NUMBER, BOOLEAN, CELL), _text),
    "image_url": FastType((STRING, CELL), _url()),
    "audio_url": FastType((STRING, CELL), _url(".aac", ".m4a", ".mp3", ".wav")),
    "video_url": FastType((STRING, CELL), _url(".mp4", ".webm", ".mov")),
    "metadata": FastType(_ANY, _text),
    "task_group_id": FastType((STRING, NUMBER, CELL), _identifier),
    "integer": FastType((NUMBER, CELL), _integer),
    "number": FastType((NUMBER, CELL), _number),
    "boolean": FastType((BOOLEAN, STRING, CELL), _boolean),
    "date": FastType((STRING, CELL), _date),
    "datetime": FastType((STRING, CELL), _datetime),
    "json": FastType(_ANY, _json),
}
