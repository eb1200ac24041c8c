"""A workbench on SQLite and a local directory, set so that a small file has many chunks and nobody waits for long."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.chunk_runs import ChunkOutcome, StoredChunk
from assay.config import Settings
from assay.db import tokens
from assay.db.engine import open_database
from assay.storage.local import open_local
from worker.bench import Bench


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    settings = Settings(data_dir=tmp_path, workers=1, chunk_bytes=1024, poll_seconds=0.05)
    db = open_database(sqlite_url)
    with db.write() as tx:
        tokens.insert_workspace(tx, "default")
    yield Bench(db, open_local(tmp_path / "storage", signing_key=b"a key", base_url=""), settings)
    db.close()


@pytest.fixture
def check_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[StoredChunk], ChunkOutcome]], None]:
    """Put something else in the place of a chunk's check; see faults.py."""

    def use(check: Callable[[StoredChunk], ChunkOutcome]) -> None:
        monkeypatch.setattr("assay.importing.run_chunk", check)

    return use
