"""Storages for the suites here: a directory, and a bucket on a real S3 server."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.storage import s3
from assay.storage.base import Storage, open_storage
from assay.storage.local import LocalStorage, open_local
from services.seaweedfs import CannotStart, S3Server, running_seaweedfs

SIGNING_KEY = b"a key that only tests know"
BASE_URL = "http://assay.test:8000"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A SeaweedFS of this session, with an empty bucket."""
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except CannotStart as error:
        pytest.skip(f"no S3 server, so nothing is tested on it: {error}")


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of this test's own, with the environment set to reach it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_server.bucket}/{uuid.uuid4()}"


@pytest.fixture
def local_url(tmp_path: Path) -> str:
    return (tmp_path / "storage").as_uri()


@pytest.fixture(params=["local", "s3"])
def storage_url(request: pytest.FixtureRequest) -> str:
    """An empty storage of this test's own; the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def storage(storage_url: str) -> Storage:
    return open_storage(storage_url, signing_key=SIGNING_KEY, base_url=BASE_URL)


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return open_local(tmp_path / "storage", signing_key=SIGNING_KEY, base_url=BASE_URL)


@pytest.fixture(params=["local", "s3"])
def unreachable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage that was there once: a folder whose disk is gone, a server that does not answer."""
    if request.param == "local":
        local: LocalStorage = request.getfixturevalue("local")
        (local.root / "tmp").rmdir()
        return local
    monkeypatch.setattr(s3, "MAX_RETRIES", 1)
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    return s3.open_s3("s3://bucket/prefix", environment=environment)
