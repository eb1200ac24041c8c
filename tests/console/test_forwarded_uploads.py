"""Files that come in by the form where the store is S3: they go through the service, by a file of its own."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assay.db.engine import open_database
from assay.storage.base import open_storage
from console.conftest import Desk, make_desk
from moving_clock import Clock
from services.callers import AGES, Caller, ages_csv
from services.in_process import client_of
from services.seaweedfs import CannotStart, S3Server, running_seaweedfs
from web.conftest import make_app, make_services, make_settings


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except CannotStart as error:
        pytest.skip(f"NO S3 SERVER, so no form is tested on one: {error}")


@pytest.fixture
def s3_desk(
    s3_server: S3Server, sqlite_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    db = open_database(sqlite_url, clock=clock)
    storage = open_storage(f"s3://{s3_server.bucket}/{uuid.uuid4()}", signing_key=b"", base_url="")
    services = replace(make_services(db, make_settings(tmp_path, max_upload_bytes=1000)), storage=storage)
    with client_of(make_app(services)) as client:
        yield make_desk(services, Caller(client, "home", ""))
    db.close()


@pytest.mark.parametrize("data", [ages_csv(1, 2), b""])
def test_file_of_the_form_is_in_the_bucket_and_the_import_in_line(s3_desk: Desk, data: bytes) -> None:
    dataset_id = s3_desk.caller.make_dataset(schema=AGES)
    form = s3_desk.visitor.get(f"/datasets/{dataset_id}").form(f"/send-file/{dataset_id}")
    assert "Queued" in s3_desk.visitor.send_file(form, "ages.csv", data).text
    (stored,) = s3_desk.services.storage.list(f"datasets/{dataset_id}/uploads")
    assert s3_desk.services.storage.read_range(stored.key, 0, 1000) == data


def test_file_that_is_too_large_is_refused_and_not_kept(s3_desk: Desk) -> None:
    dataset_id = s3_desk.caller.make_dataset(schema=AGES)
    form = s3_desk.visitor.get(f"/datasets/{dataset_id}").form(f"/send-file/{dataset_id}")
    page = s3_desk.visitor.send_file(form, "ages.csv", ages_csv(*range(1000)))
    assert page.status == 413
    assert "split it" in page.text
    assert list(s3_desk.services.storage.list(f"datasets/{dataset_id}/uploads")) == []


def test_page_sends_no_script_to_another_host(s3_desk: Desk) -> None:
    dataset_id = s3_desk.caller.make_dataset(schema=AGES)
    page = s3_desk.visitor.get(f"/datasets/{dataset_id}")
    assert not [given for _, given in page.tags if "data-begin" in given]
