"""What an import rejected: every fault, page by page, and the records byte for byte, to be mended and uploaded."""

from typing import Any

import pytest

from assay.errors import ErrorCode
from assay.web.downloads import content_disposition
from services.callers import AGES, TEXTS, Caller, ages_csv
from web.public_shapes import ERROR, RECORD_ERROR, assert_shape, page_of

PEOPLE = {"strict": True, "fields": {"name": {"type": "text"}, "age": {"type": "integer", "minimum": 18}}}


def errors_of(caller: Caller, job: dict[str, Any], *, limit: int) -> list[dict[str, Any]]:
    """All of them, page by page."""
    path = f"/datasets/{job['dataset_id']}/imports/{job['import_id']}/errors"
    page = caller.read(path, limit=limit)
    found = page["results"]
    while page["next_cursor"] is not None:
        assert len(page["results"]) == limit
        page = caller.read(path, limit=limit, cursor=page["next_cursor"])
        assert_shape(page, page_of(RECORD_ERROR))
        found += page["results"]
    return list(found)


def rejected_of(caller: Caller, job: dict[str, Any]) -> bytes:
    answer = caller.get(f"/datasets/{job['dataset_id']}/imports/{job['import_id']}/rejected")
    assert answer.status_code == 200, answer.text
    return answer.content


def imported(caller: Caller, data: bytes, filename: str = "people.csv", *, schema: Any = PEOPLE) -> dict[str, Any]:
    return caller.import_file(caller.make_dataset(schema=schema), data, filename)


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_errors_has_every_fault_of_every_record_in_file_order(importer: Caller, limit: int) -> None:
    job = imported(importer, b"name,age\n,3\nAda,36\n,\nBob,x\n1,2,3\n")
    assert [
        (error["record_index"], error["field"], error["reason"]) for error in errors_of(importer, job, limit=limit)
    ] == [
        (0, "name", "Field is required"),
        (0, "age", "Value must be at least 18"),
        (2, "name", "Field is required"),
        (2, "age", "Field is required"),
        (3, "age", "Value must be an integer"),
        (4, "_raw", "Record has 3 cells, but the header has 2"),
    ]


def test_errors_goes_beyond_the_thousand_that_the_job_shows(importer: Caller) -> None:
    job = imported(importer, ages_csv(1, *range(-2500, 0)), schema=AGES)
    assert [error["record_index"] for error in errors_of(importer, job, limit=999)] == list(range(1, 2501))


def test_import_without_rejections_has_an_empty_page_of_errors(importer: Caller) -> None:
    for data in (b"name,age\nAda,36\n", b""):
        assert errors_of(importer, imported(importer, data), limit=10) == []


@pytest.mark.parametrize("route", ["errors", "rejected"])
def test_import_that_has_not_ended_is_a_conflict(caller: Caller, route: str) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    waiting = caller.ask_for_url(dataset_id)["import_id"]
    for import_id in (waiting, caller.upload(dataset_id, ages_csv(-1))):
        answer = caller.get(f"/datasets/{dataset_id}/imports/{import_id}/{route}")
        assert answer.status_code == 409
        assert_shape(answer.json(), ERROR)
        assert answer.json()["error"]["error_code"] == ErrorCode.NOT_ENDED


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 19])
def test_cursor_that_is_none_of_ours_is_refused(importer: Caller, cursor: str) -> None:
    job = imported(importer, b"name,age\n,3\n")
    path = f"/datasets/{job['dataset_id']}/imports/{job['import_id']}/errors"
    assert importer.get(path, cursor=cursor).status_code == 400
    assert importer.read(path, cursor="999999") == {"results": [], "next_cursor": None}


CSV_FILES: dict[str, tuple[bytes, bytes]] = {
    "one of two": (b"name,age\nAda,36\nBob,x\n", b"name,age\nBob,x\n"),
    "CRLF": (b"name,age\r\nBob,x\r\nAda,36\r\n,\r\n", b"name,age\r\nBob,x\r\n,\r\n"),
    "BOM": (b"\xef\xbb\xbfname,age\nBob,x\nAda,36\n", b"\xef\xbb\xbfname,age\nBob,x\n"),
    "BOM and CRLF": (b"\xef\xbb\xbfname,age\r\nBob,x\r\n", b"\xef\xbb\xbfname,age\r\nBob,x\r\n"),
    "quoted newlines": (
        b'name,age\n"Ada\nB\r\nC ""D""",36\n"Bob\n\nX\r\n",x\n"E, F",1\n',
        b'name,age\n"Bob\n\nX\r\n",x\n"E, F",1\n',
    ),
    "no final newline": (b"name,age\nAda,36\nBob,x", b"name,age\nBob,x"),
    "no final newline, two rejected": (b"name,age\nEve,1\nBob,x", b"name,age\nEve,1\nBob,x"),
    "mixed line ends": (b"name,age\r\nBob,x\nEve,y\r\nDan,z", b"name,age\r\nBob,x\nEve,y\r\nDan,z"),
    "blank lines": (b"\n\nname,age\n\nBob,x\n\n\nEve,y\nAda,36\n\n", b"\n\nname,age\nBob,x\nEve,y\n"),
    "header spelled oddly": (b'"name", age \n"Bob" ,x\nBob, 3\n', b'"name", age \n"Bob" ,x\nBob, 3\n'),
    "wrong cell counts": (b"name,age\nAda\nAda,36\n1,2,3\n", b"name,age\nAda\n1,2,3\n"),
    "invalid UTF-8": (b"name,age\nAda,36\n\xff\xfe,40\n", b"name,age\n\xff\xfe,40\n"),
    "malformed quotes": (b'name,age\nA"b",36\nAda,36\n"A"b,36\n', b'name,age\nA"b",36\n"A"b,36\n'),
    "nothing": (b"name,age\r\nAda,36\r\n", b"name,age\r\n"),
}


@pytest.mark.parametrize("name", CSV_FILES)
def test_rejected_csv_is_byte_for_byte_what_was_uploaded(importer: Caller, name: str) -> None:
    data, expected = CSV_FILES[name]
    assert rejected_of(importer, imported(importer, data)) == expected


JSONL_FILES: dict[str, tuple[bytes, bytes]] = {
    "one of two": (b'{"name":"Ada","age":36}\n{"name":"Bob"}\n', b'{"name":"Bob"}\n'),
    "spaces": (b'  {"age" : 1, "name":"B"}  \t\n{"name":"Ada","age":36}\n', b'  {"age" : 1, "name":"B"}  \t\n'),
    "BOM and CRLF": (b'\xef\xbb\xbf{"name":"Ada","age":36}\r\n{}\r\n[1]\r\n', b"\xef\xbb\xbf{}\r\n[1]\r\n"),
    "no final newline": (b'{"name":"Ada","age":36}\n{"name":', b'{"name":'),
    "blank lines": (b'\n{}\n \n\n[]\n{"name":"Ada","age":36}\n', b"{}\n[]\n"),
    "final CR": (b'{}\n{"name":\r', b'{}\n{"name":\r'),
    "nothing": (b'{"name":"Ada","age":36}\n', b""),
    "no records": (b"\n\n", b""),
}


@pytest.mark.parametrize("name", JSONL_FILES)
def test_rejected_jsonl_is_byte_for_byte_what_was_uploaded(importer: Caller, name: str) -> None:
    data, expected = JSONL_FILES[name]
    assert rejected_of(importer, imported(importer, data, "people.jsonl")) == expected


def test_file_that_was_not_taken_at_all_has_no_rejected_records(importer: Caller) -> None:
    for data in (b"", b"name\nAda\n", b"PK\x03\x04zip", b'name,age\n"never closed'):
        job = imported(importer, data)
        assert job["status"] == "failed"
        assert rejected_of(importer, job) == b""


def test_rejected_records_far_apart_and_close_together_come_out_alike(importer: Caller) -> None:
    lines = [b'{"age": %d, "pad": "%s"}\n' % (age, b"x" * (age % 7 * 40_000)) for age in range(1, 120)]
    for at in (0, 1, 2, 40, 41, 90, 118):
        lines[at] = lines[at].replace(b'"age": ', b'"age": -')
    job = imported(importer, b"".join(lines), "ages.jsonl", schema=AGES)
    assert rejected_of(importer, job) == b"".join(line for line in lines if b": -" in line)


def test_record_longer_than_a_block_is_copied_whole(importer: Caller) -> None:
    long_one = b'{"text": 1' + b" " * (9 * 1024 * 1024) + b"]\r\n"
    job = imported(importer, b'{"text":"a"}\n' + long_one + b'{"text":"b"}\n[]', "long.jsonl", schema=TEXTS)
    assert rejected_of(importer, job) == long_one + b"[]"


def test_mended_file_is_accepted_after_one_download_one_edit_one_upload(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=PEOPLE)
    original = b'\xef\xbb\xbfname,age\r\nAda,36\r\n"Bob\r\nB.",x\r\nCleo,41\r\nDan,3\r\n'
    first = importer.import_file(dataset_id, original)
    rejected = rejected_of(importer, first)
    mended = rejected.replace(b",x", b",52").replace(b",3\r", b",30\r")
    second = importer.import_file(dataset_id, mended)
    assert (first["status"], first["rejected_count"]) == ("partial", 2)
    assert (second["status"], second["accepted_count"], second["duplicate_count"]) == ("complete", 2, 0)
    names = [record["data"]["name"] for record in importer.records(dataset_id)]
    assert names == ["Ada", "Cleo", "Bob\r\nB.", "Dan"]


def test_download_is_named_after_the_upload(importer: Caller) -> None:
    job = imported(importer, b"name,age\nBob,x\n", "Umfrage%20M%C3%A4rz.CSV")
    answer = importer.get(f"/datasets/{job['dataset_id']}/imports/{job['import_id']}/rejected")
    assert answer.headers["content-type"] == "text/csv"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Umfrage M_rz-rejected.CSV\"; filename*=UTF-8''Umfrage%20M%C3%A4rz-rejected.CSV"
    )


@pytest.mark.parametrize("filename", ["people.csv", "people.jsonl"])
def test_download_is_taken_as_an_upload_with_the_content_type_it_came_with(importer: Caller, filename: str) -> None:
    data = b"name,age\nBob,x\n" if filename.endswith(".csv") else b'{"name": "Bob", "age": "x"}\n'
    job = imported(importer, data, filename)
    answer = importer.get(f"/datasets/{job['dataset_id']}/imports/{job['import_id']}/rejected")
    offer = importer.ask_for_url(job["dataset_id"], filename)
    taken = importer.put(offer, answer.content, content_type=answer.headers["content-type"])
    assert taken.status_code == 200, taken.text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.csv", "_.._etc_passwd.csv"),
        ('a"b;c.csv', "a_b;c.csv"),
        ("a\r\nSet-Cookie: x.csv", "a_Set-Cookie_ x.csv"),
        ("", "download"),
        ("a" * 300 + ".csv", "a" * 200 + ".csv"),
    ],
)
def test_name_of_a_download_names_no_folder_and_breaks_no_header(name: str, shown: str) -> None:
    header = content_disposition(name)
    assert "\r" not in header
    assert header.startswith(f'attachment; filename="{shown.replace(";", "_")}"; ')
