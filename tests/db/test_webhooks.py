"""What endpoints are told is noted with the end of a job, or not at all; and one worker at a time has it in hand."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from assay.db import jobs, webhooks
from assay.db.engine import Database
from assay.db.webhooks import ClaimedDelivery, Delivery, DeliveryState
from assay.ids import new_id
from assay.jobs import State
from db.making import claim_surely, complete, make_dataset, make_import, queue_job
from moving_clock import Clock

LEASE = timedelta(seconds=60)


def make_endpoint(db: Database, *, workspace_id: str = "default") -> UUID:
    with db.write() as tx:
        return webhooks.insert_endpoint(
            tx, new_id(), workspace_id=workspace_id, url="https://example.com/", secret="whsec_AAAA", created_by="x"
        ).id


def deliveries(db: Database, endpoint_id: UUID) -> list[Delivery]:
    with db.read() as tx:
        return webhooks.list_deliveries(tx, endpoint_id, limit=1000, before=None)


def claim(db: Database) -> ClaimedDelivery | None:
    with db.write() as tx:
        return webhooks.claim_delivery(tx, lease=LEASE)


def end_import(db: Database, dataset_id: UUID) -> UUID:
    queue_job(db, dataset_id)
    return complete(db, claim_surely(db), 3, faults=(2,)).id


@pytest.fixture
def dataset_id(database: Database) -> UUID:
    return make_dataset(database)


def test_end_of_an_import_is_noted_for_each_endpoint_of_its_workspace(database: Database, dataset_id: UUID) -> None:
    make_dataset(database, workspace_id="other")
    ours = [make_endpoint(database), make_endpoint(database)]
    theirs = make_endpoint(database, workspace_id="other")
    job_id = end_import(database, dataset_id)
    for endpoint_id in ours:
        (noted,) = deliveries(database, endpoint_id)
        assert (noted.job_id, noted.event_type, noted.state) == (job_id, "import.partial", DeliveryState.WAITING)
    assert deliveries(database, theirs) == []


def test_what_is_told_is_how_the_job_ended(database: Database, dataset_id: UUID) -> None:
    make_endpoint(database)
    job_id = end_import(database, dataset_id)
    claimed = claim(database)
    assert claimed is not None
    told = json.loads(claimed.body)
    assert told["type"] == "import.partial"
    assert told["timestamp"].endswith("Z")
    assert told["data"] == {
        "workspace_id": "default",
        "dataset_id": str(dataset_id),
        "import_id": str(job_id),
        "status": "partial",
        "filename": "answers.csv",
        "accepted_count": 3,
        "duplicate_count": 0,
        "rejected_count": 2,
    }


@pytest.mark.parametrize("ending", ["cancelled while it waits", "cancelled while it runs"])
def test_every_way_to_the_end_is_noted(database: Database, dataset_id: UUID, ending: str) -> None:
    endpoint_id = make_endpoint(database)
    with database.write() as tx:
        job = make_import(tx, dataset_id)
    if ending.endswith("runs"):
        queue_job(database, dataset_id)
        job = claim_surely(database).job
    assert deliveries(database, endpoint_id) == []
    with database.write() as tx:
        jobs.fail(tx, job, reason="Cancelled")
    assert [noted.event_type for noted in deliveries(database, endpoint_id)] == ["import.failed"]


def test_end_that_is_rolled_back_was_never_noted(database: Database, dataset_id: UUID) -> None:
    endpoint_id = make_endpoint(database)
    job = queue_job(database, dataset_id)
    with database.write() as tx:
        jobs.fail(tx, job, reason="Cancelled")
        tx.connection.get_transaction().rollback()  # type: ignore[union-attr]  # there is one
    assert deliveries(database, endpoint_id) == []
    with database.write() as tx:
        jobs.move(tx, job, State.PROCESSING, attempt=1)
    assert deliveries(database, endpoint_id) == []


def test_many_workers_never_have_the_same_delivery(database: Database, dataset_id: UUID) -> None:
    for _ in range(8):
        make_endpoint(database)
    end_import(database, dataset_id)
    with ThreadPoolExecutor(8) as workers:
        claimed = list(workers.map(lambda _: claim(database), range(16)))
    ids = [delivery.id for delivery in claimed if delivery is not None]
    assert len(ids) == len(set(ids)) == 8


def test_an_endpoint_is_sent_one_thing_at_a_time_in_order(database: Database, dataset_id: UUID, clock: Clock) -> None:
    make_endpoint(database)
    ended = []
    for _ in range(3):
        ended.append(end_import(database, dataset_id))
        clock.advance(1)
    seen = []
    while (claimed := claim(database)) is not None:
        seen.append(claimed.job_id)
        assert claim(database) is None
        with database.write() as tx:
            webhooks.note_delivered(tx, claimed, status=200)
    assert seen == ended


def test_a_delivery_whose_worker_was_lost_is_claimed_again(database: Database, dataset_id: UUID, clock: Clock) -> None:
    endpoint_id = make_endpoint(database)
    end_import(database, dataset_id)
    first = claim(database)
    assert first is not None
    clock.advance(59.9)
    assert claim(database) is None
    clock.advance(0.1)
    second = claim(database)
    assert second is not None
    assert (second.id, second.attempt) == (first.id, 2)
    with database.write() as tx:
        webhooks.note_failure(tx, first, status=None, error="late", retry_after=None)
    (noted,) = deliveries(database, endpoint_id)
    assert (noted.state, noted.last_error) == (DeliveryState.WAITING, None)


def test_a_failure_waits_for_its_time_and_the_last_one_gives_up(
    database: Database, dataset_id: UUID, clock: Clock
) -> None:
    endpoint_id = make_endpoint(database)
    end_import(database, dataset_id)
    claimed = claim(database)
    assert claimed is not None
    with database.write() as tx:
        webhooks.note_failure(tx, claimed, status=500, error="answered 500", retry_after=timedelta(seconds=5))
    clock.advance(4.9)
    with database.read() as tx:
        assert not webhooks.has_due_delivery(tx)
    clock.advance(0.1)
    again = claim(database)
    assert again is not None
    with database.write() as tx:
        webhooks.note_failure(tx, again, status=None, error="no answer", retry_after=None)
    (noted,) = deliveries(database, endpoint_id)
    assert (noted.state, noted.attempts, noted.last_status) == (DeliveryState.GIVEN_UP, 2, None)
    clock.advance(1_000_000)
    assert claim(database) is None
    with database.read() as tx:
        assert webhooks.count_deliveries(tx) == {DeliveryState.GIVEN_UP: 1}


def test_a_deleted_endpoint_takes_its_deliveries_along(database: Database, dataset_id: UUID) -> None:
    endpoint_id = make_endpoint(database)
    end_import(database, dataset_id)
    with database.write() as tx:
        webhooks.delete_endpoint(tx, endpoint_id)
    assert deliveries(database, endpoint_id) == []
    assert claim(database) is None
