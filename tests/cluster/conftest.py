"""An S3 server for the tests of the cluster, and a place for the service of each."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cluster.set_up import HOOK_SECRET
from crash.place import Place
from services.seaweedfs import CannotStart, S3Server, running_seaweedfs


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except CannotStart as error:
        pytest.skip(f"no S3 server, so nothing is tested on it: {error}")


@pytest.fixture
def place(tmp_path: Path, postgresql_url: str, s3: S3Server) -> Iterator[Place]:
    """A service on PostgreSQL and S3, whose parts the test starts one by one."""
    with Place(tmp_path) as place:
        place.settings |= {
            **s3.environment,
            "ASSAY_DATABASE_URL": postgresql_url,
            "ASSAY_STORAGE_URL": f"s3://{s3.bucket}/{uuid4()}",
            "ASSAY_STORAGE_HOOK_SECRET": HOOK_SECRET,
        }
        yield place
