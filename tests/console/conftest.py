"""The console in this process, seen by a visitor without scripts: with a real worker, and without one."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from assay.db.engine import open_database
from assay.db.tokens import Role
from assay.web.services import Services
from assay.worker import Worker
from console.visiting import Visitor
from moving_clock import Clock
from services.callers import Caller
from services.chromium import NoChromium, running_chromium
from services.in_process import client_of
from services.in_thread import served
from web.conftest import make_app, make_services, make_settings, make_token

PATIENCE_MS = 30_000
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Desk:
    """A service, a caller of its API, and a visitor of its console who is signed in to the same workspace."""

    services: Services
    caller: Caller
    visitor: Visitor


@pytest.fixture(scope="package")
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
    with client_of(make_app(busy_services)) as client:
        yield make_desk(busy_services, Caller(client, f"room-{next(_numbers)}", ""))


@pytest.fixture
def quiet_desk(sqlite_url: str, tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    """Without a worker, so that a test says itself what happens; on the test's clock."""
    db = open_database(sqlite_url, clock=clock)
    services = make_services(db, make_settings(tmp_path))
    with client_of(make_app(services)) as client:
        yield make_desk(services, Caller(client, "home", ""))
    db.close()


def make_desk(services: Services, nobody: Caller, *, role: Role = Role.WRITER) -> Desk:
    token = make_token(services.db, workspace_id=nobody.workspace_id, role=role)
    visitor = Visitor(nobody.client)
    page = visitor.sign_in(token)
    assert page.status == 200, page.text
    return Desk(services, replace(nobody, token=token), visitor)


@dataclass(frozen=True)
class Window:
    """A browser's page at a real server, and the desk that stands behind it. Nobody has signed in."""

    page: Page
    desk: Desk
    address: str
    complaints: list[str]

    def expect_refusal(self, status: int) -> None:
        """The browser tells of answers of 400 and more, also where a test is about them."""
        told = [text for text in self.complaints if f"status of {status} " in text]
        assert told, self.complaints
        for text in told:
            self.complaints.remove(text)

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)

    def sign_in(self) -> None:
        self.open("/sign-in")
        self.page.get_by_label("Token").fill(self.desk.caller.token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.address + "/")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    try:
        with running_chromium() as browser:
            yield browser
    except NoChromium as error:
        pytest.skip(f"NO BROWSER, so the console is tested without scripts alone: {error}")


@pytest.fixture(scope="package")
def console_server(busy_services: Services) -> Iterator[httpx.Client]:
    with served(make_app(busy_services)) as client:
        yield client


@pytest.fixture
def window_options() -> dict[str, Any]:
    """What the window is like; tests override it by parameters."""
    return {}


@pytest.fixture
def window(
    chromium: Browser, console_server: httpx.Client, busy_services: Services, window_options: dict[str, Any]
) -> Iterator[Window]:
    """Whatever the browser has to complain about fails the test."""
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | window_options)
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    context.on("console", hear)
    context.on("weberror", lambda found: complaints.append(str(found.error)))
    context.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    workspace_id = f"room-{next(_numbers)}"
    token = make_token(busy_services.db, workspace_id=workspace_id)
    caller = Caller(console_server, workspace_id, token)
    desk = Desk(busy_services, caller, Visitor(console_server))
    yield Window(page, desk, str(console_server.base_url).rstrip("/"), complaints)
    context.close()
    assert not complaints
