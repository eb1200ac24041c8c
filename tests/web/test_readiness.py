"""`/readyz` beside a storage that hangs: it answers in time, and takes no thread from the requests."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from assay.errors import ErrorCode
from assay.storage.base import Storage, Stored
from assay.web import readiness
from assay.web.services import Services
from services.in_process import client_of
from web.conftest import make_app

PROBES = 60  # more than there are threads for requests


class HangingStorage:
    """Takes every question and answers none, until it is let go."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.goes_on = threading.Event()
        self.questions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def list(self, prefix: str) -> Iterator[Stored]:
        self.questions += 1
        assert self.goes_on.wait(60)
        return self._storage.list(prefix)


@contextmanager
def hanging(services: Services) -> Iterator[tuple[HangingStorage, Services]]:
    storage = HangingStorage(services.storage)
    try:
        yield storage, replace(services, storage=storage)
    finally:
        storage.goes_on.set()


def test_probes_of_a_storage_that_hangs_are_answered_and_hold_up_no_request(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    with (
        hanging(services) as (storage, hung),
        client_of(make_app(hung)) as client,
        ThreadPoolExecutor(PROBES) as threads,
    ):
        started = time.monotonic()
        answers = list(threads.map(lambda _: client.get("/readyz"), range(PROBES)))
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["error"]["error_code"] for answer in answers} == {ErrorCode.STORAGE_UNAVAILABLE.value}
        assert client.get("/metrics").status_code == 200
        assert time.monotonic() - started < 20
        assert storage.questions == 1
        storage.goes_on.set()
        until = time.monotonic() + 20
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < until


def test_what_a_probe_found_is_told_to_others_for_a_moment(services: Services) -> None:
    with hanging(services) as (storage, hung), client_of(make_app(hung)) as client:
        storage.goes_on.set()
        assert [client.get("/readyz").json() for _ in range(5)] == [{"status": "ready"}] * 5
        assert storage.questions == 1
