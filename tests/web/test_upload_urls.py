"""Asking for an upload URL: which file names are taken, and what becomes of them."""

from urllib.parse import quote, urlsplit

import httpx
import pytest
from jsonschema import Draft202012Validator

from assay.errors import ErrorCode
from services.callers import AGES, API, Caller
from web.public_shapes import ERROR, UPLOAD_URL, assert_shape

GOOD_NAMES = [
    "answers.csv",
    "ANSWERS.CSV",
    "a.b.JsonL",
    "two words.csv",
    "with \"quotes\" and 'more'.csv",
    "emoji 🦄 é 漢字.jsonl",
    "../../etc/passwd.csv",
    "..\\windows.csv",
    "folder/file.csv",
    "/absolute.csv",
    "%2F.csv",
    "a%00b.csv",
    "semi;colon?query#fragment&x=1.csv",
    ".csv",
    "-rf.csv",
    "x" * 251 + ".csv",
    "é" * 249 + ".jsonl",
]
BAD_NAMES = [
    "line\nbreak.csv",
    "answers",
    "answers.xlsx",
    "answers.csv.gz",
    "csv",
    "answers.csv ",
    "answers.json",
    "nul\0.csv",
    "tab\tstop.csv",
    "delete\x7f.csv",
    "x" * 300 + ".csv",
    "x" * 252 + ".csv",
]


def ask(caller: Caller, dataset_id: str, filename: str) -> httpx.Response:
    return caller.get(f"/datasets/{dataset_id}/upload-url/{quote(filename, safe='')}")


@pytest.mark.parametrize("filename", GOOD_NAMES)
def test_any_name_with_a_known_ending_is_kept_and_never_used_as_a_path(caller: Caller, filename: str) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = ask(caller, dataset_id, filename)
    assert answer.status_code == 201, answer.text
    offer = answer.json()
    assert_shape(offer, UPLOAD_URL)
    folder, _, name = offer["file_key"].rpartition("/")
    assert folder == f"datasets/{dataset_id}/uploads/{offer['import_id']}"
    assert name.isascii()
    assert len(name) <= 100
    assert not set(name) & set("/\\%?#;&\"' \0")
    assert not name.startswith((".", "-"))
    assert caller.job(dataset_id, offer["import_id"])["filename"] == filename
    assert caller.put(offer, b"age\n1\n").status_code == 200
    assert caller.job(dataset_id, offer["import_id"])["status"] == "queued"


@pytest.mark.parametrize("filename", [*BAD_NAMES, "break at the end.csv\n"])
def test_other_names_are_refused_and_leave_no_import(caller: Caller, filename: str) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = ask(caller, dataset_id, filename)
    assert answer.status_code == 400, answer.text
    assert_shape(answer.json(), ERROR)
    assert answer.json()["error"]["error_code"] == ErrorCode.INVALID_FILE_NAME
    assert caller.read(f"/datasets/{dataset_id}/imports")["results"] == []


def test_description_says_of_each_name_whether_it_is_taken(caller: Caller) -> None:
    paths = caller.client.get("/openapi.json").json()["paths"]
    parameters = paths[f"{API}/datasets/{{dataset_id}}/upload-url/{{filename}}"]["get"]["parameters"]
    (described,) = [each["schema"] for each in parameters if each["name"] == "filename"]
    assert [name for name in GOOD_NAMES + BAD_NAMES if Draft202012Validator(described).is_valid(name)] == GOOD_NAMES


def test_name_that_is_no_utf8_is_refused_or_kept_as_text(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    answer = caller.get(f"/datasets/{dataset_id}/upload-url/caf%E9.csv")
    assert answer.status_code in (201, 400)
    if answer.status_code == 201:
        assert caller.job(dataset_id, answer.json()["import_id"])["filename"].endswith(".csv")


def test_refusal_of_an_ending_says_which_are_taken(caller: Caller) -> None:
    detail = ask(caller, caller.make_dataset(), "answers.xlsx").json()["error"]["detail"]
    assert ".csv" in detail
    assert ".jsonl" in detail


@pytest.mark.parametrize(("filename", "content_type"), [("a.CSV", "text/csv"), ("a.jsonl", "application/x-ndjson")])
def test_ending_says_which_content_type_to_send(caller: Caller, filename: str, content_type: str) -> None:
    assert caller.ask_for_url(caller.make_dataset(), filename)["content_type"] == content_type


def test_url_is_absolute_and_under_the_address_that_was_called(caller: Caller) -> None:
    offer = caller.ask_for_url(caller.make_dataset())
    assert urlsplit(offer["upload_url"])[:2] == ("http", "assay.test")
    assert not urlsplit(offer["upload_url"]).path.startswith(API)
    assert offer["upload_url"].isascii()


def test_expiry_that_is_shown_is_an_hour_away_in_whole_seconds(caller: Caller) -> None:
    offer = caller.ask_for_url(caller.make_dataset())
    assert offer["expires_at"] == "2026-01-02T04:04:05.000000Z"
