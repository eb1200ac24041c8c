"""A disk that is full: a clean answer, nothing half done, and all is well when there is room again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from crash.comparing import compare
from crash.known_files import SCHEMA, make_files
from crash.place import Place
from services.callers import wait_until
from services.processes import HOST

MIB = 1024 * 1024
DISK_BYTES = 4 * MIB


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    """A disk of 4 MiB for the storage alone; the database lies elsewhere."""
    folder = place.folder / "small-disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk, so NOTHING is tested of full disks here")
    place.settings["ASSAY_STORAGE_URL"] = folder.as_uri()
    try:
        yield folder
    finally:
        place.end_all()  # nothing may be open on the disk
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, *, rest_bytes: int) -> Path:
    filler = disk / "filler"
    space = os.statvfs(disk)
    filler.write_bytes(b"\0" * max(0, space.f_bavail * space.f_bsize - rest_bytes))
    return filler


def test_an_upload_to_a_full_disk_is_refused_cleanly_and_works_when_there_is_room(
    place: Place, small_disk: Path
) -> None:
    place.server(workers=1)
    client = place.client()
    files = make_files(Random(5), files=1, records=8000)
    dataset_id = client.make_dataset(SCHEMA)
    offer = client.request("GET", f"/datasets/{dataset_id}/upload-url/{files[0].name}")
    filler = fill(small_disk, rest_bytes=len(files[0].data) // 2)
    put: dict[str, Any] = {"content": files[0].data, "headers": {"Content-Type": offer["content_type"]}}
    answer = httpx.put(offer["upload_url"], timeout=30, **put)
    error = answer.json()["error"]
    assert (answer.status_code, error["status"], error["error_code"]) == (503, 503, 1401)
    assert "the disk is full" in error["detail"]
    job_path = f"/datasets/{dataset_id}/imports/{offer['import_id']}"
    assert client.request("GET", job_path)["status"] == "uninitialised"
    assert list((small_disk / "tmp").iterdir()) == []
    filler.unlink()
    assert httpx.put(offer["upload_url"], timeout=30, **put).status_code == 200
    job = client.wait_for_end(dataset_id, offer["import_id"])
    assert compare(client, dataset_id, files, [job]).wrong == []


def test_an_import_waits_while_the_disk_is_full_and_is_never_half_there(place: Place, small_disk: Path) -> None:
    place.server(workers=1)
    client = place.client()
    files = make_files(Random(6), files=1, records=8000)
    dataset_id = client.make_dataset(SCHEMA)
    filler = fill(small_disk, rest_bytes=len(files[0].data) + 64 * 1024)
    import_id = client.upload(dataset_id, files[0].name, files[0].data)
    wait_until(
        lambda: any("the disk is full" in (event.reason or "") for event in place.events(import_id)),
        what="the job says what it waits for",
    )
    assert client.request("GET", f"/datasets/{dataset_id}/datapoints")["results"] == []
    filler.unlink()
    job = client.wait_for_end(dataset_id, import_id)
    found = compare(client, dataset_id, files, [job])
    assert (found.lost, found.doubled, found.wrong) == (0, 0, [])
    assert httpx.get(f"http://{HOST}:{place.port}/readyz", timeout=10).status_code == 200
