"""The console in this process, seen by a visitor without scripts: with a real worker, and without one."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from assay.db.engine import open_database
from assay.db.tokens import Role
from assay.web.app import create_app
from assay.web.services import Services
from assay.worker import Worker
from console.visiting import Visitor
from moving_clock import Clock
from services.callers import Caller
from services.in_process import client_of
from web.conftest import make_services, make_settings, make_token

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Desk:
    """A service, a caller of its API, and a visitor of its console who is signed in to the same workspace."""

    services: Services
    caller: Caller
    visitor: Visitor


@pytest.fixture(scope="session")
def busy_services(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("console")
    db = open_database(f"sqlite:///{shutil.copy(migrated_file, folder / 'assay.db')}")
    services = make_services(db, make_settings(folder))
    worker = Worker(db, services.storage, services.settings)
    worker.start()
    yield replace(services, wake_worker=worker.nudge)
    worker.stop()
    db.close()


@pytest.fixture
def desk(busy_services: Services) -> Iterator[Desk]:
    """With a worker, in a workspace of this test's own."""
    with client_of(create_app(busy_services)) as client:
        yield make_desk(busy_services, Caller(client, f"room-{next(_numbers)}", ""))


@pytest.fixture
def quiet_desk(sqlite_url: str, tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    """Without a worker, so that a test says itself what happens; on the test's clock."""
    db = open_database(sqlite_url, clock=clock)
    services = make_services(db, make_settings(tmp_path))
    with client_of(create_app(services)) as client:
        yield make_desk(services, Caller(client, "home", ""))
    db.close()


def make_desk(services: Services, nobody: Caller, *, role: Role = Role.WRITER) -> Desk:
    token = make_token(services.db, workspace_id=nobody.workspace_id, role=role)
    visitor = Visitor(nobody.client)
    page = visitor.sign_in(token)
    assert page.status == 200, page.text
    return Desk(services, replace(nobody, token=token), visitor)
