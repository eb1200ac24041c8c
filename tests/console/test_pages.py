"""The pages in each state of what they show, without scripts: nothing, something, waiting, ended, gone wrong."""

import json
import re
from pathlib import Path

import pytest

from assay.fieldtypes import FIELD_TYPES
from assay.schema import CONSTRAINTS
from assay.web.console.pages import duration
from console.conftest import Desk
from console.visiting import confirmation_in
from services.callers import AGES, ages_csv, wait_until

SAMPLES = Path(__file__).parents[2] / "samples"
FAULTY = ages_csv(30, -4, "old", 41)


def test_empty_workspace_says_what_to_do(desk: Desk) -> None:
    page = desk.visitor.get("/")
    assert page.status == 200
    assert "No datasets yet" in page.text
    assert "/datasets/new" in page.links()


def test_dataset_is_created_by_the_form_with_its_schema(desk: Desk) -> None:
    form = desk.visitor.get("/datasets/new").form("/datasets")
    page = desk.visitor.send(form, name="Harvest", schema='{"strict": true, "fields": {"kilos": {"type": "number"}}}')
    assert page.status == 200
    assert "Harvest" in page.text
    assert "kilos" in page.text
    assert "Harvest" in desk.visitor.get("/").text


def test_faulty_schema_comes_back_with_every_fault_and_what_was_typed(desk: Desk) -> None:
    form = desk.visitor.get("/datasets/new").form("/datasets")
    page = desk.visitor.send(form, name="Harvest", schema='{"fields": {"kilos": {"type": "weight"}}}')
    assert page.status == 400
    assert "Unknown type weight" in page.text
    assert page.form("/datasets").fields["name"] == "Harvest"
    assert '"weight"' in page.form("/datasets").fields["schema"]


def test_new_dataset_has_designed_emptiness(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset()
    page = desk.visitor.get(f"/datasets/{dataset_id}")
    assert "Nothing has been uploaded yet" in page.text
    assert "No records yet" in page.text
    assert "No schema yet" in page.text
    assert "No records yet" in desk.visitor.get(f"/datasets/{dataset_id}/records").text
    assert "Nothing has been uploaded yet" in desk.visitor.get(f"/datasets/{dataset_id}/imports").text


def test_partial_import_shows_counts_reasons_and_the_raw_records_marked(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, FAULTY)
    page = desk.visitor.get(f"/datasets/{dataset_id}/imports/{job['import_id']}")
    assert page.status == 200
    assert "Partial" in page.text
    assert "Value must be an integer" in page.text
    assert "<mark>old</mark>" in page.answer.text
    assert "<mark>-4</mark>" in page.answer.text
    assert "Download the 2 rejected records" in page.text
    assert "Mend the rejected records and upload them" in page.text


def test_records_of_a_file_are_counted_from_one_as_rows_are(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, ages_csv("old", 30))
    page = desk.visitor.get(f"/datasets/{dataset_id}/imports/{job['import_id']}")
    assert 'data-label="Record">1</th>' in page.answer.text
    assert "Record 1 is the first of the file; the line of names above it is not counted" in page.text
    assert "record 2 of its import" in desk.visitor.get(f"/datasets/{dataset_id}/records").answer.text
    form = desk.visitor.get(f"/datasets/{dataset_id}/schema").form("/schema")
    assert "Rejected record 1 age" in desk.visitor.send(form, to=form.action + "/preview").text


def test_reason_of_a_whole_file_names_the_same_record_as_the_pages(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, b'age\n1\n"2\n')
    assert "Record 1, at byte 6" in job["reason"]
    page = desk.visitor.get(f"/datasets/{dataset_id}/imports/{job['import_id']}")
    assert "Record 2, at byte 6" in page.text


def test_dataset_without_records_says_what_it_waits_for(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset()
    path = f"/datasets/{dataset_id}"
    assert "Survey Empty" in quiet_desk.visitor.get(path).text
    offer = quiet_desk.caller.ask_for_url(dataset_id)
    page = quiet_desk.visitor.get(path)
    assert "Survey Waiting for a file" in page.text
    assert "Uninitialised" not in page.text
    quiet_desk.caller.put(offer, ages_csv(1))
    page = quiet_desk.visitor.get(path)
    assert "Survey Waiting for a schema" in page.text
    assert "One file waits for this dataset to get a schema" in page.text
    assert page.text.index("One file waits") < page.text.index("Upload a file")


def test_times_say_that_they_are_utc(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, ages_csv(1))
    assert "Created (UTC)" in desk.visitor.get("/").text
    page = desk.visitor.get(f"/datasets/{dataset_id}")
    assert "Created (UTC)" in page.text
    assert "Updated (UTC)" in page.text
    assert "Times are UTC" in desk.visitor.get(f"/datasets/{dataset_id}/imports/{job['import_id']}").text


def test_faults_are_filtered_by_field_and_reason(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, FAULTY)
    path = f"/datasets/{dataset_id}/imports/{job['import_id']}"
    page = desk.visitor.get(path, field="age", reason="Value must be an integer")
    assert "<mark>old</mark>" in page.answer.text
    assert "<mark>-4</mark>" not in page.answer.text
    assert "No fault fits the filter" in desk.visitor.get(path, field="elsewhere").text


def test_complete_import_leads_to_its_records(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, ages_csv(30, 41))
    page = desk.visitor.get(f"/datasets/{dataset_id}/imports/{job['import_id']}")
    assert "Every record of the file was accepted" in page.text
    assert f"/datasets/{dataset_id}/records" in page.links()
    records = desk.visitor.get(f"/datasets/{dataset_id}/records")
    assert "1–2 of 2" in records.text
    # A row is a place in the dataset; a record's number is its place in its file. Both are counted from 1.
    assert '<th scope="col" class="num corner">Row</th>' in records.answer.text
    assert "Go to row" in records.text
    assert "There is no row 9" in desk.visitor.get(f"/datasets/{dataset_id}/records", **{"from": 9}).text


def test_failed_import_says_why_and_takes_the_fixed_file(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    job = desk.caller.import_file(dataset_id, b"\xff\xfea\x00")
    page = desk.visitor.get(f"/datasets/{dataset_id}/imports/{job['import_id']}")
    assert "The file is encoded as UTF-16" in page.text
    assert "Upload the fixed file" in page.text
    assert "Do what is said above, and upload the file again" in page.text
    assert "Mend the rejected records" not in page.text


def test_waiting_import_refreshes_itself_without_scripts_and_can_be_cancelled(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    import_id = quiet_desk.caller.upload(dataset_id, FAULTY)
    page = quiet_desk.visitor.get(f"/datasets/{dataset_id}/imports/{import_id}")
    assert '<noscript><meta http-equiv="refresh"' in page.answer.text
    assert "Waiting for its turn" in page.text
    page = quiet_desk.visitor.send(page.form("/cancel"))
    assert "Failed" in page.text
    assert "Cancelled" in page.text
    assert "Upload it again" in page.text
    assert "Do what is said above" not in page.text


def test_import_without_a_schema_leads_to_a_suggested_one_that_starts_it(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset()
    waiting = desk.caller.import_file(dataset_id, ages_csv(30, 41))
    waits = desk.visitor.get(f"/datasets/{dataset_id}/imports/{waiting['import_id']}")
    assert "Read the one that fits this file" in waits.text
    page = desk.visitor.get(f"/datasets/{dataset_id}/schema")
    assert "This schema is a suggestion" in page.text
    form = page.form("/schema")
    assert '"age": {"type": "integer"' in form.fields["schema"]
    desk.visitor.send(form)
    assert desk.caller.settled(dataset_id, waiting["import_id"])["status"] == "complete"


def test_schema_change_shows_its_migration_to_the_end(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    desk.caller.import_file(dataset_id, ages_csv(7, 30))
    form = desk.visitor.get(f"/datasets/{dataset_id}/schema").form("/schema")
    schema = '{"fields": {"age": {"type": "integer", "minimum": 18}}}'
    page = desk.visitor.send(form, schema=schema, confirmed=confirmation_in(desk.visitor.send(form, schema=schema)))
    address = str(page.answer.url.raw_path.decode())
    assert "?migration=" in address

    def lost() -> bool:
        return "1 of 2 records lost a value that it refuses" in desk.visitor.get(address).text

    wait_until(lost, what="the migration ends")
    assert "Value must be at least 18" in desk.visitor.get(address).text


def test_white_space_of_a_value_is_shown_and_there_is_none_besides(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema={"fields": {"code": {"type": "text"}}})
    desk.caller.import_file(dataset_id, b'code\n"A  1\n B"\n')
    page = desk.visitor.get(f"/datasets/{dataset_id}/records")
    assert "<td>A  1\n B</td>" in page.answer.text


def test_list_of_imports_has_all_their_counts(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(schema=AGES)
    desk.caller.import_file(dataset_id, ages_csv(1, 2, 2))
    listed = desk.visitor.get(f"/datasets/{dataset_id}/imports").answer.text
    counts = re.findall(r'data-label="(Accepted|Duplicates|Rejected)" class="num">(?:<span>)?(\d)<', listed)
    assert counts == [("Accepted", "3"), ("Duplicates", "1"), ("Rejected", "0")]


def test_samples_are_shown_with_long_values_behind_expanders(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset()
    desk.caller.upload(dataset_id, (SAMPLES / "responses.jsonl").read_bytes(), "responses.jsonl")
    schema = (SAMPLES / "responses.schema.json").read_text()
    form = desk.visitor.get(f"/datasets/{dataset_id}/schema").form("/schema")
    desk.visitor.send(form, schema=schema)
    (job,) = desk.caller.read(f"/datasets/{dataset_id}/imports")["results"]
    assert desk.caller.settled(dataset_id, job["import_id"])["status"] == "partial"
    page = desk.visitor.get(f"/datasets/{dataset_id}/records")
    assert "1–50 of 145" in page.text
    assert "<details><summary>" in page.answer.text
    assert "101–145 of 145" in desk.visitor.get(f"/datasets/{dataset_id}/records", **{"from": 101}).text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "< 0.1 s"), (0.04, "< 0.1 s"), (0.05, "0.1 s"), (9.94, "9.9 s"), (9.97, "10 s"), (200, "3 min 20 s")],
)
def test_no_time_is_shown_as_none(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_every_field_type_and_constraint_is_explained(desk: Desk) -> None:
    page = desk.visitor.get("/datasets/new")
    for name in (*FIELD_TYPES, *CONSTRAINTS):
        assert f"<code>{name}</code>" in page.answer.text


def test_dataset_is_deleted_only_when_its_name_was_typed(desk: Desk) -> None:
    dataset_id = desk.caller.make_dataset(name="Old survey")
    form = desk.visitor.get(f"/datasets/{dataset_id}/delete").form("/delete")
    assert "not the dataset's name" in desk.visitor.send(form, name="Something").text
    assert desk.visitor.send(form, name="Old survey").status == 200
    assert desk.visitor.get(f"/datasets/{dataset_id}").status == 404


@pytest.mark.parametrize("name", ["Two  spaces", "Two\nlines", " Around it\t"])
def test_dataset_is_deleted_by_its_name_as_it_is_shown(desk: Desk, name: str) -> None:
    dataset_id = desk.caller.make_dataset(name=name)
    form = desk.visitor.get(f"/datasets/{dataset_id}/delete").form("/delete")
    assert desk.visitor.send(form, name=" ".join(name.split())).status == 200
    assert desk.visitor.get(f"/datasets/{dataset_id}").status == 404


def test_kinds_of_faults_that_are_not_listed_are_told_of_and_can_be_filtered(desk: Desk) -> None:
    fields = [f"field_{number:03}" for number in range(150)]
    dataset_id = desk.caller.make_dataset(schema={"fields": {field: {"type": "integer"} for field in fields}})
    job = desk.caller.import_file(dataset_id, json.dumps(dict.fromkeys(fields, "x")).encode(), "many.jsonl")
    path = f"/datasets/{dataset_id}/imports/{job['import_id']}"
    page = desk.visitor.get(path)
    assert "Shown are the 100 most frequent kinds of fault. 50 more faults are of other kinds" in page.text
    assert "50 shown of 150 faults in 1 record" in page.text
    assert page.answer.text.count("<option>field_") == 150
    assert "1 shown" in desk.visitor.get(path, field="field_149").text
