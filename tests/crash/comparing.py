"""Compares what a dataset holds with what it must hold, record by record."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from xxhash import xxh3_128

from crash.known_files import ExpectedFile, KnownFile, KnownRecord, expect
from crash.patient_client import PatientClient


@dataclass
class Findings:
    """`lost` and `doubled` count records; `wrong` tells of everything that is not as it must be."""

    jobs: int = 0
    records: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        self.jobs += other.jobs
        self.records += other.records
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong += other.wrong


def compare(
    client: PatientClient, dataset_id: str, files: Sequence[KnownFile], jobs: Sequence[dict[str, Any]]
) -> Findings:
    """`jobs` are the terminal answers of the imports of `files`, which were uploaded in that order."""
    expected = expect(files)
    found = Findings(jobs=len(jobs), records=sum(len(file.records) for file in files))
    for file, wanted, job in zip(files, expected, jobs, strict=True):
        found.wrong += [f"dataset {dataset_id} {file.name}: {text}" for text in faults_of_job(wanted, job)]
    import_ids = [job["import_id"] for job in jobs]
    records = client.records(dataset_id)
    _compare_records(found, dataset_id, import_ids, expected, records)
    dataset = client.request("GET", f"/datasets/{dataset_id}")
    if dataset["total_datapoint_count"] != len(records):
        found.wrong.append(f"dataset {dataset_id} counts {dataset['total_datapoint_count']}, has {len(records)}")
    return found


def faults_of_job(wanted: ExpectedFile, job: dict[str, Any]) -> list[str]:
    accepted = len(wanted.written) + wanted.duplicate_count
    values: dict[str, tuple[object, object]] = {
        "status": (wanted.status, job["status"]),
        "accepted": (accepted, job.get("accepted_count")),
        "rejected": (len(wanted.errors), job.get("rejected_count", 0)),
        "duplicates": (wanted.duplicate_count, job.get("duplicate_count", 0)),
        "errors": (
            wanted.errors,
            [(error["record_index"], error["field"], error["reason"]) for error in job.get("errors", [])],
        ),
    }
    return [
        f"{name} must be {str(must)[:200]}, is {str(now)[:200]} ({job.get('reason')})"
        for name, (must, now) in values.items()
        if must != now
    ]


def id_of(record: KnownRecord, dataset_id: str) -> str:
    """The id that this content has in that dataset, whatever happened on its way: written down here once more."""
    context = UUID(dataset_id).bytes + (b'["n","text"]' if record.is_csv else b"")
    mixed = xxh3_128(record.line).intdigest() ^ xxh3_128(context).intdigest()
    mixed = mixed & ~(0xF << 76) | 8 << 76  # version 8
    mixed = mixed & ~(0x3 << 62) | 2 << 62  # and its variant
    return str(UUID(int=mixed))


def _compare_records(
    found: Findings,
    dataset_id: str,
    import_ids: list[str],
    expected: Sequence[ExpectedFile],
    records: list[dict[str, Any]],
) -> None:
    places = {
        (import_id, index): record
        for import_id, file in zip(import_ids, expected, strict=True)
        for index, record in file.written.items()
    }
    times = Counter((record["import_id"], record["record_index"]) for record in records)
    ids = Counter(record["id"] for record in records)
    found.lost += sum(place not in times for place in places)
    found.doubled += sum(count - 1 for count in times.values()) + sum(place not in places for place in times)
    found.doubled += sum(count - 1 for count in ids.values() if count > 1)
    for record in records:
        place = (record["import_id"], record["record_index"])
        if place in places:
            wanted = {"id": id_of(places[place], dataset_id), "data": places[place].data}
            now = {"id": record["id"], "data": record["data"]}
            if now != wanted:
                found.wrong.append(f"record {place} must be {wanted}, is {now}")
    if list(times) != list(places):
        found.wrong.append("the records are not in upload order")
