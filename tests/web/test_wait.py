"""`?wait=`: an answer as soon as the job has ended, at the deadline otherwise, and at nobody else's cost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from assay.db import jobs
from assay.operations import cancel_import
from assay.web.services import Services
from services.callers import AGES, Caller, ages_csv
from web.public_shapes import ERROR, IMPORT_JOB, assert_shape


def test_wait_ends_with_the_job(caller: Caller, services: Services) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.upload(dataset_id, ages_csv(1))
    cancel = threading.Timer(0.3, cancel_import, (services.db, UUID(dataset_id), UUID(import_id)))
    cancel.start()
    started = time.monotonic()
    job = caller.job(dataset_id, import_id, wait=30)
    assert 0.2 < time.monotonic() - started < 5
    assert job["status"] == "failed"
    cancel.join()


def test_wait_ends_at_its_deadline_with_the_job_as_it_is(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.upload(dataset_id, ages_csv(1))
    started = time.monotonic()
    job = caller.job(dataset_id, import_id, wait=0.4)
    assert 0.4 <= time.monotonic() - started < 5
    assert job["status"] == "queued"
    assert_shape(job, IMPORT_JOB)


def test_wait_does_not_wait_for_a_schema(caller: Caller) -> None:
    dataset_id = caller.make_dataset()
    import_id = caller.upload(dataset_id, ages_csv(1))
    started = time.monotonic()
    assert caller.job(dataset_id, import_id, wait=30)["status"] == "pending_schema"
    assert time.monotonic() - started < 5


def test_wait_sees_a_file_that_came_without_a_word(caller: Caller, services: Services) -> None:
    """As it is with an object store, which tells nobody of an upload."""
    dataset_id = caller.make_dataset()
    offer = caller.ask_for_url(dataset_id)
    services.storage.put(offer["file_key"], ages_csv(1))
    assert caller.job(dataset_id, offer["import_id"], wait=5)["status"] == "pending_schema"


def test_wait_ends_when_the_server_does(caller: Caller, services: Services) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.upload(dataset_id, ages_csv(1))
    stop = threading.Timer(0.2, services.is_stopping.set)
    stop.start()
    started = time.monotonic()
    assert caller.job(dataset_id, import_id, wait=30)["status"] == "queued"
    assert time.monotonic() - started < 5
    stop.join()


@pytest.mark.parametrize("wait", ["60.1", "61", "-1", "soon", "nan", "inf", ""])
def test_wait_out_of_range_is_refused(caller: Caller, wait: str) -> None:
    dataset_id = caller.make_dataset()
    answer = caller.get(f"/datasets/{dataset_id}/imports/{caller.ask_for_url(dataset_id)['import_id']}", wait=wait)
    assert answer.status_code == 400
    assert_shape(answer.json(), ERROR)
    assert list(answer.json()["error"]["detail"]) == ["wait"]


def test_sixty_seconds_are_taken(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    import_id = importer.upload(dataset_id, ages_csv(1))
    assert importer.job(dataset_id, import_id, wait=60)["status"] == "complete"


def test_forty_waiting_clients_hold_nobody_up(caller: Caller, services: Services) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.upload(dataset_id, ages_csv(1))
    with ThreadPoolExecutor(45) as clients:
        waiting = [clients.submit(caller.job, dataset_id, import_id, wait=30) for _ in range(45)]
        slowest = 0.0
        for _ in range(10):
            started = time.monotonic()
            caller.read(f"/datasets/{dataset_id}")
            slowest = max(slowest, time.monotonic() - started)
        assert not any(future.done() for future in waiting)
        with services.db.write() as tx:
            job = jobs.get_import(tx, UUID(dataset_id), UUID(import_id))
            assert job is not None
            jobs.fail(tx, job, reason="The end.")
        assert {future.result()["reason"] for future in waiting} == {"The end."}
    assert slowest < 3, "a request waited for those that wait"
