"""The parse functions against other definitions of the same thing; the table of cases is under tests/kernel."""

import json
import math
import struct
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from assay.fieldtypes import (
    FIELD_TYPES,
    Refused,
    date_from_text,
    datetime_from_text,
    integer_from_text,
    is_json,
    is_nested_deeper,
    number_from_text,
)

numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@given(numbers)
def test_integer_is_the_number_exactly_if_it_is_whole_and_fits(text):
    exact = Fraction(text)
    expected = int(exact) if exact.denominator == 1 else None
    value = integer_from_text(text)
    if expected is not None and -(2**63) <= expected < 2**63:
        assert value == expected
    else:
        assert value == Refused("not_an_integer" if expected is None else "integer_too_large")


@given(numbers)
def test_number_is_the_nearest_float_if_it_is_finite(text):
    value = number_from_text(text)
    expected = json.loads(text, parse_int=float)
    if math.isinf(expected):
        assert value == Refused("not_a_number")
    else:
        assert struct.pack("d", value) == struct.pack("d", expected)


@given(st.dates())
def test_date_is_read_as_it_is_written(day):
    assert date_from_text(day.isoformat()) == day


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_datetime_is_the_instant_in_microseconds(moment, offset):
    sign = "-" if offset < 0 else "+"
    text = f"{moment.isoformat(timespec='microseconds')}{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    instant = moment.replace(tzinfo=UTC) - timedelta(minutes=offset)
    assert datetime_from_text(text) == (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@given(st.recursive(st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)))
def test_nesting_is_the_depth_of_the_value(value):
    def depth(part):
        if isinstance(part, dict):
            part = list(part.values())
        return 1 + max(map(depth, part), default=0) if isinstance(part, list) else 0

    text = json.dumps(value)
    assert not is_nested_deeper(text, depth(value))
    assert depth(value) == 0 or is_nested_deeper(text, depth(value) - 1)


@given(st.text(st.sampled_from('[]{}",:1 a\\tnulrefs'), max_size=12))
def test_json_is_what_the_standard_library_reads_but_for_nan(text):
    try:
        json.loads(text)
        expected = True
    except ValueError:
        expected = False
    assert is_json(text) == expected


@given(st.text(max_size=20))
def test_no_text_makes_a_parse_function_fail(text):
    raw = json.dumps(text, ensure_ascii=False).encode()
    for row in FIELD_TYPES.values():
        if text:
            row.parse_text(text)
        row.parse_json(raw)
