"""Faults as pages for people and as envelopes for programs; and that no text of a client breaks a page."""

import json
from uuid import uuid4

import pytest

from assay.web.console import datasets
from assay.web.console.static import static_url
from console.conftest import Desk
from console.visiting import HTML, seen
from services.callers import AGES, API, ages_csv

ATTACK = "\"'><script>alert(1)</script>{{ 7 * 7 }}</textarea><img src=x onerror=alert(2)>"


def test_unknown_path_is_a_page_for_people_and_an_envelope_for_programs(quiet_desk: Desk) -> None:
    client = quiet_desk.visitor.client
    page = quiet_desk.visitor.get("/nowhere")
    assert page.status == 404
    assert "There is nothing at this path" in page.text
    for path, headers in (("/nowhere", {}), (f"{API}/nowhere", HTML), ("/uploads/forged", HTML), ("/readyz/x", HTML)):
        answer = client.get(path, headers=headers)
        assert answer.headers["content-type"] == "application/json", path


def test_error_page_names_the_request_and_the_visitor_stays_signed_in(quiet_desk: Desk) -> None:
    page = quiet_desk.visitor.get("/nowhere")
    assert f"Error code 1200, request {page.answer.headers['x-request-id']}" in page.text
    assert page.form("/sign-out")
    quiet_desk.visitor.client.cookies.clear()
    page = quiet_desk.visitor.get("/nowhere")
    assert page.status == 404
    assert page.forms == []


def test_page_of_a_refused_file_leads_back_to_the_dataset(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset()
    form = quiet_desk.visitor.get(f"/datasets/{dataset_id}").form(f"/send-file/{dataset_id}")
    page = quiet_desk.visitor.send_file(form, "ages.txt", b"age\n1\n")
    assert page.status == 400
    assert f"/datasets/{dataset_id}" in page.links()
    assert f"/datasets/{dataset_id}" in quiet_desk.visitor.get(f"/datasets/{dataset_id}/imports/x").links()
    unknown = str(uuid4())
    assert f"/datasets/{unknown}" not in quiet_desk.visitor.get(f"/datasets/{unknown}/imports").links()


def test_part_that_can_not_be_read_leaves_the_rest_of_the_page(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, ages_csv(30, 41))
    for stored in desk.services.storage.list(f"datasets/{dataset_id}/parts"):
        desk.services.storage.delete(stored.key)
    page = desk.visitor.get(f"/datasets/{dataset_id}")
    assert page.status == 200
    assert "The first records can't be shown" in page.text
    assert f"/datasets/{dataset_id}/imports/{job['import_id']}" in page.links()
    assert f"/datasets/{dataset_id}/delete" in page.links()
    assert desk.visitor.get(f"/datasets/{dataset_id}/records").status == 503


def test_unknown_dataset_and_import_are_pages(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset()
    for path in ("/datasets/x", f"/datasets/{dataset_id}/imports/{dataset_id}", f"/datasets/{dataset_id}/imports/x"):
        page = quiet_desk.visitor.get(path)
        assert page.status == 404
        assert "Go to the datasets" in page.text


def test_bad_parameters_are_a_page(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset()
    for given, told in ("x", "Must be a whole number."), ("1.5", "Must be a whole number."), (0, "Must be at least 1."):
        page = quiet_desk.visitor.get(f"/datasets/{dataset_id}/records", **{"from": given})
        assert page.status == 400
        assert f"from: {told}" in page.text
    page = quiet_desk.visitor.get(f"/datasets/{dataset_id}/export", format="xls")
    assert "format: Must be 'parquet', 'jsonl', 'csv' or 'arrow'." in page.text
    assert quiet_desk.visitor.get("/", cursor="x").status == 400


def test_bug_is_a_page_without_a_traceback(quiet_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the code")

    monkeypatch.setattr(datasets, "dataset_for", fail)
    page = quiet_desk.visitor.get("/datasets/x")
    assert page.status == 500
    assert "Internal error" in page.text
    assert "secret" not in page.answer.text


def test_body_that_is_too_large_is_a_page(quiet_desk: Desk) -> None:
    answer = quiet_desk.visitor.client.post("/datasets", data={"schema": "x" * 2_000_000}, headers=HTML)
    assert answer.status_code == 413
    assert "The body is larger" in seen(answer).text


def test_hostile_text_of_clients_stays_text_on_every_page(desk: Desk) -> None:
    schema = {"fields": {ATTACK: {"type": "integer", "label": ATTACK}}}
    dataset_id = desk.caller.make_dataset(name=ATTACK, schema=schema)
    lines = [json.dumps({ATTACK: ATTACK}), json.dumps({ATTACK: 1}), "{" + ATTACK]
    form = desk.visitor.get(f"/datasets/{dataset_id}").form(f"/send-file/{dataset_id}")
    page = desk.visitor.send_file(form, "<script>alert(3)<.script>.jsonl", "\n".join(lines).encode())
    import_id = page.answer.url.path.rpartition("/")[2]
    desk.caller.settled(dataset_id, import_id)
    base = f"/datasets/{dataset_id}"
    for path in ("/", base, f"{base}/records", f"{base}/schema", f"{base}/delete", f"{base}/imports/{import_id}"):
        page = desk.visitor.get(path)
        assert page.status == 200
        assert [given.get("src") for tag, given in page.tags if tag == "script"] == own_scripts()
        assert not [tag for tag, _ in page.tags if tag == "img"]
        assert not [given for _, given in page.tags if any(name.startswith("on") or name == "style" for name in given)]
        assert "{{ 7 * 7 }}" in page.answer.text.replace("&#34;", '"')


def own_scripts() -> list[str]:
    """The scripts that pages have, in their order, and no others."""
    return [static_url(name) for name in ("drafts.js", "uploads.js", "console.js")]


def test_error_page_shows_hostile_field_names_as_text(quiet_desk: Desk) -> None:
    form = quiet_desk.visitor.get("/datasets/new").form("/datasets")
    page = quiet_desk.visitor.send(form, name=ATTACK, schema=json.dumps({"fields": {ATTACK: {"type": ATTACK}}}))
    assert page.status == 400
    assert page.form("/datasets").fields["name"] == ATTACK
    assert [given.get("src") for tag, given in page.tags if tag == "script"] == own_scripts()


def test_static_files_are_kept_by_browsers_and_change_their_address(quiet_desk: Desk) -> None:
    client = quiet_desk.visitor.client
    page = quiet_desk.visitor.get("/")
    address = static_url("console.js")
    assert f'src="{address}"' in page.answer.text
    answer = client.get(address)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert client.get("/static/console.js").headers["cache-control"] == "no-cache"
    again = client.get("/static/console.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert client.get("/static/..%2Fapp.py").status_code == 404
    assert page.answer.headers["cache-control"] == "no-store"


def test_export_and_rejected_are_files_for_the_session(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema={"fields": {"age": {"type": "integer"}}})
    job = desk.caller.import_file(dataset_id, ages_csv(1, "old"))
    client = desk.visitor.client
    for name in ("parquet", "jsonl", "csv", "arrow"):
        answer = client.get(f"/datasets/{dataset_id}/export", params={"format": name}, headers=HTML)
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment")
    answer = client.get(f"/datasets/{dataset_id}/imports/{job['import_id']}/rejected", headers=HTML)
    assert answer.content == b"age\nold\n"
