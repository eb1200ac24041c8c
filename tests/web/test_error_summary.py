"""The summary of errors in an import job: all faults, not only each record's first."""

from collections import Counter

from services.callers import AGES, Caller, ages_csv
from web.public_shapes import IMPORT_JOB, assert_shape

PEOPLE = {"strict": True, "fields": {"name": {"type": "text"}, "age": {"type": "integer", "minimum": 18}}}


def test_summary_counts_every_fault_by_field_and_reason(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=PEOPLE)
    job = importer.import_file(dataset_id, b"name,age\nAda,36\n,3\n,\nBob,x\nEve,\nDan,2\n,40,1\n")
    assert_shape(job, IMPORT_JOB)
    assert job["status"] == "partial"
    assert [(row["field"], row["reason"], row["count"]) for row in job["error_summary"]] == [
        ("age", "Field is required", 2),
        ("age", "Value must be at least 18", 2),
        ("name", "Field is required", 2),
        ("_raw", "Record has 3 cells, but the header has 2", 1),
        ("age", "Value must be an integer", 1),
    ]


def test_summary_goes_beyond_the_thousand_errors_that_are_shown(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    job = importer.import_file(dataset_id, ages_csv(1, *range(-1500, 0), *("x" * size for size in range(1, 500))))
    counts = Counter({row["reason"]: row["count"] for row in job["error_summary"]})
    assert counts == {"Value must be a positive integer": 1500, "Value must be an integer": 499}


def test_failed_import_with_rejections_has_a_summary(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    job = importer.import_file(dataset_id, ages_csv(-1, -2))
    assert_shape(job, IMPORT_JOB)
    assert job["status"] == "failed"
    assert job["error_summary"] == [{"field": "age", "reason": "Value must be a positive integer", "count": 2}]
    assert "error_summary" not in importer.import_file(dataset_id, b"")
    assert "error_summary" not in importer.import_file(dataset_id, ages_csv(1))
