"""A local storage beside the databases of both engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.db.engine import Database, open_database
from assay.storage.local import LocalStorage, open_local
from moving_clock import Clock


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return open_local(tmp_path / "storage", signing_key=b"a key that only tests know", base_url="")


@pytest.fixture
def sqlite_database(sqlite_url: str, clock: Clock) -> Iterator[Database]:
    """One engine, for what does not depend on it."""
    database = open_database(sqlite_url, clock=clock)
    yield database
    database.close()
