"""Saving a schema in the console: over nobody else's, and never without a word where records lose values by it."""

import json
from typing import Any

import pytest

from console.conftest import Desk
from console.visiting import FoundForm, confirmation_in
from services.callers import AGES, ages_csv, wait_until

ADULTS = '{"fields": {"age": {"type": "integer", "minimum": 18}}}'
OTHER: dict[str, Any] = {"fields": {"name": {"type": "text"}}}


def editor(desk: Desk, dataset_id: str) -> FoundForm:
    return desk.visitor.get(f"/datasets/{dataset_id}/schema").form("/schema")


def schema_of(desk: Desk, dataset_id: str) -> Any:
    return desk.caller.read(f"/datasets/{dataset_id}")["schema"]


def has_migrated(desk: Desk, dataset_id: str) -> bool:
    return "A schema change is" not in desk.visitor.get(f"/datasets/{dataset_id}").text


@pytest.mark.parametrize("first", [AGES, None])
def test_schema_saved_by_somebody_else_is_not_overwritten_without_a_word(desk: Desk, first: Any) -> None:
    dataset_id = desk.caller.make_dataset(schema=first)
    opened = editor(desk, dataset_id)
    assert desk.caller.request("PATCH", f"/datasets/{dataset_id}", json={"schema": OTHER}).status_code < 300
    page = desk.visitor.send(opened, schema=ADULTS)
    assert page.status == 409
    assert "Somebody else has saved another schema" in page.text
    assert '"name": {"type": "text"}' in page.text
    assert page.form("/schema").fields["schema"].strip() == ADULTS
    assert list(schema_of(desk, dataset_id)["fields"]) == ["name"]
    assert desk.visitor.send(page.form("/schema")).status == 200
    assert list(schema_of(desk, dataset_id)["fields"]) == ["age"]


def test_preview_and_suggestion_do_not_forget_which_schema_was_opened(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    desk.caller.import_file(dataset_id, b"age\n")
    form = editor(desk, dataset_id)
    assert desk.caller.request("PATCH", f"/datasets/{dataset_id}", json={"schema": OTHER}).status_code < 300
    for step in ("preview", "suggest"):
        page = desk.visitor.send(form, to=f"/datasets/{dataset_id}/schema/{step}", schema=ADULTS)
        assert desk.visitor.send(page.form("/schema"), schema=ADULTS).status == 409


def test_schema_sent_twice_by_a_double_click_is_saved_once(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    form = editor(desk, dataset_id)
    assert [desk.visitor.send(form, schema=ADULTS).status for _ in range(2)] == [200, 200]


def test_change_that_takes_values_is_asked_about_first(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    desk.caller.import_file(dataset_id, ages_csv(7, 30, "old"))
    page = desk.visitor.send(editor(desk, dataset_id), schema=ADULTS)
    assert "Save it, and bring all 2 records under it? Nothing is saved yet" in page.text
    assert "Of the first 2 records of answers.csv, as far as accepted now, 1 would lose a value" in page.text
    assert "age Value must be at least 18" in page.text
    assert schema_of(desk, dataset_id)["fields"] == AGES["fields"]
    asked = confirmation_in(page)
    again = desk.visitor.send(page.form("/schema"), schema='{"fields": {"name": {"type": "text"}}}', confirmed=asked)
    assert "Their values of age are taken out of the records" in again.text
    assert confirmation_in(again) not in ("", asked)
    assert "?migration=" in str(desk.visitor.send(page.form("/schema"), confirmed=asked).answer.url)
    wait_until(lambda: has_migrated(desk, dataset_id), what="the migration ends")
    assert [record["data"] for record in desk.caller.records(dataset_id)] == [{"age": None}, {"age": 30}]


def test_change_that_takes_nothing_is_not_asked_about(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    desk.caller.import_file(dataset_id, ages_csv(7))
    fields = {"age": {**AGES["fields"]["age"], "label": "Age"}, "name": {"type": "text", "required": False}}
    page = desk.visitor.send(editor(desk, dataset_id), schema=json.dumps({"fields": fields}))
    assert "?migration=" in str(page.answer.url)


@pytest.mark.parametrize("step", ["", "/preview", "/suggest"])
def test_form_of_an_older_session_comes_back_with_what_was_typed(desk: Desk, step: str) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    form = editor(desk, dataset_id)
    desk.visitor.client.cookies.clear()
    desk.visitor.sign_in(desk.caller.token)
    page = desk.visitor.send(form, to=form.action + step, schema=ADULTS)
    assert page.status == 403
    assert "what you typed stands here" in page.text
    assert page.form("/schema").fields["schema"].strip() == ADULTS
    assert schema_of(desk, dataset_id)["fields"] == AGES["fields"]
    assert desk.visitor.send(page.form("/schema")).status == 200
    assert schema_of(desk, dataset_id)["fields"]["age"]["minimum"] == 18


def test_new_dataset_of_an_older_session_comes_back_with_what_was_typed(desk: Desk) -> None:
    form = desk.visitor.get("/datasets/new").form("/datasets")
    desk.visitor.client.cookies.clear()
    desk.visitor.sign_in(desk.caller.token)
    page = desk.visitor.send(form, name="Harvest", schema=ADULTS)
    assert page.status == 403
    assert page.form("/datasets").fields["name"] == "Harvest"
    assert "Harvest" in desk.visitor.send(page.form("/datasets")).text
