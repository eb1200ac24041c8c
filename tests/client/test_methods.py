"""Every method of both clients, at a real server."""

import io
import json
import os
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from assay import ApiError, AsyncClient, Client, ImportUnfinished, Progress, check
from services.callers import AGES, TEXTS, ages_csv

MANY = 2500


def test_both_clients_have_the_same_methods() -> None:
    """With the same parameters, but for how they are closed and entered."""

    def methods(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")} - {"close", "aclose"}

    assert methods(Client) == methods(AsyncClient)
    for name in methods(Client):
        assert getattr(Client, name).__code__.co_varnames[:3] == getattr(AsyncClient, name).__code__.co_varnames[:3]


def test_dataset_is_made_found_changed_and_deleted(client: Any, name: str) -> None:
    made = client.create_dataset(name)
    assert (made.name, made.schema_, made.workspace_id) == (name, None, "default")
    assert client.dataset_status(made.id) == "UNINITIALISED"
    assert client.set_schema(made.id, AGES).schema_.fields["age"].type == "integer"
    assert client.dataset(str(made.id)).schema_.strict is True
    assert made.id in [dataset.id for dataset in client.datasets()]
    client.delete_dataset(made.id)
    with pytest.raises(ApiError) as caught:
        client.dataset(made.id)
    assert caught.value.status == 404


def test_import_tells_what_was_rejected(client: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / "äge list.csv"
    path.write_bytes(ages_csv(30, "old", 31, -5, 30))
    dataset = client.create_dataset(name, schema=AGES)
    job = client.import_file(dataset.id, path)
    assert (job.status, job.filename, job.accepted_count) == ("partial", "äge list.csv", 3)
    assert (job.rejected_count, job.duplicate_count) == (2, 1)
    assert [error.record_index for error in client.errors(dataset.id, job.import_id)] == [1, 3]
    rejected = tmp_path / "rejected.csv"
    client.download_rejected(dataset.id, job.import_id, rejected)
    assert rejected.read_bytes() == ages_csv("old", -5)
    assert [point.data for point in client.datapoints(dataset.id)] == [{"age": 30}, {"age": 31}]
    assert client.import_status(dataset.id, job.import_id) == job
    assert [found.import_id for found in client.imports(dataset.id)] == [job.import_id]


def test_datapoints_and_errors_come_over_several_pages(client: Any, name: str) -> None:
    dataset = client.create_dataset(name, schema=AGES)
    data = ages_csv(*(number if number % 2 else -number - 1 for number in range(2 * MANY)))
    job = client.import_file(dataset.id, io.BytesIO(data), filename="ages.csv")
    assert [point.data["age"] for point in client.datapoints(dataset.id)] == [*range(1, 2 * MANY, 2)]
    assert [error.record_index for error in client.errors(dataset.id, job.import_id)] == [*range(0, 2 * MANY, 2)]


@pytest.mark.parametrize("kind_of_source", ["path", "text", "file", "buffer", "pipe"])
def test_file_is_taken_in_every_form(client: Any, name: str, tmp_path: Path, kind_of_source: str) -> None:
    path = tmp_path / "ages.csv"
    path.write_bytes(ages_csv(1, 2, 3))
    dataset = client.create_dataset(name, schema=AGES)
    if kind_of_source == "pipe":
        reader, writer = os.pipe()
        os.write(writer, path.read_bytes())
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            job = client.import_file(dataset.id, pipe, filename="ages.csv")
    elif kind_of_source == "file":
        with path.open("rb") as file:
            job = client.import_file(dataset.id, file)
    elif kind_of_source == "buffer":
        job = client.import_file(dataset.id, io.BytesIO(path.read_bytes()), filename="ages.csv")
    else:
        job = client.import_file(dataset.id, path if kind_of_source == "path" else str(path))
    assert (job.status, job.filename, job.accepted_count) == ("complete", "ages.csv", 3)


@pytest.mark.parametrize("kind_of_source", ["path", "named", "table"])
def test_json_lines_have_two_endings_and_are_sent_by_one(
    client: Any, name: str, tmp_path: Path, kind_of_source: str
) -> None:
    path = tmp_path / "ages.ndjson"
    path.write_bytes(b'{"age": 1}\n')
    sources = {"path": path, "named": io.BytesIO(path.read_bytes()), "table": pa.table({"age": [1]})}
    filename = None if kind_of_source == "path" else "ages.ndjson"
    job = client.import_file(client.create_dataset(name, schema=AGES).id, sources[kind_of_source], filename=filename)
    assert (job.status, job.filename) == ("complete", "ages.jsonl")


def test_progress_goes_from_nothing_to_the_whole_file(client: Any, name: str) -> None:
    dataset = client.create_dataset(name, schema=TEXTS)
    data = b"".join(b'{"text": "%d%s"}\n' % (number, b"x" * 1000) for number in range(3000))
    seen: list[Progress] = []
    job = client.import_file(dataset.id, io.BytesIO(data), filename="texts.jsonl", progress=seen.append)
    assert job.status == "complete"
    assert {step.import_id for step in seen} == {job.import_id}
    uploading = [step.done_bytes for step in seen if step.stage == "uploading"]
    assert uploading[0] == 0
    assert uploading[-1] == len(data)
    assert len(uploading) > 3
    assert {step.total_bytes for step in seen} == {len(data)}
    stages = [step.stage for step in seen]
    assert stages == sorted(stages, key=["uploading", "processing"].index)
    assert uploading == sorted(uploading)


def test_import_without_wait_can_be_waited_for_later(client: Any, name: str) -> None:
    dataset = client.create_dataset(name, schema=AGES)
    job = client.import_file(dataset.id, io.BytesIO(ages_csv(1)), filename="a.csv", wait=False)
    assert isinstance(job.import_id, UUID)
    assert client.wait_for_import(dataset.id, job.import_id, timeout_seconds=30).status == "complete"
    assert client.dataset_status(dataset.id) == "READY"


def test_wait_that_takes_too_long_gives_the_job_as_it_stands(client: Any, name: str) -> None:
    dataset = client.create_dataset(name, schema=AGES)
    data = ages_csv(*range(1, 100_000))
    with pytest.raises(ImportUnfinished, match="goes on without this client") as caught:
        client.import_file(dataset.id, io.BytesIO(data), filename="a.csv", timeout_seconds=0)
    assert caught.value.job.status in ("queued", "processing")
    assert client.wait_for_import(dataset.id, caught.value.job.import_id).accepted_count == 99_999


def test_import_waits_for_a_schema_that_can_be_suggested(client: Any, name: str) -> None:
    dataset = client.create_dataset(name)
    job = client.import_file(dataset.id, io.BytesIO(ages_csv(1, 2)), filename="a.csv")
    assert job.status == "pending_schema"
    client.set_schema(dataset.id, AGES)
    assert client.wait_for_import(dataset.id, job.import_id).status == "complete"


def test_cancelled_import_is_failed(client: Any, name: str) -> None:
    dataset = client.create_dataset(name)
    job = client.import_file(dataset.id, io.BytesIO(ages_csv(1)), filename="a.csv")
    assert client.cancel_import(dataset.id, job.import_id).reason == "Cancelled"
    with pytest.raises(ApiError) as caught:
        client.cancel_import(dataset.id, job.import_id)
    assert caught.value.status == 409


@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv", "arrow"])
def test_export_writes_every_format(client: Any, name: str, tmp_path: Path, format: str) -> None:
    dataset = client.create_dataset(name, schema=AGES)
    client.import_file(dataset.id, pa.table({"age": [3, 1, 2]}))
    path = tmp_path / f"out.{format}"
    client.export(dataset.id, path, format=format)
    readers: dict[str, Any] = {
        "parquet": pa.parquet.read_table,
        "csv": pa.csv.read_csv,
        "jsonl": lambda path: pa.Table.from_pylist([json.loads(line) for line in path.read_text().splitlines()]),
        "arrow": lambda path: pa.ipc.open_stream(path.read_bytes()).read_all(),
    }
    assert readers[format](path).column("age").to_pylist() == [3, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    buffer = io.BytesIO(b"")
    client.export(dataset.id, buffer, format=format)
    assert len(buffer.getvalue()) > 10


def test_export_tells_how_much_has_come(client: Any, name: str, tmp_path: Path) -> None:
    dataset = client.create_dataset(name, schema=AGES)
    client.import_file(dataset.id, pa.table({"age": range(5000)}))
    told: list[int] = []
    client.export(dataset.id, tmp_path / "out.jsonl", format="jsonl", progress=told.append)
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (tmp_path / "out.jsonl").stat().st_size


def test_export_that_fails_leaves_no_file(client: Any, tmp_path: Path) -> None:
    with pytest.raises(ApiError):
        client.export(uuid4(), tmp_path / "out.csv", format="csv")
    assert list(tmp_path.iterdir()) == []


def test_records_are_appended_and_repeating_it_writes_nothing_twice(client: Any, name: str) -> None:
    dataset = client.create_dataset(name, schema=AGES)
    for _ in range(2):
        answer = client.append(dataset.id, [{"age": 1}, {"age": "old"}, {"age": 3}])
        assert (answer.accepted, answer.rejected) == (2, 1)
        assert [(error.record_index, error.field) for error in answer.errors] == [(2, "age")]
    assert [point.data["age"] for point in client.datapoints(dataset.id)] == [1, 3]


def test_schema_is_suggested_for_a_file_that_waits_for_one(client: Any, name: str) -> None:
    dataset = client.create_dataset(name)
    job = client.import_file(dataset.id, io.BytesIO(ages_csv(1, 2)), filename="a.csv")
    suggested = client.suggested_schema(dataset.id, job.import_id)
    assert suggested.fields["age"].type == "integer"
    assert client.set_schema(dataset.id, suggested).schema == suggested
    assert client.wait_for_import(dataset.id, job.import_id).status == "complete"
    assert client.create_dataset(name, schema=client.dataset(dataset.id).schema).schema == suggested
    assert check(io.BytesIO(ages_csv(1, 2)), suggested, filename="a.csv").accepted_count == 2


def test_new_schema_brings_the_records_under_it(client: Any, name: str) -> None:
    dataset = client.create_dataset(name, schema={"fields": {"age": {"type": "text"}}})
    client.import_file(dataset.id, io.BytesIO(b"age\n1\nold\n"), filename="a.csv")
    changed = client.set_schema(dataset.id, AGES)
    assert changed.migration_job_id is not None
    deadline = time.monotonic() + 30
    while (migration := client.migration(dataset.id, changed.migration_job_id)).status == "processing":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert migration.status == "partial", migration
    points = list(client.datapoints(dataset.id))
    assert [point.data for point in points] == [{"age": 1}, {"age": None}]
    assert [value.datapoint_id for value in client.migration_errors(dataset.id, migration.job_id)] == [points[1].id]
