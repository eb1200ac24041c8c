"""Lists in pages: imports and records, and what a page's parameters may be."""

from typing import Any

import pytest

from assay.db import jobs
from assay.errors import ErrorCode
from services.callers import AGES, Caller, ages_csv
from web.public_shapes import DATAPOINT, ERROR, IMPORT_JOB, assert_shape, page_of


def all_pages(caller: Caller, path: str, *, limit: int, shape: dict[str, Any]) -> list[list[dict[str, Any]]]:
    pages = []
    page = caller.read(path, limit=limit)
    while True:
        assert_shape(page, page_of(shape))
        pages.append(page["results"])
        if page["next_cursor"] is None:
            return pages
        page = caller.read(path, limit=limit, cursor=page["next_cursor"])


def test_imports_come_in_pages_newest_first(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    made = [caller.upload(dataset_id, ages_csv(number)) for number in range(5)]
    pages = all_pages(caller, f"/datasets/{dataset_id}/imports", limit=2, shape=IMPORT_JOB)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [job["import_id"] for page in pages for job in page] == made[::-1]


def test_page_of_imports_with_long_reasons_is_cut_and_its_cursor_goes_on(
    importer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LIST_BYTES", 100_000)
    schema = {"fields": {"code": {"type": "text", "pattern": "^[a-z]{3}" + "(x|y)?" * 100 + "$"}}}
    dataset_id = importer.make_dataset(schema=schema)
    made = [importer.import_file(dataset_id, b"code\n" + b"A\n" * 60 + b"abc\n") for _ in range(5)]
    pages = all_pages(importer, f"/datasets/{dataset_id}/imports", limit=100, shape=IMPORT_JOB)
    assert [[job["import_id"] for job in page] for page in pages] == [
        [made[at]["import_id"] for at in ats] for ats in ((4, 3), (2, 1), (0,))
    ]
    assert len(importer.read(f"/datasets/{dataset_id}")["imports"]) == 2


def test_records_come_in_pages_by_import_and_index(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    first = importer.import_file(dataset_id, ages_csv(10, -1, 11, 12, 10))
    second = importer.import_file(dataset_id, ages_csv(11, 13, 14))
    pages = all_pages(importer, f"/datasets/{dataset_id}/datapoints", limit=2, shape=DATAPOINT)
    assert [len(page) for page in pages] == [2, 2, 1]
    found = [(record["import_id"], record["record_index"], record["data"]) for page in pages for record in page]
    assert found == [
        (first["import_id"], 0, {"age": 10}),
        (first["import_id"], 2, {"age": 11}),
        (first["import_id"], 3, {"age": 12}),
        (second["import_id"], 1, {"age": 13}),
        (second["import_id"], 2, {"age": 14}),
    ]


def test_values_are_json_of_their_type_and_absent_ones_null(importer: Caller) -> None:
    types = ["text", "integer", "number", "boolean", "date", "datetime", "json", "metadata"]
    dataset_id = importer.make_dataset(schema={"fields": {name: {"type": name} for name in types}})
    line = (
        b'{"text": "a", "integer": 5.0, "number": 0.5, "boolean": true, "date": "2024-02-29",'
        b' "datetime": "2024-01-01T01:00:00+02:00", "json": {"a": [1]}, "metadata": {"b": 2}}\n{"text": "b"}\n'
    )
    importer.import_file(dataset_id, line, "a.jsonl")
    full, empty = [record["data"] for record in importer.records(dataset_id)]
    assert full["integer"] == 5
    assert isinstance(full["integer"], int)
    assert (full["number"], full["boolean"], full["date"]) == (0.5, True, "2024-02-29")
    assert full["datetime"] == "2023-12-31T23:00:00.000000Z"
    assert list(full) == types
    assert empty == {name: "b" if name == "text" else None for name in types}


def test_dataset_without_records_has_one_empty_page(caller: Caller) -> None:
    for dataset_id in (caller.make_dataset(), caller.make_dataset(schema=AGES)):
        assert caller.read(f"/datasets/{dataset_id}/datapoints") == {"results": [], "next_cursor": None}


def test_cursor_past_the_end_is_an_empty_page(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    importer.import_file(dataset_id, ages_csv(1))
    page = importer.read(f"/datasets/{dataset_id}/datapoints", cursor="5")
    assert page == {"results": [], "next_cursor": None}


LISTS = ["/datasets", "/datasets/{}/imports", "/datasets/{}/datapoints"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1.5", "", "9" * 30])
def test_bad_limit_is_refused(caller: Caller, path: str, limit: str) -> None:
    answer = caller.get(path.format(caller.make_dataset()), limit=limit)
    assert answer.status_code == 400
    assert_shape(answer.json(), ERROR)
    assert list(answer.json()["error"]["detail"]) == ["limit"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("cursor", ["", "x", "-1", "1e3", "١٢", "%00", "9" * 40, "' OR 1=1", "a" * 5000])
def test_bad_cursor_is_refused(caller: Caller, path: str, cursor: str) -> None:
    answer = caller.get(path.format(caller.make_dataset()), cursor=cursor)
    assert answer.status_code == 400
    assert_shape(answer.json(), ERROR)
    assert answer.json()["error"]["error_code"] == ErrorCode.INVALID_REQUEST


def test_cursor_of_something_unknown_is_a_place_in_the_line(caller: Caller) -> None:
    caller.make_dataset()
    assert caller.read("/datasets", cursor="00000000-0000-7000-8000-000000000000")["results"] == []
    assert len(caller.read("/datasets", cursor="ffffffff-ffff-7fff-bfff-ffffffffffff")["results"]) == 1
