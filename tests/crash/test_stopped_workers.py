"""A worker that was stopped for longer than its lease comes back to find its job in other hands."""

import os
import signal
from random import Random

import pytest

from assay.jobs import State
from crash.comparing import compare
from crash.known_files import SCHEMA, KnownFile, make_files
from crash.patient_client import PatientClient
from crash.place import Place
from services.callers import wait_until
from services.processes import Process, descendants


def start_import(client: PatientClient, *, records: int = 1500) -> tuple[str, list[KnownFile], str]:
    files = make_files(Random(7), files=1, records=records)
    dataset_id = client.make_dataset(SCHEMA)
    return dataset_id, files, client.upload(dataset_id, files[0].name, files[0].data)


def stop_family(process: Process, number: signal.Signals) -> None:
    for process_id in [process.id, *descendants(process.id)]:
        os.kill(process_id, number)


@pytest.fixture
def on_postgresql(place: Place, postgresql_url: str) -> Place:
    """SQLite has no way to go on when a process is stopped with the write lock in its hands; PostgreSQL ends it."""
    place.settings["ASSAY_DATABASE_URL"] = postgresql_url
    return place


@pytest.mark.parametrize("step", ["chunk_done:3", "before_commit:1"])
def test_a_worker_stopped_past_its_lease_commits_nothing_and_leaves_nothing(on_postgresql: Place, step: str) -> None:
    place = on_postgresql
    place.start_server()
    stopped = place.worker("stopped", ASSAY_CRASH_AT=f"{step}:SIGSTOP")
    client = place.client()
    dataset_id, files, import_id = start_import(client)
    wait_until(lambda: stopped.state == "T", what="the worker stops at its step")
    stop_family(stopped, signal.SIGSTOP)
    place.worker("other")
    job = client.wait_for_end(dataset_id, import_id)
    assert compare(client, dataset_id, files, [job]).wrong == []
    stop_family(stopped, signal.SIGCONT)
    wait_until(lambda: "lost its lease" in stopped.output(), what="the stopped worker notices")
    wait_until(lambda: not [key for key in place.files("parts") if "/1/part" in key], what="its files are removed")
    found = compare(client, dataset_id, files, [client.wait_for_end(dataset_id, import_id)])
    assert (found.lost, found.doubled, found.wrong) == (0, 0, [])
    ends = [event for event in place.events(import_id) if event.to_state is State.PARTIAL]
    assert [event.attempt for event in ends] == [2]


def test_a_worker_stopped_for_less_than_its_lease_goes_on(on_postgresql: Place) -> None:
    place = on_postgresql
    place.settings["ASSAY_LEASE_SECONDS"] = "60"
    place.start_server()
    worker = place.worker(ASSAY_CRASH_AT="chunk_done:3:SIGSTOP")
    client = place.client()
    dataset_id, files, import_id = start_import(client)
    wait_until(lambda: worker.state == "T", what="the worker stops at its step")
    worker.send(signal.SIGCONT)
    job = client.wait_for_end(dataset_id, import_id)
    assert compare(client, dataset_id, files, [job]).wrong == []
    assert [event.attempt for event in place.events(import_id)][-1] == 1


def test_a_worker_told_to_end_gives_its_job_back_within_seconds_at_no_cost(on_postgresql: Place) -> None:
    place = on_postgresql
    place.settings["ASSAY_CHUNK_BYTES"] = "1024"
    place.start_server()
    worker = place.worker("first", ASSAY_CRASH_AT="chunk_done:3:SIGSTOP")
    client = place.client()
    dataset_id, files, import_id = start_import(client, records=9000)  # more than it can do before it hears
    wait_until(lambda: worker.state == "T", what="the worker stops at its step")
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGCONT)
    assert worker.wait(8)
    assert worker.popen is not None
    assert worker.popen.returncode == 0
    given_back = place.events(import_id)[-1]
    assert (given_back.to_state, given_back.reason) == (State.QUEUED, "The worker was stopped.")
    assert place.files("parts") == []
    place.worker("second", ASSAY_CHUNK_BYTES="1000000")
    assert compare(client, dataset_id, files, [client.wait_for_end(dataset_id, import_id)]).wrong == []
