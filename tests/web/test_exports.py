"""All records as one file, in each format: what was imported comes back, whole, or visibly not at all."""

import csv
import io
import json
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay import exporting
from assay.exporting import EXPORT_FORMATS, export_records, take_snapshot
from assay.ids import parse_id
from assay.kernel import write
from assay.web.services import Services
from services.callers import AGES, API, TEXTS, Caller, ages_csv, wait_until
from services.in_thread import served
from web.conftest import make_app

FORMATS = list(EXPORT_FORMATS)
ALL_TYPES = {
    key: {"type": key} for key in ("text", "integer", "number", "boolean", "date", "datetime", "json", "metadata")
}
RECORDS = [
    {
        "text": 'Größe "1"\n\t\\',
        "integer": -(2**63),
        "number": 0.1,
        "boolean": True,
        "date": "2024-02-29",
        "datetime": "2024-02-29T23:59:59.000007Z",
        "json": {"a": [1, {"b": None}]},
        "metadata": "m",
    },
    {"text": "", "number": 1e300, "json": "text", "boolean": False},
    {"integer": 7},
]


def export(caller: Caller, dataset_id: str, **params: Any) -> bytes:
    answer = caller.get(f"/datasets/{dataset_id}/export", **params)
    assert answer.status_code == 200, answer.text
    return answer.content


def read_parquet(data: bytes) -> list[dict[str, Any]]:
    return list(pq.read_table(pa.BufferReader(data), page_checksum_verification=True).to_pylist())


def read_arrow(data: bytes) -> list[dict[str, Any]]:
    return list(pa.ipc.open_stream(data).read_all().to_pylist())


def read_jsonl(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def read_csv(data: bytes) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


READERS = {"parquet": read_parquet, "arrow": read_arrow, "jsonl": read_jsonl, "csv": read_csv}


def as_text(value: Any) -> str:
    """A value as its JSON line has it, in the words of the CSV."""
    if value is None or isinstance(value, str):
        return value or ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def filled(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record.get(key) for key in ALL_TYPES}


@pytest.fixture
def dataset_id(importer: Caller) -> str:
    """Two imports of records with values of all types."""
    dataset_id = importer.make_dataset(name="Größen", schema={"fields": ALL_TYPES})
    for records in (RECORDS[:2], RECORDS[2:]):
        job = importer.import_file(dataset_id, "\n".join(map(json.dumps, records)).encode(), "records.jsonl")
        assert job["status"] == "complete"
    return dataset_id


def test_jsonl_has_what_was_imported(importer: Caller, dataset_id: str) -> None:
    rows = read_jsonl(export(importer, dataset_id, format="jsonl"))
    pages = importer.records(dataset_id)
    for row, record, page in zip(rows, RECORDS, pages, strict=True):
        assert list(row) == ["datapoint_id", "import_id", "record_index", *ALL_TYPES]
        assert {key: row[key] for key in ALL_TYPES} == filled(record)
        assert (row["datapoint_id"], row["import_id"]) == (page["id"], page["import_id"])
    assert [row["record_index"] for row in rows] == [0, 1, 0]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_typed_formats_have_the_values_of_the_jsonl(importer: Caller, dataset_id: str, format: str) -> None:
    rows = READERS[format](export(importer, dataset_id, format=format))
    expected = read_jsonl(export(importer, dataset_id, format="jsonl"))
    assert rows[0]["date"].isoformat() == "2024-02-29"
    assert rows[0]["datetime"].isoformat() == "2024-02-29T23:59:59.000007+00:00"
    for row, wanted in zip(rows, expected, strict=True):
        assert list(row) == list(wanted)
        assert json.loads(row.pop("json") or "null") == wanted.pop("json")
        for key in ("datapoint_id", "import_id"):
            assert str(row.pop(key)) == wanted.pop(key)
        for key in ("date", "datetime"):
            assert (row.pop(key) is None) == (wanted.pop(key) is None)
        assert row == wanted


def test_csv_has_the_values_of_the_jsonl_as_text(importer: Caller, dataset_id: str) -> None:
    data = export(importer, dataset_id, format="csv")
    assert data.startswith(b"datapoint_id,import_id,record_index,text,")
    assert data.endswith(b"\r\n")
    for row, wanted in zip(read_csv(data), read_jsonl(export(importer, dataset_id, format="jsonl")), strict=True):
        assert json.loads(row.pop("json") or "null") == wanted.pop("json")
        assert float(row.pop("number") or 0) == (wanted.pop("number") or 0)
        assert row == {key: as_text(value) for key, value in wanted.items()}


def test_export_is_a_file_with_its_name_and_type(importer: Caller, dataset_id: str) -> None:
    types = {
        "parquet": "application/vnd.apache.parquet",
        "arrow": "application/vnd.apache.arrow.stream",
        "jsonl": "application/x-ndjson",
        "csv": "text/csv; charset=utf-8",
    }
    for format, media_type in types.items():
        answer = importer.get(f"/datasets/{dataset_id}/export", format=format)
        assert answer.headers["content-type"] == media_type
        name = "Gr%C3%B6%C3%9Fen" + EXPORT_FORMATS[format].extension
        assert answer.headers["content-disposition"].endswith(f"filename*=UTF-8''{name}")
    assert importer.get(f"/datasets/{dataset_id}/export").headers["content-type"] == types["parquet"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("schema", [AGES, None])
def test_dataset_without_records_is_a_file_without_rows(caller: Caller, format: str, schema: Any) -> None:
    data = export(caller, caller.make_dataset(schema=schema), format=format)
    assert READERS[format](data) == []
    if format == "csv":
        assert data.startswith(b"datapoint_id,import_id,record_index")


def test_formula_safe_is_an_option_of_csv(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=TEXTS)
    importer.import_file(dataset_id, b"text\n=1+1\n-5\n")
    safe = read_csv(export(importer, dataset_id, format="csv", formula_safe="true"))
    assert [row["text"] for row in safe] == ["'=1+1", "-5"]
    assert [row["text"] for row in read_csv(export(importer, dataset_id, format="csv"))] == ["=1+1", "-5"]
    assert importer.get(f"/datasets/{dataset_id}/export", format="jsonl", formula_safe="true").status_code == 400
    assert importer.get(f"/datasets/{dataset_id}/export", format="xlsx").status_code == 400


@pytest.mark.parametrize("format", FORMATS)
def test_schema_field_named_as_our_column_keeps_its_name(importer: Caller, format: str) -> None:
    dataset_id = importer.make_dataset(schema={"fields": {"import_id": {"type": "text"}}})
    importer.import_file(dataset_id, b"import_id\ntheirs\n")
    (row,) = READERS[format](export(importer, dataset_id, format=format))
    assert list(row) == ["datapoint_id", "record_index", "import_id"]
    assert row["import_id"] == "theirs"


@pytest.mark.parametrize("format", FORMATS)
def test_export_has_what_was_there_when_it_began(importer: Caller, busy_services: Services, format: str) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    importer.import_file(dataset_id, ages_csv(*range(1, 100)))
    identifier = parse_id(dataset_id)
    assert identifier is not None
    blocks = export_records(busy_services.storage, take_snapshot(busy_services.db, identifier), EXPORT_FORMATS[format])
    first = next(blocks)
    importer.import_file(dataset_id, ages_csv(*range(100, 200)))
    rows = READERS[format](first + b"".join(blocks))
    assert [int(row["age"]) for row in rows] == list(range(1, 100))
    assert len(READERS[format](export(importer, dataset_id, format=format))) == 199


def test_small_parts_become_large_row_groups(importer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    for number in range(5):
        importer.import_file(dataset_id, ages_csv(*range(1 + number * 10, 11 + number * 10)))
    data = export(importer, dataset_id, format="parquet")
    assert pq.ParquetFile(pa.BufferReader(data)).metadata.num_row_groups == 1
    monkeypatch.setattr(write, "ROWS_A_GROUP", 20)
    monkeypatch.setattr(exporting, "BATCH_BYTES", 100)
    data = export(importer, dataset_id, format="parquet")
    assert pq.ParquetFile(pa.BufferReader(data)).metadata.num_row_groups > 2
    assert [row["age"] for row in read_parquet(data)] == list(range(1, 51))


def damage_last_part(services: Services, dataset_id: str) -> None:
    """Flip a byte in the ids of the newest part."""
    identifier = parse_id(dataset_id)
    assert identifier is not None
    part = take_snapshot(services.db, identifier).parts[-1]
    data = bytearray(services.storage.read_range(part.key, 0, part.size_bytes))
    data[800] ^= 0xFF
    services.storage.put(part.key, bytes(data))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "damaged"])
def test_part_that_cannot_be_read_in_mid_stream_breaks_the_connection(
    importer: Caller, busy_services: Services, format: str, is_lost: bool
) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    for start in (1, 100):
        importer.import_file(dataset_id, ages_csv(*range(start, start + 99)))
    identifier = parse_id(dataset_id)
    assert identifier is not None
    if is_lost:
        busy_services.storage.delete(take_snapshot(busy_services.db, identifier).parts[-1].key)
    else:
        damage_last_part(busy_services, dataset_id)
    with served(make_app(busy_services)) as client:
        answer = _export_over(client, importer, dataset_id, format)
    assert answer is None or answer.status_code == 503, "it looks like a whole file"


def _export_over(client: httpx.Client, caller: Caller, dataset_id: str, format: str) -> httpx.Response | None:
    """The answer, or None where the connection ended before it."""
    headers = {"Authorization": f"Token {caller.token}"}
    try:
        return client.get(f"{API}/datasets/{dataset_id}/export", params={"format": format}, headers=headers)
    except httpx.RemoteProtocolError:
        return None


def test_client_that_goes_away_ends_the_work(
    importer: Caller, busy_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = importer.make_dataset(schema=TEXTS)
    importer.import_file(dataset_id, b"text\n" + b"\n".join(b"%d%s" % (row, b"x" * 90) for row in range(20_000)))
    made: list[int] = []
    ended: list[bool] = []
    real = exporting.csv_lines

    def slowly_for_ever(snapshot: Any, batches: Any) -> Any:
        try:
            lines = real(next(batches), formula_safe=False)
            while True:
                made.append(len(lines))
                yield lines
        finally:
            ended.append(True)

    monkeypatch.setitem(EXPORT_FORMATS, "csv", exporting.ExportFormat("text/csv", ".csv", slowly_for_ever))
    headers = {"Authorization": f"Token {importer.token}"}
    with served(make_app(busy_services)) as client:
        with client.stream("GET", f"{API}/datasets/{dataset_id}/export?format=csv", headers=headers) as answer:
            next(answer.iter_bytes())
        wait_until(lambda: ended, what="the export ends when its client is gone")
    assert len(made) < 200
