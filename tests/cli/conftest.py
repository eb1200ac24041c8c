"""One server for the tests of the commands that talk to it, and its address and token as a shell would have them."""

from collections.abc import Iterator

import pytest

from assay import Client
from services.processes import Process
from services.serving import TOKEN, address_of, serving


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("commands"), "--chunk-bytes", "16384", ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        yield process


@pytest.fixture
def service(shared_server: Process) -> dict[str, str]:
    """The variables that lead a command to the server."""
    return {"ASSAY_URL": address_of(shared_server), "ASSAY_TOKEN": TOKEN}


@pytest.fixture
def client(service: dict[str, str]) -> Iterator[Client]:
    with Client(service["ASSAY_URL"], TOKEN) as client:
        yield client
