"""Migrations and appends whose process is killed: records are the old ones or the new, an append is whole or not."""

import json
import signal
import threading
from itertools import groupby
from typing import Any

import httpx
import pytest

from crash.patient_client import PatientClient
from crash.place import Place
from crash.set_ups import TOKEN
from services.callers import API, wait_until
from services.processes import HOST

COUNT = 1500
RECORDS_A_BODY = 20
SCHEMA: dict[str, Any] = {"fields": {"number": {"type": "integer"}}}
OTHER_SCHEMA: dict[str, Any] = {"fields": {"number": {"type": "text"}, "extra": {"type": "text"}}}


def jsonl(first: int, count: int) -> bytes:
    return "".join(
        json.dumps({"number": number, "extra": "x"}) + "\n" for number in range(first, first + count)
    ).encode()


def ended_migration(client: PatientClient, dataset_id: str, migration_id: str) -> Any:
    def look() -> Any:
        found = client.request("GET", f"/datasets/{dataset_id}/schema-migrations/{migration_id}")
        return found if found["status"] != "processing" else None

    return wait_until(look, what="the migration ends", seconds=60)


@pytest.mark.parametrize("step", ["chunk_done:3", "before_commit"])
def test_migration_whose_worker_is_killed_is_done_once_by_another(place: Place, step: str) -> None:
    place.start_server()
    first = place.worker("first")
    client = place.client()
    dataset_id = client.make_dataset(SCHEMA)
    client.wait_for_end(dataset_id, client.upload(dataset_id, "a.jsonl", jsonl(0, COUNT)))
    before = client.records(dataset_id)
    first.end()
    killed = place.worker("killed", ASSAY_CRASH_AT=step)
    patched = client.request("PATCH", f"/datasets/{dataset_id}", json={"schema": OTHER_SCHEMA})
    assert killed.wait(30)
    place.worker("other")
    found = ended_migration(client, dataset_id, patched["migration_job_id"])
    assert (found["status"], found["reprocessed_count"]) == ("complete", COUNT)
    after = client.records(dataset_id)
    assert [(record["id"], record["record_index"]) for record in after] == [
        (record["id"], record["record_index"]) for record in before
    ]
    assert [record["data"] for record in after] == [{"number": str(n), "extra": "x"} for n in range(COUNT)]
    migration_id = patched["migration_job_id"]

    def attempts() -> set[str]:
        return {key.split("/")[-2] for key in place.files("parts") if migration_id in key}

    wait_until(lambda: attempts() == {"2"}, what="the first attempt's files are removed")


def test_appends_whose_server_is_killed_are_whole_or_not_there(place: Place) -> None:
    server = place.server(workers=1)
    client = place.client()
    dataset_id = client.make_dataset(SCHEMA)
    answered: list[int] = []

    def append(first: int) -> None:
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/x-ndjson"}
        address = f"http://{HOST}:{place.port}{API}/datasets/{dataset_id}/datapoints"
        number = first
        try:
            while True:
                answer = httpx.post(address, content=jsonl(number, RECORDS_A_BODY), headers=headers, timeout=30)
                assert answer.json()["accepted"] == RECORDS_A_BODY
                answered.append(number)
                number += RECORDS_A_BODY
        except httpx.TransportError:
            return  # killed

    appending = [threading.Thread(target=append, args=(first,)) for first in (0, 1_000_000)]
    for thread in appending:
        thread.start()
    wait_until(lambda: len(answered) > 15, what="some appends are through")
    server.send(signal.SIGKILL)
    for thread in appending:
        thread.join(40)
    assert server.wait(10)
    server.start()
    server.wait_until_ready()
    numbers = [record["data"]["number"] for record in client.records(dataset_id)]
    assert len(numbers) == len(set(numbers))
    bodies = {body: len(list(of_body)) for body, of_body in groupby(number // RECORDS_A_BODY for number in numbers)}
    assert set(bodies.values()) == {RECORDS_A_BODY}
    assert {number // RECORDS_A_BODY for number in answered} <= set(bodies)
