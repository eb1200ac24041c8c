"""What a preview says of a sample: the same as an import would, of as much as the sample holds."""

import pytest

from assay.previewing import SAMPLE_BYTES, SAMPLE_RECORDS, Preview, Sample, preview, sample_of_text
from assay.schema import parse_schema

SCHEMA = parse_schema({"strict": True, "fields": {"age": {"type": "integer", "exclusiveMinimum": 0}}})


def previewed(text: str, *, format: str | None = None) -> Preview:
    return preview(SCHEMA, sample_of_text(text, format=format))


def test_each_record_is_accepted_or_rejected_with_its_reasons() -> None:
    found = previewed("age\n4\nold\n-1\n")
    assert (found.accepted_count, found.rejected_count, found.has_more) == (1, 2, False)
    assert [[fault.reason for fault in record.faults] for record in found.records] == [
        [],
        ["Value must be an integer"],
        ["Value must be a positive integer"],
    ]
    assert found.records[1].shown.marked == "old"


def test_format_is_told_from_the_text_unless_it_is_named() -> None:
    assert previewed('{"age": 4}\n').accepted_count == 1
    assert previewed("age\n4").accepted_count == 1
    named = previewed("age\n4", format="jsonl")
    assert [record.faults[0].code for record in named.records] == ["malformed_json", "not_an_object"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name\nx\n", "The header lacks a column that the schema requires: age"),
        ("age,age\n1,2\n", "more than one column"),
        ("age\n", "no records"),
        ("", "empty"),
    ],
)
def test_file_that_would_be_refused_says_why(text: str, says: str) -> None:
    found = previewed(text)
    assert found.records == ()
    assert found.file_fault is not None
    assert says in found.file_fault


@pytest.mark.parametrize("is_whole", [True, False])
def test_json_that_is_no_record_a_line_is_told_of_by_its_start(is_whole: bool) -> None:
    data = b"[\n" + b'{"age": 4},\n' * 200
    found = preview(SCHEMA, Sample(data=data, format="jsonl", is_whole=is_whole))
    assert "The file is a JSON array" in (found.file_fault or "")
    assert found.records == ()


def test_record_that_the_sample_cuts_is_left_out() -> None:
    found = preview(SCHEMA, Sample(data=b"age\n4\n5\n6", format="csv", is_whole=False))
    assert len(found.records) == 2
    assert found.has_more


@pytest.mark.parametrize(
    ("start", "format"), [(b'{"age": ', "jsonl"), (b"age\n4", "csv"), (b"age,", "csv")], ids=["record", "row", "header"]
)
def test_first_record_longer_than_the_sample_is_for_the_import_to_tell(start: bytes, format: str) -> None:
    found = preview(SCHEMA, Sample(data=start + b" " * SAMPLE_BYTES, format=format, is_whole=False))
    assert found.is_beyond
    assert (found.records, found.file_fault) == ((), None)


def test_file_that_is_refused_for_its_end_is_so_here_too() -> None:
    found = previewed('age\n4\n"5\n')
    assert found.records == ()
    assert "a quote that is never closed" in (found.file_fault or "")


def test_no_more_records_are_told_of_than_can_be_read() -> None:
    found = previewed("age\n" + "4\n" * 1000)
    assert len(found.records) == SAMPLE_RECORDS
    assert found.has_more
