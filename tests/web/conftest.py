"""The application in this process: with no worker, so that a test says itself what happens; and with a real one."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from assay.config import Settings
from assay.db.engine import Database, open_database
from assay.db.tokens import Role
from assay.operations import create_token, upload_signing_key
from assay.storage.base import open_storage
from assay.web.app import create_app
from assay.web.services import Services
from assay.worker import Worker
from moving_clock import Clock
from services.callers import Caller
from services.in_process import client_of

_numbers = itertools.count(1)


def make_settings(folder: Path, **changes: object) -> Settings:
    settings = Settings(data_dir=folder, workers=1, poll_seconds=0.05, max_body_bytes=1024 * 1024)
    return replace(settings, **changes)  # type: ignore[arg-type]


def make_services(db: Database, settings: Settings, *, wake: Callable[[], None] = lambda: None) -> Services:
    storage = open_storage(settings.resolved_storage_url(), signing_key=upload_signing_key(db), base_url="")
    return Services(settings=settings, db=db, storage=storage, wake_worker=wake)


def make_token(db: Database, *, workspace_id: str, role: Role = Role.WRITER) -> str:
    _, text = create_token(db, workspace_id, name=f"test {role.value}", role=role, expires_at=None)
    return text


_routes: list[BaseRoute] = []


def make_app(services: Services) -> FastAPI:
    """The application with the routes of the first one that was made here: they are the same and hold nothing of it.

    FastAPI works out an application's routes at its first request; for each test anew, that was most of the time.
    """
    app = create_app(services)
    if not _routes:
        _routes.extend(app.router.routes)
    app.router.routes[:] = _routes
    return app


@pytest.fixture
def services(sqlite_url: str, tmp_path: Path, clock: Clock) -> Iterator[Services]:
    """A service of this test's own without a worker, on the test's clock."""
    db = open_database(sqlite_url, clock=clock)
    yield make_services(db, make_settings(tmp_path))
    db.close()


@pytest.fixture
def caller(services: Services) -> Iterator[Caller]:
    """A writer of the workspace `home`, at the service without a worker."""
    with client_of(make_app(services)) as client:
        yield Caller(client, "home", make_token(services.db, workspace_id="home"))


@pytest.fixture(scope="session")
def busy_services(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """One service with a real worker and its process, shared by the tests of this suite."""
    folder = tmp_path_factory.mktemp("busy")
    db = open_database(f"sqlite:///{shutil.copy(migrated_file, folder / 'assay.db')}")
    services = make_services(db, make_settings(folder))
    worker = Worker(db, services.storage, services.settings)
    worker.start()
    yield replace(services, wake_worker=worker.nudge)
    worker.stop()
    db.close()


@pytest.fixture
def importer(busy_services: Services) -> Iterator[Caller]:
    """A writer of a workspace of this test's own, at the service with a worker."""
    workspace_id = f"workspace-{next(_numbers)}"
    with client_of(make_app(busy_services)) as client:
        yield Caller(client, workspace_id, make_token(busy_services.db, workspace_id=workspace_id))
