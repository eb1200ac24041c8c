"""The summary of faults: exact where it can be, bounded always, and the same however a file was cut."""

import random

from assay.error_summary import REASONS_A_CODE, SUMMARY_ROWS, ErrorSummary, FaultCount


def summary_of(*chunks: list[FaultCount]) -> ErrorSummary:
    """What the parent adds up when each chunk has counted by itself."""
    whole = ErrorSummary()
    for chunk in chunks:
        part = ErrorSummary()
        part.add(chunk)
        whole.add(part.counts())
    return whole


def malformed(position: int, count: int = 1) -> FaultCount:
    return FaultCount(
        "_raw", "malformed_json", f"Malformed JSON in record: invalid character at byte {position}", count
    )


def test_largest_count_comes_first_and_equal_ones_go_by_field_and_reason() -> None:
    counts = [
        FaultCount("b", "not_text", "Value must be text", 2),
        FaultCount("a", "required", "Field is required", 2),
        FaultCount("a", "not_a_date", "A", 2),
        FaultCount("c", "required", "Field is required", 3),
    ]
    rows = summary_of(counts).rows()
    assert [(row.field, row.reason, row.count) for row in rows] == [
        ("c", "Field is required", 3),
        ("a", "A", 2),
        ("a", "Field is required", 2),
        ("b", "Value must be text", 2),
    ]


def test_counts_of_chunks_add_up() -> None:
    missing = FaultCount("a", "required", "Field is required", 5)
    assert summary_of([missing], [], [missing, malformed(7)]).rows()[0].count == 10


def test_at_most_a_hundred_rows_are_shown() -> None:
    counts = [FaultCount(f"f{number:03}", "required", "Field is required", number) for number in range(1, 151)]
    rows = summary_of(counts).rows()
    assert [row.count for row in rows] == list(range(150, 150 - SUMMARY_ROWS, -1))


def test_a_hundred_reasons_of_a_code_are_told_apart_and_more_are_one_row() -> None:
    told = summary_of([malformed(position) for position in range(REASONS_A_CODE)])
    assert len(told.rows()) == REASONS_A_CODE
    told.add([malformed(REASONS_A_CODE, count=4), FaultCount("a", "required", "Field is required", 1)])
    assert [(row.field, row.reason, row.count) for row in told.rows()] == [
        ("_raw", "Malformed JSON", 104),
        ("a", "Field is required", 1),
    ]


def test_memory_is_bounded_whatever_the_number_of_reasons() -> None:
    summary = ErrorSummary()
    for position in range(100_000):
        summary.add([malformed(position)])
    assert len(summary.counts()) == 1


def test_summary_does_not_depend_on_where_the_file_was_cut() -> None:
    faults = [malformed(position % 130) for position in range(400)] + [
        FaultCount("_raw", "wrong_cell_count", f"Record has {number} cells, but the header has 3", 1)
        for number in range(90)
    ]
    random.Random(5).shuffle(faults)
    whole = summary_of(faults).rows()
    for size in (1, 7, 101, 300):
        chunks = [faults[at : at + size] for at in range(0, len(faults), size)]
        assert summary_of(*chunks).rows() == whole
