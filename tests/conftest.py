"""Fixtures of all suites: a clock that tests move, and databases of both engines, empty for each test."""

import itertools
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.db.engine import Database, open_database
from assay.db.tables import metadata
from moving_clock import Clock
from services.postgresql import CannotStart, PostgresServer, running_postgresql

MIGRATED = "assay_migrated"
TABLES = [table.name for table in reversed(metadata.sorted_tables)]
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    # What was skipped, and why, is always listed: a suite that ran on one engine only must say so.
    config.option.reportchars += "s"


@pytest.fixture(scope="session", autouse=True)
def _interrupts_count() -> None:
    """Whoever runs the tests may ignore Ctrl-C, as a shell does for what it runs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session, with a migrated database."""
    try:
        with running_postgresql() as server:
            migrated = open_database(server.create_database(MIGRATED))
            migrated.migrate()
            migrated.close()
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
def postgresql_url(postgresql: PostgresServer) -> str:
    """A migrated PostgreSQL database with no rows and no connections. Tests must leave its tables as they are.

    It is one database for all tests: to make a new one takes ten times as long as to clear it.
    """
    postgresql.clear_database(MIGRATED, TABLES)
    return postgresql.url(MIGRATED)


@pytest.fixture
def empty_postgresql_url(postgresql: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database of this test's own, never migrated, to do anything to."""
    name = f"assay_empty_{next(_numbers)}"
    yield postgresql.create_database(name)
    postgresql.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database with no rows; the test runs once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    """The database, open, with the test's clock; the test runs once on each engine."""
    database = open_database(database_url, clock=clock)
    yield database
    database.close()
