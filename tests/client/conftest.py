"""A real server for the clients, and one face for both of them, so that each test runs on either."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from assay import AsyncClient, Client
from services.processes import Process
from services.serving import TOKEN, address_of, serving


class OnLoop:
    """An `AsyncClient` called as a `Client`; what it iterates comes as a list."""

    def __init__(self, *words: Any, **options: Any) -> None:
        self._client = AsyncClient(*words, **options)
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **options: self._runner.run(self._call(name, words, options))

    async def _call(self, name: str, words: Any, options: Any) -> Any:
        called = getattr(self._client, name)(*words, **options)
        return [item async for item in called] if hasattr(called, "__aiter__") else await called

    def __enter__(self) -> "OnLoop":
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


KINDS: dict[str, Any] = {"sync": Client, "async": OnLoop}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    # In small chunks, so that even a small file is worked on in steps that can be seen.
    folder = tmp_path_factory.mktemp("service")
    with serving(folder, "--chunk-bytes", "65536", ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        yield process


@pytest.fixture(scope="session")
def address(server: Process) -> str:
    return address_of(server)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


@pytest.fixture
def client(kind: Any, address: str) -> Iterator[Any]:
    """Either client, of the real server."""
    with kind(address, TOKEN) as client:
        yield client


@pytest.fixture
def sync_client(address: str) -> Iterator[Client]:
    with Client(address, TOKEN) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A dataset's name that no other test has."""
    return f"dataset {uuid4()}"
