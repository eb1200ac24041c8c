"""The operation that the public API defines in full: an import's status, in every state, as a real answer."""

import json
from datetime import timedelta

import pytest

from assay.db import leases
from assay.jobs import Counts, Lease
from assay.web.services import Services
from moving_clock import Clock
from services.callers import AGES, TEXTS, Caller, ages_csv
from web.public_shapes import IMPORT_JOB, assert_shape

LEASE = timedelta(seconds=30)


def claim(services: Services) -> Lease:
    with services.db.write() as tx:
        lease = leases.claim_next(tx, lease=LEASE, running_limit=10)
    assert lease is not None
    return lease


def job_in(status: str, caller: Caller, *, schema: object = AGES) -> dict[str, object]:
    """The only import of a new dataset, brought no further than its upload."""
    dataset_id = caller.make_dataset(schema=schema)  # type: ignore[arg-type]
    job = caller.job(dataset_id, caller.upload(dataset_id, ages_csv(1)))
    assert job["status"] == status
    return job


def test_csv_with_wrong_ages_is_partial_as_in_the_public_example(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema={"fields": {"name": {"type": "text"}, **AGES["fields"]}})
    job = importer.import_file(
        dataset_id, b"name,age\nAda,36\nBob,-4\nCleo,41\nDan,0\nEve,\nFay,x\n", "participant_responses.csv"
    )
    assert_shape(job, IMPORT_JOB)
    assert job["status"] == "partial"
    assert job["filename"] == "participant_responses.csv"
    assert job["accepted_count"] == 3
    assert job["rejected_count"] == 3
    assert job["errors"] == [
        {"record_index": 1, "field": "age", "reason": "Value must be a positive integer"},
        {"record_index": 3, "field": "age", "reason": "Value must be a positive integer"},
        {"record_index": 5, "field": "age", "reason": "Value must be an integer"},
    ]
    assert "reason" not in job


def test_malformed_line_is_rejected_as_raw(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    data = b'{"age": 1}\n{"age": \n\n[1]\n{"age": 2, "age": 3}\n{"age": NaN}\n{"age": 4}'
    job = importer.import_file(dataset_id, data, "answers.jsonl")
    assert_shape(job, IMPORT_JOB)
    assert (job["status"], job["accepted_count"], job["rejected_count"]) == ("partial", 2, 4)
    assert [(error["record_index"], error["field"]) for error in job["errors"]] == [
        (index, "_raw") for index in (1, 2, 3, 4)
    ]
    assert job["errors"][0]["reason"].startswith("Malformed JSON in record")
    assert job["errors"][1]["reason"] == "Record must be a JSON object, not an array"
    assert "age" in job["errors"][2]["reason"]


def test_import_is_uninitialised_until_its_upload(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    offer = caller.ask_for_url(dataset_id)
    job = caller.job(dataset_id, offer["import_id"])
    assert job["status"] == "uninitialised"
    assert_shape(job, IMPORT_JOB)


def test_uploaded_import_is_queued(caller: Caller) -> None:
    assert_shape(job_in("queued", caller), IMPORT_JOB)


def test_upload_of_a_dataset_without_schema_is_pending(caller: Caller) -> None:
    assert_shape(job_in("pending_schema", caller, schema=None), IMPORT_JOB)


def test_dataset_tells_of_a_file_that_an_object_store_took(caller: Caller, services: Services, clock: Clock) -> None:
    """Nobody has told the service of it, and nobody has asked for the import yet."""
    dataset_id = caller.make_dataset(schema=AGES)
    offer = caller.ask_for_url(dataset_id)
    clock.advance(1)
    assert caller.get(f"/datasets/{dataset_id}/status").json() == {"status": "UNINITIALISED"}
    services.storage.put(offer["file_key"], ages_csv(1))
    assert caller.get(f"/datasets/{dataset_id}/status").json() == {"status": "PROCESSING"}


def test_file_that_came_before_another_schema_is_judged_by_the_old_one(
    busy_services: Services, importer: Caller
) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    importer.import_file(dataset_id, ages_csv(1))
    offer = importer.ask_for_url(dataset_id)
    busy_services.storage.put(offer["file_key"], ages_csv(30))
    stricter = {"fields": {"age": {"type": "integer", "maximum": 20}}}
    assert "migration_job_id" in importer.request("PATCH", f"/datasets/{dataset_id}", json={"schema": stricter}).json()
    assert importer.settled(dataset_id, offer["import_id"])["status"] == "complete"


def test_claimed_import_is_processing_and_shows_progress(caller: Caller, services: Services, clock: Clock) -> None:
    queued = job_in("queued", caller)
    dataset_id, import_id = str(queued["dataset_id"]), str(queued["import_id"])
    clock.advance(1)
    lease = claim(services)
    job = caller.job(dataset_id, import_id)
    assert_shape(job, IMPORT_JOB)
    assert (job["status"], job["processed_offset"]) == ("processing", 0)
    with services.db.write() as tx:
        leases.record_progress(tx, lease, Counts(accepted=9, rejected=2, duplicate=4, processed_offset=77))
    job = caller.job(dataset_id, import_id)
    assert_shape(job, IMPORT_JOB)
    shown = {key: job[key] for key in ("written_count", "duplicate_seen_count", "rejected_seen_count")}
    assert shown == {"written_count": 5, "duplicate_seen_count": 4, "rejected_seen_count": 2}
    assert job["processed_offset"] == 77
    assert job["processing_started_at"] == "2026-01-02T03:04:06.000000Z"


def test_import_that_was_given_back_is_queued_without_traces(caller: Caller, services: Services) -> None:
    queued = job_in("queued", caller)
    lease = claim(services)
    with services.db.write() as tx:
        leases.give_back(tx, lease, reason="The worker was stopped.", was_lost=False)
    job = caller.job(str(queued["dataset_id"]), str(queued["import_id"]))
    assert job["status"] == "queued"
    assert_shape(job, IMPORT_JOB)


def test_clean_file_is_complete(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    data = ages_csv(1, 2, 2, 3)
    job = importer.import_file(dataset_id, data)
    assert_shape(job, IMPORT_JOB)
    assert (job["status"], job["accepted_count"], job["duplicate_count"]) == ("complete", 4, 1)
    assert job["written_count"] == 3
    assert job["processed_offset"] == len(data)


def test_all_rejected_is_failed_with_errors_and_nothing_ingested(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    job = importer.import_file(dataset_id, ages_csv(-1, "x"))
    assert_shape(job, IMPORT_JOB)
    assert (job["status"], job["rejected_count"], len(job["errors"])) == ("failed", 2, 2)
    assert "2 records were rejected" in job["reason"]
    assert importer.records(dataset_id) == []


def test_errors_stop_at_a_thousand_while_the_count_goes_on(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    job = importer.import_file(dataset_id, ages_csv(1, *range(-1500, 0)))
    assert_shape(job, IMPORT_JOB)
    assert (job["rejected_count"], len(job["errors"])) == (1500, 1000)
    assert [error["record_index"] for error in job["errors"]] == list(range(1, 1001))


@pytest.mark.parametrize(
    ("filename", "data", "words"),
    [
        ("a.csv", b"", "The file is empty"),
        ("a.jsonl", b"", "The file is empty"),
        ("a.csv", b"age\n", "no records"),
        ("a.csv", b"age", "no records"),
        ("a.jsonl", b"\n\n\n", "no records"),
        ("a.csv", b"\x07\x00\x00\x01" * 500, "binary"),
        ("a.csv", b"PK\x03\x04zip", "ZIP archive"),
        ("a.csv", "age\n1\n".encode("utf-16"), "UTF-16"),
        ("a.jsonl", '{"age": 1}\n'.encode("utf-16-be"), "UTF-16"),
        ("a.csv", b"years\n1\n", "age"),
        ("a.csv", b"age,age\n1,2\n", "age"),
        ("a.csv", b'age\n1\n"2\n', "quote"),
    ],
)
def test_unusable_file_is_failed_with_a_reason(importer: Caller, filename: str, data: bytes, words: str) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    job = importer.import_file(dataset_id, data, filename)
    assert_shape(job, IMPORT_JOB)
    assert job["status"] == "failed"
    assert words in job["reason"]
    assert "errors" not in job
    assert importer.read(f"/datasets/{dataset_id}/status") == {"status": "ERROR"}


def test_first_schema_releases_waiting_imports_in_upload_order(importer: Caller) -> None:
    dataset_id = importer.make_dataset()
    texts = [f"file {number}" for number in range(5)]
    offers = [importer.ask_for_url(dataset_id, f"{number}.jsonl") for number in range(5)]
    order = [3, 0, 4, 1, 2]
    for number in order:
        line = json.dumps({"text": texts[number]}).encode()
        assert importer.put(offers[number], line).status_code == 200
        assert importer.settled(dataset_id, offers[number]["import_id"])["status"] == "pending_schema"
    answer = importer.request("PATCH", f"/datasets/{dataset_id}", json={"schema": TEXTS})
    assert answer.status_code == 200
    for offer in offers:
        job = importer.settled(dataset_id, offer["import_id"])
        assert_shape(job, IMPORT_JOB)
        assert job["status"] == "complete"
    assert [record["data"]["text"] for record in importer.records(dataset_id)] == [texts[number] for number in order]
