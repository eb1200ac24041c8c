"""The database, the object store and the cluster go away in mid-job and come back: no job loses an attempt by that."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from assay.db import jobs
from assay.db.engine import open_database
from assay.jobs import State
from cluster.set_up import many_machines
from crash.comparing import compare
from crash.known_files import SCHEMA, make_files
from crash.patient_client import PatientClient
from crash.place import Place
from crash.set_ups import TOKEN
from services.callers import wait_until
from services.postgresql import PostgresServer
from services.processes import kill
from services.seaweedfs import S3Server

OUTAGE_SECONDS = 2.5  # longer than the lease


def import_through(place: Place, outage: Callable[[], None]) -> list[str]:
    """Import a file of many chunks with an outage in its middle; the reasons of all its moves."""
    place.settings["ASSAY_CHUNK_BYTES"] = "1024"
    place.server()
    place.worker("one")
    place.worker("two")
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


def test_a_restart_of_the_object_store_in_mid_job_is_survived(place: Place, s3: S3Server) -> None:
    def restart() -> None:
        s3.stop()
        time.sleep(OUTAGE_SECONDS)
        s3.start()

    reasons = import_through(place, restart)
    assert not [reason for reason in reasons if "ended unexpectedly" in reason or "made an error" in reason]


@pytest.mark.timeout(180)
def test_a_dask_worker_killed_in_mid_import_costs_nothing(tmp_path: Path, postgresql_url: str, s3: S3Server) -> None:
    with many_machines(tmp_path, database_url=postgresql_url, s3=s3, ASSAY_CHUNK_BYTES="1024") as set_up:
        client = PatientClient(set_up.addresses, TOKEN)
        files = make_files(Random(8), files=1, records=3000)
        dataset_id = client.make_dataset(SCHEMA)
        import_id = client.upload(dataset_id, files[0].name, files[0].data)
        path = f"/datasets/{dataset_id}/imports/{import_id}"
        wait_until(lambda: client.request("GET", path).get("processed_offset"), what="the import is under way")
        kill(set_up.others[0].id)
        found = compare(client, dataset_id, files, [client.wait_for_end(dataset_id, import_id)])
        client.close()
    assert (found.lost, found.doubled, found.wrong) == (0, 0, [])
    database = open_database(postgresql_url)
    with database.read() as tx:
        [job] = jobs.list_in_state(tx, UUID(dataset_id), State.PARTIAL)
    database.close()
    assert job.attempt == 1
