"""The counts of a chunk's faults, taken in columns, are those of a loop."""

from collections import Counter

import pyarrow as pa

from assay.error_summary import REASONS_A_CODE, ErrorSummary
from assay.kernel.columns import REJECTIONS
from assay.kernel.summary import count_faults


def rejections(rows):
    columns = {name: [] for name in REJECTIONS.names}
    for index, (field, code, reason) in enumerate(rows):
        for name, value in zip(REJECTIONS.names, (index, 0, 0, field, code, reason), strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=REJECTIONS)


def test_no_faults_count_nothing():
    assert count_faults(REJECTIONS.empty_table()) == []


def test_each_field_code_and_reason_is_counted_alone():
    rows = [("a", "required", "R"), ("b", "required", "R"), ("a", "not_text", "T"), ("a", "required", "R")]
    counts = {(count.field, count.code, count.reason): count.count for count in count_faults(rejections(rows))}
    assert counts == Counter(rows)


def test_columns_count_as_the_summary_does():
    rows = [("_raw", "malformed_json", f"at {at % (REASONS_A_CODE + 50)}") for at in range(1000)]
    rows += [("_raw", "invalid_utf8", f"at {at % REASONS_A_CODE}") for at in range(500)]
    summary, one_by_one = ErrorSummary(), ErrorSummary()
    counts = count_faults(rejections(rows))
    assert len(counts) == REASONS_A_CODE + 1
    summary.add(counts)
    for row in rows:
        one_by_one.add(count_faults(rejections([row])))
    assert summary.rows() == one_by_one.rows()
