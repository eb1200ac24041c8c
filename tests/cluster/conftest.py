"""An S3 server for the tests of the cluster."""

from collections.abc import Iterator

import pytest

from services.seaweedfs import CannotStart, S3Server, running_seaweedfs


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except CannotStart as error:
        pytest.skip(f"no S3 server, so nothing is tested on it: {error}")
