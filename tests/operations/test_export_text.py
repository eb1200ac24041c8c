"""Records as lines of JSON and CSV, made in columns: what Python's own readers make of them is what was there."""

import csv
import io
import json
import re
import uuid
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.export_text import csv_header, csv_lines, json_lines

TEXTS = st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), min_size=1, max_size=20)
TIME = pa.timestamp("us", tz="UTC")
unhurried = settings(deadline=None)  # the first call loads what the others find


def batch_of(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def batch_within(texts: list[str | None], before: list[str | None]) -> pa.RecordBatch:
    """The texts, numbered, as a part of a longer batch."""
    whole = batch_of(n=list(range(-len(before), len(texts))), t=pa.array([*before, *texts], pa.string()))
    return whole.slice(len(before))


def read_json(data: bytes) -> list[dict[str, Any]]:
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.decode().split("\n")[:-1]]


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@unhurried
@given(TEXTS, TEXTS)
def test_any_text_comes_back_from_json(texts: list[str | None], before: list[str | None]) -> None:
    rows = read_json(json_lines(batch_within(texts, before), json_fields=frozenset()))
    assert rows == [{"n": number, "t": text} for number, text in enumerate(texts)]


@unhurried
@given(TEXTS, TEXTS)
def test_any_text_comes_back_from_csv(texts: list[str | None], before: list[str | None]) -> None:
    rows = read_csv(csv_lines(batch_within(texts, before), formula_safe=False))
    assert rows == [[str(number), text or ""] for number, text in enumerate(texts)]


@unhurried
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128))
def test_any_field_name_comes_back(name: str) -> None:
    assert read_json(json_lines(batch_of(**{name: [1]}), json_fields=frozenset())) == [{name: 1}]
    assert read_csv(csv_header([name, "b"], formula_safe=False)) == [[name, "b"]]


def test_values_of_every_type_are_written_in_full() -> None:
    identifier = uuid.uuid4()
    batch = pa.RecordBatch.from_arrays(
        [
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([identifier.bytes] * 2, pa.binary(16))).slice(1),
            pa.array([-(2**63)]),
            pa.array([1.5e-7]),
            pa.array([False]),
            pa.array([date(9, 1, 2)]),
            pa.array([datetime(2024, 2, 29, 23, 59, 59, 7, UTC)], TIME),
            pa.array(['{"a": [1,\r\n"\\n"]}']),
            pa.array([None], pa.int64()),
        ],
        names=list("abcdefgh"),
    )
    texts = [str(identifier), "-9223372036854775808", "1.5e-7", "false", "0009-01-02", "2024-02-29T23:59:59.000007Z"]
    assert read_csv(csv_lines(batch, formula_safe=True)) == [[*texts, '{"a": [1,\r\n"\\n"]}', ""]]
    (row,) = read_json(json_lines(batch, json_fields=frozenset("g")))
    assert list(row.values()) == [texts[0], -(2**63), 1.5e-7, False, texts[4], texts[5], {"a": [1, "\n"]}, None]


@unhurried
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_comes_back_exactly(number: float) -> None:
    batch = batch_of(n=[number, 0.0])
    assert read_json(json_lines(batch, json_fields=frozenset()))[0]["n"] == number
    assert float(read_csv(csv_lines(batch, formula_safe=True))[0][0]) == number


def test_absence_and_empty_text_are_told_apart_in_csv() -> None:
    assert csv_lines(batch_of(a=["", None], b=["x", "y"]), formula_safe=False) == b'"",x\r\n,y\r\n'


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1+1", "'＝1+1"),
        ("＋1", "'＋1"),
        ("－1", "'－1"),
        ("＠A1", "'＠A1"),
        ("\t=1", "\t'=1"),
        ("\r=1", "\r'=1"),
        ("\n=1", "\n'=1"),
        ("\x00=1", "'\x00=1"),
        (" =1", "' =1"),
        ("a;=1+1", "a;'=1+1"),
        ("a\t=1;@b", "a\t'=1;'@b"),
        ("a\r\n-b\n- c", "a\r\n'-b\n'- c"),
        ('a;"=1', "a;'\"=1"),
        ("a; \x00\t ＝1", "a; \x00\t' ＝1"),
        ("-5;-6", "'-5;'-6"),
        ("-5", "-5"),
        ("+3.25", "+3.25"),
        ("-1.5e-7", "-1.5e-7"),
        ("-5\n", "'-5\n"),
        ("-", "'-"),
        ("a=1", "a=1"),
        ("a,=1", "a,=1"),
        ("a;b=1", "a;b=1"),
        ("'=1", "'=1"),
        ("", ""),
    ],
)
def test_formulas_are_defused_and_plain_numbers_stay(text: str, safe: str) -> None:
    batch = batch_of(a=[text], b=["x"])
    assert read_csv(csv_lines(batch, formula_safe=True)) == [[safe, "x"]]
    assert read_csv(csv_lines(batch, formula_safe=False)) == [[text, "x"]]
    assert read_csv(csv_header(["a", text or "b"], formula_safe=True)) == [["a", safe or "b"]]


@unhurried
@given(st.lists(st.text(st.sampled_from('=-@＝;\t\r\n,"\x00 a1')), min_size=1, max_size=5))
def test_no_formula_stands_anywhere_however_lines_are_split(texts: list[str]) -> None:
    """As a spreadsheet sees it that splits at `;` or tabs: quotes within its cells are characters like any other."""
    batch = batch_of(n=list(range(len(texts))), a=pa.array(texts), b=["x"] * len(texts))
    for cell in re.split("[;\t\r\n]", csv_lines(batch, formula_safe=True).decode()):
        assert not re.match('[ \x00"]*[=@＝-]', cell)


def test_slices_of_a_batch_give_their_own_lines() -> None:
    batch = batch_of(a=["x", "y", "z"], n=[1, 2, 3])
    assert csv_lines(batch.slice(1, 1), formula_safe=False) == b"y,2\r\n"
    assert csv_lines(batch.slice(3), formula_safe=False) == b""
    assert json_lines(batch.slice(2), json_fields=frozenset()) == b'{"a":"z","n":3}\n'
