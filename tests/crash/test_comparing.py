"""The harness is no better than its comparison: here it must find what a broken service would have done."""

import json
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from crash.comparing import Findings, compare, id_of
from crash.known_files import ExpectedFile, KnownFile, expect, make_files

DATASET_ID = str(uuid4())


class Answers:
    """Stands in for a client of a service that holds these records."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self.held = records

    def records(self, _dataset_id: str) -> list[dict[str, Any]]:
        return self.held

    def request(self, _method: str, _path: str) -> dict[str, int]:
        return {"total_datapoint_count": len(self.held)}


@pytest.fixture
def files() -> list[KnownFile]:
    return make_files(Random(2), files=2, records=50)


def as_job(number: int, wanted: ExpectedFile) -> dict[str, Any]:
    errors = [{"record_index": index, "field": field, "reason": reason} for index, field, reason in wanted.errors]
    return {
        "import_id": f"import-{number}",
        "status": wanted.status,
        "accepted_count": len(wanted.written) + wanted.duplicate_count,
        "rejected_count": len(errors),
        "duplicate_count": wanted.duplicate_count,
        "errors": errors,
    }


def find(files: list[KnownFile], spoil: Any = None) -> Findings:
    """Compare a service that holds just what it must, but for what `spoil` does to its records and jobs."""
    expected = expect(files)
    jobs = [as_job(number, wanted) for number, wanted in enumerate(expected)]
    records = [
        {
            "id": id_of(record, DATASET_ID),
            "import_id": f"import-{number}",
            "record_index": index,
            "data": json.loads(json.dumps(record.data)),
        }
        for number, wanted in enumerate(expected)
        for index, record in wanted.written.items()
    ]
    if spoil is not None:
        spoil(records, jobs)
    return compare(Answers(records), DATASET_ID, files, jobs)  # type: ignore[arg-type]


def test_a_service_that_holds_just_what_it_must_is_found_right(files: list[KnownFile]) -> None:
    found = find(files)
    assert (found.jobs, found.records, found.lost, found.doubled, found.wrong) == (2, 100, 0, 0, [])


def test_a_lost_record_is_found(files: list[KnownFile]) -> None:
    assert find(files, lambda records, _: records.pop(10)).lost == 1


def test_a_doubled_record_is_found(files: list[KnownFile]) -> None:
    assert find(files, lambda records, _: records.append(records[10])).doubled > 0


def test_a_record_that_should_have_been_a_duplicate_is_found(files: list[KnownFile]) -> None:
    assert find(files, lambda records, _: records.append({**records[10], "record_index": 49})).doubled > 0


@pytest.mark.parametrize("spoilt", [{"id": str(uuid4())}, {"data": {"n": 1, "text": ""}}])
def test_a_changed_record_is_found(files: list[KnownFile], spoilt: dict[str, Any]) -> None:
    assert find(files, lambda records, _: records[10].update(spoilt)).wrong


def test_an_exchange_of_two_records_is_found(files: list[KnownFile]) -> None:
    assert find(files, lambda records, _: records.insert(0, records.pop(10))).wrong


@pytest.mark.parametrize(
    "spoilt", [{"status": "failed"}, {"accepted_count": 0}, {"errors": []}, {"duplicate_count": 9}]
)
def test_a_wrong_job_is_found(files: list[KnownFile], spoilt: dict[str, Any]) -> None:
    assert find(files, lambda _, jobs: jobs[0].update(spoilt)).wrong
