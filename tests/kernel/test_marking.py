"""The failing value found in a record's text, and what is left of a record that is too long to show."""

import pytest

from assay.kernel.marking import LEAD_CHARACTERS, SHOWN_CHARACTERS, MarkedText, mark_value

HEADER = ("id", "age", "note")


def csv(record: bytes, field: str, reason: str = "") -> MarkedText:
    return mark_value(record, field, reason, format="csv", header=HEADER)


def jsonl(record: str, field: str, reason: str = "") -> MarkedText:
    return mark_value(record.encode(), field, reason, format="jsonl", header=())


@pytest.mark.parametrize(
    ("record", "field", "marked"),
    [
        (b"1,old,x", "age", "old"),
        (b"1,old,x", "id", "1"),
        (b"1,old,x", "note", "x"),
        (b"1,,x", "age", ""),
        (b"1,old,", "note", ""),
        (b'1,"a ""b"", c",x', "age", '"a ""b"", c"'),
        (b'"a,b\nc",old,x', "age", "old"),
        ("ä,öld,x".encode(), "age", "öld"),
        (b'1,"open', "age", '"open'),
    ],
)
def test_cell_of_the_field_is_marked(record: bytes, field: str, marked: str) -> None:
    shown = csv(record, field)
    assert shown.has_mark
    assert shown.marked == marked
    assert shown.before + shown.marked + shown.after == record.decode()


@pytest.mark.parametrize(
    ("record", "marked"),
    [
        ('{"id": 1, "age": "old"}', '"old"'),
        ('{"age":null}', "null"),
        (' { "a\\"ge": 1 , "age" : [1, {"age": 2}] } ', '[1, {"age": 2}]'),
        ('{"nested": {"age": 1}, "age": 2}', "2"),
        ('{"age": ' + "9" * 5000 + "}", "9" * 300 + "…"),
        ('{"\\u0061ge": 7}', "7"),
    ],
)
def test_value_of_the_key_is_marked(record: str, marked: str) -> None:
    assert jsonl(record, "age").marked == marked


@pytest.mark.parametrize("record", ['{"id": 1}', "[1]", "", '{"age"', '{"id": nope, "age": 1}', "[" * 100_000])
def test_value_that_is_not_there_is_not_marked(record: str) -> None:
    shown = jsonl(record, "age")
    assert not shown.has_mark
    assert shown.before + shown.after == record[:SHOWN_CHARACTERS]


def test_cell_that_is_not_there_is_not_marked() -> None:
    assert not csv(b"1,2", "note").has_mark
    assert not csv(b"1,2,3", "other").has_mark


def test_place_that_a_reason_names_is_marked_in_bytes() -> None:
    shown = jsonl('{"ä": nope}', "_raw", "Malformed JSON in record: invalid character at byte 7")
    assert (shown.before, shown.marked, shown.after) == ('{"ä": ', "n", "ope}")
    shown = jsonl('{"a": 1', "_raw", "Malformed JSON in record: the record ends too soon at byte 7")
    assert (shown.before, shown.marked, shown.has_mark) == ('{"a": 1', "", True)
    assert not csv(b"1,2", "_raw", "Record has 2 cells, but the header has 3").has_mark


def test_long_record_is_cut_around_the_mark() -> None:
    shown = csv(b"x" * 5000 + b",old," + b"y" * 5000, "age")
    assert shown.is_cut_before
    assert shown.is_cut_after
    assert shown.marked == "old"
    assert shown.before == "x" * (LEAD_CHARACTERS - 1) + ","
    assert len(shown.before + shown.marked + shown.after) == SHOWN_CHARACTERS


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert csv(b"\xff,\xfe\x00,x", "age").marked == "\N{REPLACEMENT CHARACTER}\x00"
