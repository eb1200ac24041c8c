"""The database, the object store and the cluster go away in mid-job and come back: no job loses an attempt by that."""

import time
from collections.abc import Callable, Iterator
from random import Random
from uuid import UUID

import httpx
import pytest

from assay.db import jobs, leases
from assay.db.engine import open_database
from assay.db.faults import NO_WRITES
from assay.jobs import Import
from cluster.set_up import many_machines, migrate
from crash.comparing import compare
from crash.known_files import SCHEMA, make_files
from crash.patient_client import API, PatientClient
from crash.place import Place
from crash.set_ups import TOKEN, SetUp
from services.callers import wait_until
from services.postgresql import PostgresServer
from services.processes import HOST, kill
from services.seaweedfs import S3Server

OUTAGE_SECONDS = 2.5  # longer than the lease


def import_through(place: Place, outage: Callable[[], None]) -> list[str]:
    """Import a file of many chunks with an outage in its middle; the reasons of all its moves."""
    place.settings["ASSAY_CHUNK_BYTES"] = "1024"
    place.start_server()
    place.start_worker("one")
    place.start_worker("two")
    place.wait_until_ready()
    client = place.client()
    files = make_files(Random(8), files=1, records=3000)
    dataset_id = client.make_dataset(SCHEMA)
    import_id = client.upload(dataset_id, files[0].name, files[0].data)
    path = f"/datasets/{dataset_id}/imports/{import_id}"
    wait_until(lambda: client.request("GET", path).get("processed_offset"), what="the import is under way")
    assert client.request("GET", path)["status"] == "processing"
    outage()
    found = compare(client, dataset_id, files, [client.wait_for_end(dataset_id, import_id)])
    assert (found.lost, found.doubled, found.wrong) == (0, 0, [])
    return [event.reason or "" for event in place.events(import_id)]


def test_a_restart_of_postgresql_in_mid_job_is_survived(place: Place, postgresql: PostgresServer) -> None:
    def restart() -> None:
        postgresql.stop()
        time.sleep(OUTAGE_SECONDS)
        postgresql.start()

    reasons = import_through(place, restart)
    assert not [reason for reason in reasons if "fell silent" in reason or "error" in reason]


def test_a_failover_of_postgresql_in_mid_job_is_survived(place: Place, postgresql: PostgresServer) -> None:
    def fail_over() -> None:
        address = f"http://{HOST}:{place.port}"
        postgresql.become_standby()
        try:
            wait_until(lambda: readiness(address) == (503, NO_WRITES), what="the service says what it lacks")
            body = {"name": "Later", "workspace_id": "default"}
            answer = httpx.post(f"{address}{API}/datasets", json=body, headers={"Authorization": f"Token {TOKEN}"})
            assert (answer.status_code, answer.json()["error"]["detail"]) == (503, NO_WRITES)
            time.sleep(OUTAGE_SECONDS)
        finally:
            postgresql.promote()
        wait_until(lambda: readiness(address)[0] == 200, what="the service is ready again")

    reasons = import_through(place, fail_over)
    assert not [reason for reason in reasons if "fell silent" in reason or "error" in reason]
    for log in place.folder.glob("*.log"):
        assert "fault of the service" not in log.read_text()


def readiness(address: str) -> tuple[int, str]:
    answer = httpx.get(f"{address}/readyz", timeout=10)
    return answer.status_code, "" if answer.is_success else answer.json()["error"]["detail"]


def test_a_restart_of_the_object_store_in_mid_job_is_survived(place: Place, s3: S3Server) -> None:
    def restart() -> None:
        s3.stop()
        time.sleep(OUTAGE_SECONDS)
        s3.start()

    reasons = import_through(place, restart)
    assert not [reason for reason in reasons if "ended unexpectedly" in reason or "made an error" in reason]


def import_on_dask(set_up: SetUp, outage: Callable[[], None]) -> Import:
    """Import a file of many chunks with an outage in its middle; the job as it ended."""
    client = PatientClient(set_up.addresses, TOKEN)
    files = make_files(Random(8), files=1, records=3000)
    dataset_id = client.make_dataset(SCHEMA)
    import_id = client.upload(dataset_id, files[0].name, files[0].data)
    path = f"/datasets/{dataset_id}/imports/{import_id}"
    wait_until(lambda: client.request("GET", path).get("processed_offset"), what="the import is under way")
    assert client.request("GET", path)["status"] == "processing"
    outage()
    found = compare(client, dataset_id, files, [client.wait_for_end(dataset_id, import_id)])
    client.close()
    assert (found.lost, found.doubled, found.wrong) == (0, 0, [])
    database = open_database(set_up.database_url)
    with database.read() as tx:
        job = jobs.get_import(tx, UUID(dataset_id), UUID(import_id))
        assert job is not None
        assert leases.count_lost_attempts(tx, job.id) == 0
    database.close()
    return job


@pytest.fixture(scope="module")
def shared_on_dask(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer, s3: S3Server
) -> Iterator[SetUp]:
    """On a database of its own: the one that all tests share is cleared for each."""
    url = postgresql.create_database("assay_on_dask")
    migrate(url)
    folder = tmp_path_factory.mktemp("dask")
    with many_machines(folder, database_url=url, s3=s3, ASSAY_CHUNK_BYTES="1024") as set_up:
        yield set_up
    postgresql.drop_database("assay_on_dask")


@pytest.fixture
def on_dask(shared_on_dask: SetUp) -> SetUp:
    """With all its processes, whatever the test before has ended."""
    shared_on_dask.start_all()
    return shared_on_dask


@pytest.mark.timeout(180)
def test_a_dask_worker_killed_in_mid_import_costs_nothing(on_dask: SetUp) -> None:
    assert import_on_dask(on_dask, lambda: kill(on_dask.others[0].id)).attempt == 1


@pytest.mark.timeout(180)
def test_a_dask_scheduler_lost_in_mid_import_costs_a_wait(on_dask: SetUp) -> None:
    scheduler = on_dask.scheduler
    assert scheduler is not None

    def restart() -> None:
        kill(scheduler.id)
        scheduler.wait(10)
        scheduler.start()
        scheduler.wait_until_ready()
        for worker in on_dask.others:
            worker.end()
        on_dask.start_all()

    import_on_dask(on_dask, restart)
