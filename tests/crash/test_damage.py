"""Stored bytes that have changed since are noticed, and never served or imported as data."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import pytest

from assay.kernel.write import footer_size
from crash.comparing import compare
from crash.known_files import SCHEMA, make_files
from crash.patient_client import API, PatientClient
from crash.place import Place
from crash.set_ups import TOKEN
from services.processes import HOST

STORAGE_DAMAGED = 1403


def read_page(place: Place, dataset_id: str) -> httpx.Response:
    url = f"http://{HOST}:{place.port}{API}/datasets/{dataset_id}/datapoints"
    return httpx.get(url, headers={"Authorization": f"Token {TOKEN}"}, params={"limit": 1000}, timeout=30)


def import_one(client: PatientClient) -> tuple[str, bytes, str]:
    file = make_files(Random(9), files=1, records=60)[0]
    dataset_id = client.make_dataset(SCHEMA)
    job = client.wait_for_end(dataset_id, client.upload(dataset_id, file.name, file.data))
    assert compare(client, dataset_id, [file], [job]).wrong == []
    return dataset_id, file.data, file.name


def test_a_damaged_part_is_told_of_and_never_served(place: Place) -> None:
    place.server(workers=1)
    client = place.client()
    dataset_id, _, _ = import_one(client)
    whole = read_page(place, dataset_id).json()
    part = place.folder / "data" / "storage" / place.files("parts")[0]
    good = part.read_bytes()
    told = 0
    footer_starts = len(good) - footer_size(good)
    for place_of_damage in [*range(8, footer_starts, 61), *range(footer_starts, len(good), 17)]:
        part.write_bytes(good[:place_of_damage] + bytes([good[place_of_damage] ^ 0x11]) + good[place_of_damage + 1 :])
        answer = read_page(place, dataset_id)
        if answer.status_code == 200:  # it hit a byte before a page that means nothing
            assert answer.json() == whole
            assert place_of_damage < footer_starts
        else:
            assert (answer.status_code, answer.json()["error"]["error_code"]) == (503, STORAGE_DAMAGED)
            assert "damaged: restore it from a backup" in answer.json()["error"]["detail"]
            told += 1
    assert told > len(range(footer_starts, len(good), 17)) + len(range(8, footer_starts, 61)) // 2


@pytest.mark.parametrize("damage", ["damaged", "gone"])
def test_an_import_into_a_dataset_with_a_damaged_part_fails_with_the_service_at_fault(
    place: Place, damage: str
) -> None:
    place.server(workers=1)
    client = place.client()
    dataset_id, data, name = import_one(client)
    part = place.folder / "data" / "storage" / place.files("parts")[0]
    if damage == "gone":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-40] + bytes(40))
    job = client.wait_for_end(dataset_id, client.upload(dataset_id, name, data))
    assert job["status"] == "failed"
    assert job["reason"].startswith("The stored file datasets/")
    assert f"is {damage}: restore it from a backup" in job["reason"]
    answer = read_page(place, dataset_id)
    assert (answer.status_code, answer.json()["error"]["error_code"]) == (503, STORAGE_DAMAGED)


def cut(upload: Path) -> None:
    upload.write_bytes(upload.read_bytes()[:-10])


def change(upload: Path) -> None:
    upload.write_bytes(upload.read_bytes().replace(b"record 0-0", b"record 9-9"))


@pytest.mark.parametrize(
    ("damage", "told"), [(cut, "bytes, not"), (change, "its bytes have changed"), (Path.unlink, "it is gone")]
)
def test_an_upload_that_changed_in_the_storage_fails_its_job(
    place: Place, damage: Callable[[Path], None], told: str
) -> None:
    place.server(workers=0)
    client = place.client()
    file = make_files(Random(9), files=1, records=60)[0]
    dataset_id = client.make_dataset(SCHEMA)
    import_id = client.upload(dataset_id, file.name, file.data)
    damage(place.folder / "data" / "storage" / place.files("uploads")[0])
    place.worker()
    job = client.wait_for_end(dataset_id, import_id)
    assert job["status"] == "failed"
    assert job["reason"].startswith("The stored upload is not what was uploaded: ")
    assert told in job["reason"]
    assert job["reason"].endswith("Upload the file again.")
    assert client.records(dataset_id) == []
