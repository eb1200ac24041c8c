"""Files that come in by the form: streamed, whole or not at all, and only for those who may send them."""

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest

from assay.db import jobs
from assay.errors import ErrorCode
from console.conftest import Desk
from console.visiting import HTML
from services.callers import AGES, ages_csv

BOUNDARY = "a-boundary-of-the-tests"


def form_body(form_token: str | None, data: bytes, *, name: str = "ages.csv", ends: bool = True) -> bytes:
    part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    field = "" if form_token is None else f'{part}"form_token"\r\n\r\n{form_token}\r\n'
    head = f'{part}"file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    return (field + head).encode() + data + (f"\r\n--{BOUNDARY}--\r\n".encode() if ends else b"")


def send(desk: Desk, dataset_id: str, body: bytes, *, piece: int = 7) -> httpx.Response:
    """In small pieces, so that every border is cut somewhere."""

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), piece):
            yield body[at : at + piece]

    headers = {**HTML, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return desk.visitor.client.post(f"/send-file/{dataset_id}", content=pieces(), headers=headers)


def form_token_of(desk: Desk) -> str:
    return desk.visitor.get("/datasets/new").form("/datasets").fields["form_token"]


def states(desk: Desk, dataset_id: str) -> list[str]:
    return [job["status"] for job in desk.caller.read(f"/datasets/{dataset_id}/imports")["results"]]


def test_form_leads_to_the_import_of_the_file_as_it_was(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    data = ages_csv(1, 2) + b"\r\n--a-boundary\r\n\xff\r"
    answer = send(quiet_desk, dataset_id, form_body(form_token_of(quiet_desk), data))
    assert answer.status_code == 303
    assert states(quiet_desk, dataset_id) == ["queued"]
    with quiet_desk.services.db.read() as tx:
        (job,) = jobs.list_imports(tx, UUID(dataset_id), limit=2, before=None)
    assert quiet_desk.services.storage.read_range(job.file_key, 0, 1000) == data
    assert answer.headers["location"] == f"/datasets/{dataset_id}/imports/{job.id}"
    assert job.upload_hash is not None


def test_form_larger_than_a_json_body_may_be_is_taken(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    data = b"age\n" + b"1\n" * 2_000_000
    assert len(data) > quiet_desk.services.settings.max_body_bytes
    body = form_body(form_token_of(quiet_desk), data)
    assert send(quiet_desk, dataset_id, body, piece=65536).status_code == 303
    assert states(quiet_desk, dataset_id) == ["queued"]


@pytest.mark.parametrize("form_token", [None, "", "forged"])
def test_file_without_the_form_token_leaves_nothing(quiet_desk: Desk, form_token: str | None) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    assert send(quiet_desk, dataset_id, form_body(form_token, ages_csv(1))).status_code == 403
    assert states(quiet_desk, dataset_id) == []


def test_form_that_breaks_off_leaves_no_import_waiting(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    answer = send(quiet_desk, dataset_id, form_body(form_token_of(quiet_desk), ages_csv(1), ends=False))
    assert answer.status_code == 400
    assert "send it again" in answer.text
    assert "same URL" not in answer.text
    assert states(quiet_desk, dataset_id) == ["failed"]
    assert list(quiet_desk.services.storage.list(f"datasets/{dataset_id}/uploads")) == []


@pytest.mark.parametrize("count", [1, 30])
def test_form_with_more_than_a_form_has_is_refused(quiet_desk: Desk, count: int) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    fields = [f'{head}"field {number}"\r\n\r\n{"x" * (70_000 // count)}\r\n' for number in range(count)]
    body = "".join(fields).encode() + form_body(form_token_of(quiet_desk), ages_csv(1))
    assert send(quiet_desk, dataset_id, body, piece=1000).status_code == 413
    assert states(quiet_desk, dataset_id) == []


@pytest.mark.parametrize("name", ["", "ages.txt", "x" * 300 + ".csv"])
def test_file_name_that_can_not_be_taken_is_refused(quiet_desk: Desk, name: str) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    assert send(quiet_desk, dataset_id, form_body(form_token_of(quiet_desk), b"age\n1\n", name=name)).status_code == 400
    assert states(quiet_desk, dataset_id) == []


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "multipart/form-data; boundary="])
def test_other_bodies_are_refused(quiet_desk: Desk, content_type: str) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    headers = {"Accept": "application/json", "Content-Type": content_type}
    answer = quiet_desk.visitor.client.post(f"/send-file/{dataset_id}", content=b"age\n1\n", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["error_code"] == ErrorCode.CONTENT_TYPE_MISMATCH


def test_script_is_told_where_to_put_the_file(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    fields = {"form_token": form_token_of(quiet_desk), "filename": "ages.csv"}
    offer = quiet_desk.visitor.client.post(f"/datasets/{dataset_id}/imports", data=fields).json()
    assert offer["upload_url"].startswith("/uploads/")
    headers = {"Content-Type": offer["content_type"]}
    assert quiet_desk.visitor.client.put(offer["upload_url"], content=ages_csv(1), headers=headers).status_code == 200
    assert "Queued" in quiet_desk.visitor.get(offer["import_url"]).text
