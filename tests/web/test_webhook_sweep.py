"""The log of deliveries is kept for a month after each has ended: the sweep forgets them, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert

from assay import webhooks as sending
from assay.db import webhooks
from assay.db.engine import Database
from assay.db.tables import webhook_deliveries
from assay.db.webhooks import DeliveryState
from assay.ids import new_id
from assay.storage.base import open_storage
from assay.sweeping import sweep_files
from assay.webhooks import ENDED_STAY_FOR, sweep_deliveries
from db.making import make_dataset
from moving_clock import Clock

MOMENT = timedelta(microseconds=1)


@pytest.fixture
def endpoint_id(database: Database) -> UUID:
    make_dataset(database)  # and its workspace
    with database.write() as tx:
        return webhooks.insert_endpoint(
            tx, new_id(), workspace_id="default", url="https://example.com/", secret="whsec_AAAA", created_by="x"
        ).id


def add_deliveries(
    db: Database, endpoint_id: UUID, state: DeliveryState, *, count: int = 1, ended_for: timedelta = ENDED_STAY_FOR
) -> list[UUID]:
    """Deliveries whose last attempt was so long ago, and was to be made a minute earlier."""
    with db.write() as tx:
        then = tx.now() - ended_for
        row = {"endpoint_id": endpoint_id, "dataset_id": new_id(), "event_type": "import.complete", "body": "{}"}
        row |= {"state": state.value, "attempts": 1, "created_at": then, "last_attempt_at": then}
        row |= {"next_attempt_at": then - timedelta(minutes=1)}
        rows = [row | {"id": new_id(), "job_id": new_id()} for _ in range(count)]
        tx.connection.execute(insert(webhook_deliveries), rows)
    return [made["id"] for made in rows]


def ids_of(db: Database, endpoint_id: UUID) -> set[UUID]:
    with db.read() as tx:
        return {delivery.id for delivery in webhooks.list_deliveries(tx, endpoint_id, limit=10_000, before=None)}


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.GIVEN_UP])
def test_what_has_ended_is_forgotten_after_a_month(
    database: Database, endpoint_id: UUID, state: DeliveryState, clock: Clock
) -> None:
    assert timedelta(days=30) == ENDED_STAY_FOR
    add_deliveries(database, endpoint_id, state)
    younger = add_deliveries(database, endpoint_id, state, ended_for=ENDED_STAY_FOR - MOMENT)
    assert sweep_deliveries(database) == 1
    assert ids_of(database, endpoint_id) == set(younger)
    assert sweep_deliveries(database) == 0
    clock.advance(MOMENT.total_seconds())
    assert sweep_deliveries(database) == 1


def test_what_is_still_to_be_sent_is_kept_however_old(database: Database, endpoint_id: UUID) -> None:
    waiting = add_deliveries(database, endpoint_id, DeliveryState.WAITING, ended_for=10 * ENDED_STAY_FOR)
    assert sweep_deliveries(database) == 0
    assert ids_of(database, endpoint_id) == set(waiting)


def test_a_sweep_forgets_a_bounded_number_the_oldest_first(
    database: Database, endpoint_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "DELIVERIES_A_SWEEP", 10)
    later = add_deliveries(database, endpoint_id, DeliveryState.DELIVERED, count=5)
    add_deliveries(database, endpoint_id, DeliveryState.GIVEN_UP, count=10, ended_for=2 * ENDED_STAY_FOR)
    assert sweep_deliveries(database) == 10
    assert ids_of(database, endpoint_id) == set(later)
    assert [sweep_deliveries(database) for _ in range(2)] == [5, 0]


def test_sweeps_of_several_workers_do_not_disturb_each_other(
    database: Database, endpoint_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "DELIVERIES_A_SWEEP", 25)
    add_deliveries(database, endpoint_id, DeliveryState.DELIVERED, count=200)
    start = threading.Barrier(4)

    def sweep(_: int) -> int:
        start.wait(10)
        return sum(iter(lambda: sweep_deliveries(database), 0))

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(sweep, range(4))) == 200
    assert ids_of(database, endpoint_id) == set()


def test_regular_sweep_does_it(database: Database, endpoint_id: UUID, tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "storage").as_uri(), signing_key=b"key", base_url="")
    add_deliveries(database, endpoint_id, DeliveryState.DELIVERED)
    assert sweep_files(database, storage) == 0  # these are no files
    assert ids_of(database, endpoint_id) == set()
