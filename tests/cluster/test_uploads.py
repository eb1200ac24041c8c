"""Uploads that go straight to the object store: who notices them, and what is refused."""

import http.client
import signal
import time
from contextlib import closing
from random import Random
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
import pytest

from assay.jobs import State
from cluster.set_up import HOOK_SECRET
from crash.comparing import compare
from crash.known_files import SCHEMA, KnownFile, make_files
from crash.patient_client import PatientClient
from crash.place import Place
from services.callers import wait_until
from services.processes import HOST
from services.seaweedfs import S3Server


@pytest.fixture
def file() -> KnownFile:
    return make_files(Random(4), files=1, records=1000)[0]


def ask_for_url(client: PatientClient, file: KnownFile) -> dict[str, Any]:
    offer: dict[str, Any] = client.request("GET", f"/datasets/{client.make_dataset(SCHEMA)}/upload-url/{file.name}")
    return offer


def put(offer: dict[str, Any], data: bytes, *, content_type: str | None = None) -> int:
    headers = {"Content-Type": content_type or offer["content_type"]}
    return httpx.put(offer["upload_url"], content=data, headers=headers, timeout=30).status_code


def test_a_presigned_url_takes_its_content_type_only_and_the_sweep_notices_the_file(
    place: Place, s3: S3Server, file: KnownFile
) -> None:
    place.start_server()
    place.worker()
    client = place.client()
    offer = ask_for_url(client, file)
    assert offer["upload_url"].startswith(s3.endpoint)
    assert put(offer, file.data, content_type="text/plain") == 403
    assert put(offer, file.data) == 200
    # Nobody polls: the history is read from the database.
    wait_until(
        lambda: any(event.to_state is State.PARTIAL for event in place.events(offer["import_id"])),
        what="the sweep notices the file and a worker imports it",
    )
    job = client.wait_for_end(offer["dataset_id"], offer["import_id"])
    assert compare(client, offer["dataset_id"], [file], [job]).wrong == []


def test_the_store_may_tell_of_an_upload_and_is_not_believed(place: Place, s3: S3Server, file: KnownFile) -> None:
    place.server()  # alone: nothing sweeps
    offer = ask_for_url(place.client(), file)
    url = f"http://{HOST}:{place.port}/hooks/storage"
    key = place.settings["ASSAY_STORAGE_URL"].removeprefix(f"s3://{s3.bucket}/") + "/" + offer["file_key"]
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": s3.bucket}, "object": {"key": quote_plus(each)}}}
        for each in (key, "somebody/else's file.csv")
    ]
    headers = {"Authorization": f"Bearer {HOOK_SECRET}"}
    assert httpx.post(url, json={"Records": records}).status_code == 401
    assert httpx.post(url, json={"Records": records}, headers={"Authorization": "Bearer guess"}).status_code == 401
    assert httpx.post(url, json={"Event": "s3:TestEvent"}, headers=headers).json() == {"noticed": 0}
    # The store says that the file is there, and it isn't.
    assert httpx.post(url, json={"Records": records}, headers=headers).json() == {"noticed": 0}
    assert put(offer, file.data) == 200
    assert httpx.post(url, json={"Records": records}, headers=headers).json() == {"noticed": 1}
    assert place.events(offer["import_id"])[-1].to_state is State.QUEUED
    assert httpx.post(url, json={"Records": records}, headers=headers).json() == {"noticed": 0}


def test_an_expired_url_is_refused_but_an_upload_under_way_at_expiry_counts(place: Place, file: KnownFile) -> None:
    place.settings["ASSAY_UPLOAD_URL_SECONDS"] = "4"
    place.start_server()
    client = place.client()
    slow = ask_for_url(client, file)
    address = urlsplit(slow["upload_url"])
    with closing(http.client.HTTPConnection(address.netloc, timeout=30)) as connection:
        connection.putrequest("PUT", f"{address.path}?{address.query}")
        connection.putheader("Content-Type", slow["content_type"])
        connection.putheader("Content-Length", str(len(file.data)))
        connection.endheaders(file.data[:1000])
        late = ask_for_url(client, file)
        place.worker()
        time.sleep(5.5)  # both URLs expire, and the sweep has looked at their imports
        assert put(late, file.data) == 403
        connection.send(file.data[1000:])
        assert connection.getresponse().status == 200
    assert client.wait_for_end(slow["dataset_id"], slow["import_id"])["status"] == "partial"


def test_a_second_upload_to_the_same_url_in_mid_import_fails_the_job(place: Place, file: KnownFile) -> None:
    place.settings["ASSAY_LEASE_SECONDS"] = "60"
    place.start_server()
    worker = place.worker(ASSAY_CRASH_AT="chunk_done:2:SIGSTOP")
    client = place.client()
    offer = ask_for_url(client, file)
    assert put(offer, file.data) == 200
    wait_until(lambda: worker.state == "T", what="the worker stops in mid-import")
    assert put(offer, file.data.replace(b"record", b"RECORD")) == 200
    worker.send(signal.SIGCONT)
    job = client.wait_for_end(offer["dataset_id"], offer["import_id"])
    assert (job["status"], client.records(offer["dataset_id"])) == ("failed", [])
    assert "it was replaced by another upload to the same URL" in job["reason"]
