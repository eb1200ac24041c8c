"""Fixtures of all suites: a clock that tests move, and databases of both engines, a new one for each test."""

import itertools
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.db.engine import Database, open_database
from services.postgresql import CannotStart, PostgresServer, running_postgresql

TEMPLATE = "assay_template"
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    # What was skipped, and why, is always listed: a suite that ran on one engine only must say so.
    config.option.reportchars += "s"


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session, with a migrated template database."""
    try:
        with running_postgresql() as server:
            template = open_database(server.create_database(TEMPLATE))
            template.migrate()
            template.close()
            yield server
    except CannotStart as error:
        pytest.skip(f"no PostgreSQL, so nothing is tested on it: {error}")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    template = open_database(f"sqlite:///{path}")
    template.migrate()
    template.close()
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test's own."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'assay.db')}"


@pytest.fixture
def postgresql_url(postgresql: PostgresServer) -> Iterator[str]:
    """A migrated PostgreSQL database of this test's own."""
    name = f"assay_test_{next(_numbers)}"
    yield postgresql.create_database(name, template=TEMPLATE)
    postgresql.drop_database(name)


@pytest.fixture
def empty_postgresql_url(postgresql: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database of this test's own that was never migrated."""
    name = f"assay_empty_{next(_numbers)}"
    yield postgresql.create_database(name)
    postgresql.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of this test's own; the test runs once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    """The database, open, with the test's clock; the test runs once on each engine."""
    database = open_database(database_url, clock=clock)
    yield database
    database.close()
