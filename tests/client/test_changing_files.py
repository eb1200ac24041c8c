"""Files that are written to while they are sent: nothing of them is imported, and that is told."""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from assay import Client, Progress, SourceChanged
from assay.client_sources import BLOCK_BYTES, open_source
from services.callers import AGES, ages_csv

LINES = ages_csv(*range(1, 400_000))  # more than two blocks


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"7\n")


def shrink(path: Path) -> None:
    os.truncate(path, len(LINES) - 3)


def shrink_far(path: Path) -> None:
    os.truncate(path, BLOCK_BYTES + 100)


def change(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"9\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "live.csv").write_bytes(LINES)
    os.utime(tmp_path / "live.csv", (1, 1))  # a clock's tick is long enough for two writings
    return tmp_path / "live.csv"


@pytest.mark.parametrize("write", [grow, shrink, shrink_far, change])
def test_file_that_changes_while_it_is_sent_is_not_imported(client: Any, name: str, path: Path, write: Any) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.done_bytes == BLOCK_BYTES:
            write(path)

    dataset = client.create_dataset(name, schema=AGES)
    with pytest.raises(SourceChanged, match=r"live\.csv changed while it was read"):
        client.import_file(dataset.id, path, progress=on_progress)
    (job,) = client.imports(dataset.id)
    assert (job.status, job.reason) == ("failed", "Cancelled")
    assert client.dataset(dataset.id).total_datapoint_count == 0


def test_file_that_grows_once_it_is_sent_is_imported_as_it_was(client: Any, name: str, path: Path) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.done_bytes == progress.total_bytes:
            grow(path)

    dataset = client.create_dataset(name, schema=AGES)
    job = client.import_file(dataset.id, path, progress=on_progress)
    assert (job.status, job.accepted_count) == ("complete", 399_999)


def test_buffer_that_grows_is_told_too(sync_client: Client, name: str) -> None:
    buffer = io.BytesIO(LINES)

    def on_progress(progress: Progress) -> None:
        if progress.done_bytes == BLOCK_BYTES:
            buffer.seek(0, os.SEEK_END)
            buffer.write(b"7\n")
            buffer.seek(BLOCK_BYTES)

    dataset = sync_client.create_dataset(name, schema=AGES)
    with pytest.raises(SourceChanged):
        sync_client.import_file(dataset.id, buffer, filename="a.csv", progress=on_progress)


def test_upload_is_read_as_often_as_it_has_to_be(path: Path) -> None:
    with open_source(path, filename=None) as upload:
        assert b"".join(upload.read()) == b"".join(upload.read()) == LINES
