"""DataFrames and Arrow tables: what goes in comes out again, and what can't go in is told clearly."""

import io
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from assay import Client
from assay.client_tables import append_lines, write_lines

TYPES: dict[str, Any] = {
    "fields": {
        "whole": {"type": "integer"},
        "part": {"type": "number"},
        "flag": {"type": "boolean"},
        "day": {"type": "date"},
        "moment": {"type": "datetime"},
        "price": {"type": "number"},
        "kind": {"type": "text"},
        "nested": {"type": "json"},
    }
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = datetime(2026, 3, 29, 1, 30, 0, 250_000, tzinfo=UTC)
VALUES: dict[str, list[Any]] = {
    "whole": [1, None, -(2**62)],
    "part": [0.1, None, 1e-300],
    "flag": [True, None, False],
    "day": [date(2026, 2, 28), None, date(1969, 12, 31)],
    "moment": [MOMENT, None, MOMENT.replace(year=1969)],
    "price": [Decimal("19.99"), None, Decimal("-0.01")],
    "kind": ["a", None, "b\n\u2028ä"],
    "nested": [{"list": [1, 2], "none": None}, None, {"list": [], "none": "x"}],
}
CAME_BACK = {**VALUES, "price": [19.99, None, -0.01]}


def lines_of(source: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    write_lines(source, file)
    return [json.loads(line) for line in file.getvalue().splitlines()]


def frames() -> dict[str, Any]:
    table = pa.table({**VALUES, "kind": pa.array(VALUES["kind"]).dictionary_encode()})
    numpy_types = pd.DataFrame({**VALUES, "kind": pd.Categorical(VALUES["kind"])})
    return {
        "arrow": table,
        "polars": pl.DataFrame(VALUES, schema_overrides={"kind": pl.Categorical()}),
        "pandas": numpy_types.astype({"whole": "Int64"}),
        "pandas-arrow": table.to_pandas(types_mapper=pd.ArrowDtype),
    }


@pytest.mark.parametrize("library", ["arrow", "polars", "pandas", "pandas-arrow"])
def test_table_comes_back_as_it_went_in(sync_client: Client, name: str, library: str) -> None:
    dataset = sync_client.create_dataset(name, schema=TYPES)
    job = sync_client.import_file(dataset.id, frames()[library])
    assert (job.status, job.accepted_count, job.filename) == ("complete", 3, "table.jsonl"), job
    table = sync_client.to_arrow(dataset.id)
    found = {field: table.column(field).to_pylist() for field in VALUES}
    found["nested"] = [None if text is None else json.loads(text) for text in found["nested"]]
    assert found == CAME_BACK
    assert table.schema.field("moment").type == pa.timestamp("us", "UTC")
    assert table.schema.field("day").type == pa.date32()


def test_accepted_records_are_the_same_in_every_library(client: Any, name: str) -> None:
    dataset = client.create_dataset(name, schema=TYPES)
    client.import_file(dataset.id, frames()["polars"])
    in_polars, in_pandas = client.to_polars(dataset.id), client.to_pandas(dataset.id)
    wanted = {field: values for field, values in CAME_BACK.items() if field != "nested"}
    assert in_polars.select(list(wanted)).to_dict(as_series=False) == wanted
    assert in_polars.schema["moment"] == pl.Datetime("us", "UTC")
    assert in_polars.schema["datapoint_id"] == pl.String
    assert list(in_pandas["kind"].dropna()) == ["a", "b\n\u2028ä"]
    assert in_pandas["moment"][0] == pd.Timestamp(MOMENT)
    assert list(in_pandas["datapoint_id"]) == in_polars["datapoint_id"].to_list()
    assert [str(point.id) for point in client.datapoints(dataset.id)] == in_polars["datapoint_id"].to_list()


def test_integers_and_booleans_in_pandas_are_not_altered_by_a_missing_value(client: Any, name: str) -> None:
    """A float has 53 bits for a number's digits."""
    schema = {"fields": {"id": {"type": "integer"}, "full": {"type": "integer"}, "ok": {"type": "boolean"}}}
    dataset = client.create_dataset(name, schema=schema)
    values = {"id": [2**53 + 1, None, -(2**63)], "full": [1, 2, 3], "ok": [True, False, None]}
    client.import_file(dataset.id, pl.DataFrame(values))
    frame = client.to_pandas(dataset.id)
    assert frame["id"].dropna().tolist() == [2**53 + 1, -(2**63)]
    assert [str(frame[key].dtype) for key in ("id", "full", "ok", "record_index")] == [
        "Int64",
        "Int64",
        "boolean",
        "Int64",
    ]
    again = client.create_dataset(f"{name} again", schema=schema)
    client.import_file(again.id, frame[list(values)])
    back = client.to_arrow(again.id)
    assert {key: back.column(key).to_pylist() for key in values} == values


def test_time_without_a_zone_is_taken_for_utc_and_one_with_keeps_its_moment() -> None:
    naive, zoned = datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    table = pa.table({"naive": [naive], "list": [[naive]], "struct": [{"at": naive}], "zoned": [zoned]})
    for source in (table, pl.from_arrow(table), table.to_pandas()):
        (line,) = lines_of(source)
        assert line["naive"] == "2026-01-01T12:00:00Z"
        assert datetime.fromisoformat(line["zoned"]) == zoned
    assert lines_of(table)[0]["list"] == ["2026-01-01T12:00:00Z"]
    assert lines_of(table)[0]["struct"] == {"at": "2026-01-01T12:00:00Z"}
    assert append_lines([{"naive": naive}]) == b'{"naive":"2026-01-01T12:00:00Z"}\n'


def test_zone_whose_offset_has_seconds_keeps_its_moment() -> None:
    """What is written of a zone has minutes at most."""
    table = pa.table({"at": pa.array([0], pa.timestamp("us", "Africa/Monrovia"))})  # 44:30 behind, then
    for source in (table, pl.from_arrow(table), table.to_pandas()):
        assert lines_of(source) == [{"at": "1970-01-01T00:00:00Z"}]
    assert lines_of(pd.DataFrame({"at": [pd.Timestamp("1971-06-01", tz="Africa/Monrovia"), "x"]}))[0] == {
        "at": "1971-06-01T00:44:30Z"
    }
    odd = datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=15)))
    assert append_lines([{"at": odd}, {"at": [odd]}]) == (
        b'{"at":"2023-12-31T23:59:45Z"}\n{"at":["2023-12-31T23:59:45Z"]}\n'
    )


@pytest.mark.parametrize("zone", [None, "Africa/Monrovia"])
def test_nanoseconds_become_microseconds_and_what_is_finer_is_cut_off(zone: str | None) -> None:
    table = pa.table({"at": pa.array([1_700_000_000_123_456_789, -1, -1000, -1001], pa.timestamp("ns", zone))})
    moments = [datetime.fromisoformat(line["at"]) for line in lines_of(table)]
    assert [(moment - EPOCH) // timedelta(microseconds=1) for moment in moments] == [1_700_000_000_123_456, -1, -1, -2]


def test_nan_is_absence_and_infinity_is_not_lost() -> None:
    values = [1.5, float("nan"), float("inf"), float("-inf")]
    wanted = [{"a": 1.5}, {}, {"a": "inf"}, {"a": "-inf"}]
    for source in (pa.table({"a": values}), pl.DataFrame({"a": values}), pd.DataFrame({"a": values})):
        assert lines_of(source) == wanted


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([math.inf, 1.0, math.nan], ["inf", 1.0, None]),
        ({"a": [-math.inf], "b": math.nan}, {"a": ["-inf"], "b": None}),
        ([{"at": datetime(2026, 1, 1)}], [{"at": "2026-01-01T00:00:00Z"}]),
    ],
)
def test_lists_and_dicts_keep_their_infinities_too(value: Any, told: Any) -> None:
    for source in (pa.table({"j": [value]}), pd.DataFrame({"j": [value]}), pl.DataFrame({"j": [value]}, strict=False)):
        assert lines_of(source) == [{"j": told}]
    assert lines_of(pd.DataFrame({"j": [value, "mixed"]})) == [{"j": told}, {"j": "mixed"}]
    assert json.loads(append_lines([{"j": value}])) == {"j": told}


@pytest.mark.parametrize(
    "value", [(math.inf,), {math.inf}, np.array([math.inf, 1.0])[:1], [np.float32("inf")], [Decimal("Infinity")]]
)
def test_infinity_of_any_kind_is_a_text(value: Any) -> None:
    (told,) = json.loads(append_lines([{"j": value}]))["j"]
    assert told in ("inf", "Infinity")
    assert lines_of(pd.DataFrame({"j": [value, "mixed"]}))[0] == {"j": [told]}


def test_json_field_keeps_an_infinity_in_a_list(sync_client: Client, name: str) -> None:
    dataset = sync_client.create_dataset(name, schema={"fields": {"j": {"type": "json"}}})
    assert sync_client.import_file(dataset.id, pa.table({"j": [[math.inf, 1.0]]})).status == "complete"
    assert json.loads(sync_client.to_arrow(dataset.id).column("j")[0].as_py()) == ["inf", 1.0]


def test_number_of_more_than_64_bits_goes_on_its_way() -> None:
    assert lines_of(pd.DataFrame({"a": [2**70, 1], "b": [None, 2]})) == [{"a": 2**70}, {"a": 1, "b": 2}]


def test_whole_float_is_written_as_an_integer_is() -> None:
    values = [1.0, 0.5, 0.0, -0.0, -(2.0**53 - 1), 2.0**53, 1e300]
    texts = b"1 0.5 0 -0.0 -9007199254740991 9007199254740992.0 1e300".split()
    wanted = b"".join(b'{"a":%s}\n' % text for text in texts)
    for source in (pa.table({"a": values}), pl.DataFrame({"a": values}), pd.DataFrame({"a": values})):
        file = io.BytesIO()
        write_lines(source, file)
        assert file.getvalue() == wanted
    assert append_lines([{"a": value} for value in values]) == wanted
    assert append_lines([{"a": [1.0, {"b": np.float64(2)}]}]) == b'{"a":[1,{"b":2}]}\n'


@pytest.mark.parametrize("type_name", ["integer", "number"])
def test_records_are_the_same_whichever_way_they_come(client: Any, name: str, type_name: str) -> None:
    """One NaN makes floats of pandas' integers; a missing key, a null and a NaN are one thing."""
    schema = {"fields": {"name": {"type": "text"}, "age": {"type": type_name, "required": False}}}
    dataset = client.create_dataset(name, schema=schema)
    rows = [{"name": "a", "age": 1}, {"name": "b", "age": 2}]
    more = [*rows, {"name": "c", "age": None}]
    assert client.import_file(dataset.id, pd.DataFrame(rows)).accepted_count == 2
    job = client.import_file(dataset.id, pd.DataFrame(more))
    assert (job.accepted_count, job.duplicate_count) == (3, 2)
    for source in (pl.DataFrame(more), pa.Table.from_pylist(more)):
        assert client.import_file(dataset.id, source).duplicate_count == 3
    for records in (more, pd.DataFrame(more).to_dict("records"), [*rows, {"name": "c"}]):
        assert client.append(dataset.id, records).accepted == len(records)
    assert client.dataset(dataset.id).total_datapoint_count == 3


def test_infinity_is_rejected_with_its_reason(sync_client: Client, name: str) -> None:
    dataset = sync_client.create_dataset(name, schema={"fields": {"a": {"type": "number"}}})
    job = sync_client.import_file(dataset.id, pl.DataFrame({"a": [1.0, float("inf")]}))
    assert [(error.record_index, error.reason) for error in job.errors or []] == [(1, "Value must be a number")]


def test_pandas_whole_numbers_with_gaps_are_integers(sync_client: Client, name: str) -> None:
    dataset = sync_client.create_dataset(name, schema={"fields": {"n": {"type": "integer"}}})
    assert sync_client.import_file(dataset.id, pd.DataFrame({"n": [1, None, 3]})).status == "complete"
    assert sync_client.to_arrow(dataset.id).column("n").to_pylist() == [1, None, 3]


@pytest.mark.parametrize(
    ("frame", "keys"),
    [
        (pd.DataFrame({"id": ["x"], "n": [1]}).set_index("id"), ["id", "n"]),
        (pd.DataFrame({"id": ["x", 1], "n": [1, "y"]}).set_index("id"), ["id", "n"]),
        (pd.DataFrame({"id": ["x"], "day": ["y"], "n": [1]}).groupby(["id", "day"]).sum(), ["id", "day", "n"]),
        (pd.DataFrame({"id": ["x"], "n": [1]}).pivot_table(index="id", aggfunc=["sum"]), ["id", "('sum', 'n')"]),
        (pd.DataFrame({"n": [1]}, index=["x"]), ["n"]),
        (pd.DataFrame({"n": [1]}, index=pd.MultiIndex.from_tuples([("x", 1)], names=["id", None])), ["id", "n"]),
    ],
    ids=["one level", "mixed values", "grouped", "columns of two levels", "no name", "a name for one of two"],
)
def test_index_of_pandas_is_sent_by_its_name(frame: pd.DataFrame, keys: list[str]) -> None:
    """What a frame was grouped or indexed by mostly says which record it is."""
    assert list(lines_of(frame)[0]) == keys


def test_column_of_mixed_values_is_judged_record_by_record(sync_client: Client, name: str) -> None:
    frame = pd.DataFrame({"age": [30, "unknown", None, 2.0], "at": pd.to_datetime(["2026-01-01"] * 4)})
    schema = {"fields": {"age": {"type": "integer", "required": True}, "at": {"type": "datetime"}}}
    dataset = sync_client.create_dataset(name, schema=schema)
    job = sync_client.import_file(dataset.id, frame)
    assert [(error.record_index, error.reason) for error in job.errors or []] == [
        (1, "Value must be an integer"),
        (2, "Field is required"),
    ]
    assert sync_client.to_arrow(dataset.id).column("age").to_pylist() == [30, 2]


def test_missing_values_and_scalars_of_other_libraries_are_told_as_python_s() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-01", None]), "n": pd.array([1, None], dtype="Int64")})
    assert append_lines(frame.to_dict("records")) == b'{"at":"2026-01-01T00:00:00Z","n":1}\n{}\n'
    assert lines_of(frame) == [{"at": "2026-01-01T00:00:00Z", "n": 1}, {}]
    missing = [None, math.nan, pd.NA, pd.NaT, np.float32("nan"), np.datetime64("NaT"), Decimal("NaN")]
    assert append_lines([{"a": value} for value in missing]) == b"{}\n" * len(missing)
    assert json.loads(append_lines([{"a": missing}])) == {"a": [None] * len(missing)}
    moment = np.datetime64("2026-01-01T00:00:00.000001999")
    scalars = [np.int64(3), np.bool_(True), np.str_("x"), moment, np.array([moment])]
    assert json.loads(append_lines([{"a": scalars}]))["a"] == [
        3,
        True,
        "x",
        "2026-01-01T00:00:00.000001Z",
        ["2026-01-01T00:00:00.000001Z"],
    ]


@pytest.mark.parametrize("value", [b"x", bytearray(b"x"), memoryview(b"x"), np.bytes_(b"x"), [b"x"], {"in": (b"x",)}])
def test_bytes_are_refused_wherever_they_stand(value: Any) -> None:
    with pytest.raises(TypeError, match="Field 'a' holds bytes"):
        append_lines([{"b": 1, "a": value}])
    with pytest.raises(TypeError, match="'a' holds bytes"):
        lines_of(pd.DataFrame({"a": [value, 1]}))


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (["a"], "Record 1 is a str"),
        ([{"a": 1}, None], "Record 2 is a NoneType"),
        (pd.DataFrame({"a": [1]}), "Record 1 is a str: give a list of dicts"),
        ({"a": 1}, "Record 1 is a str: give a list of dicts"),
    ],
)
def test_append_of_what_are_no_records_is_a_clear_type_error(client: Any, records: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        client.append("00000000-0000-7000-8000-000000000000", records)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (pa.table({"a": [b"x"]}), "Column 'a' holds bytes"),
        (pa.table({"a": [{"deep": [b"x"]}]}), "Column 'a' holds bytes"),
        (pl.DataFrame({"a": [b"x"]}), "Column 'a' holds bytes"),
        (pd.DataFrame({"a": [b"x"]}), "Column 'a' holds bytes"),
        (pd.DataFrame({"a": [b"x", 1]}), "Column 'a' holds bytes"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "named 'a'"),
        (pd.DataFrame({"a": [1]}).set_index("a", drop=False), "column or index level is named 'a'"),
        (pa.table([[1], [2]], names=["a", "a"]), "named 'a'"),
        (pa.table({"b": [1], "a": pa.array([3_000_000], pa.date32())}), "Column 'a' holds a time outside of the years"),
        (pl.DataFrame({"a": pl.Series([3_000_000], dtype=pl.Date)}), "Column 'a' holds a time outside of the years"),
        (pa.table({"a": pa.array([10**18], pa.timestamp("us"))}), "Column 'a' holds a time outside of the years"),
        (pa.table({"a": pa.array([2**64 // 10**6], pa.timestamp("s"))}), "Column 'a' holds a time outside"),
        (pa.table({"a": pa.array([[3_000_000]], pa.list_(pa.date32()))}), "Column 'a' holds a time outside"),
        (pd.DataFrame({"a": np.array(["12000-01-01"], "datetime64[s]")}), "Column 'a' holds a time outside"),
        (pd.DataFrame({"a": [object(), 1]}), "Can't send a object"),
        (pd.Series([1]), "Can't import a Series"),
        (pl.Series([1]), "Can't import a Series"),
        (pl.LazyFrame({"a": [1]}), "Can't import a LazyFrame"),
        ([{"a": 1}], "Can't import a list"),
        (None, "Can't import a NoneType"),
        (b"a\n1\n", r"Can't import a bytes: .* such as io\.BytesIO"),
        (io.StringIO("a\n1\n"), "binary mode"),
        (io.BytesIO(b"a\n1\n"), "filename="),
    ],
)
def test_what_can_not_be_sent_is_a_clear_type_error(sync_client: Client, source: Any, told: str) -> None:
    more = {"filename": "a.csv"} if isinstance(source, io.StringIO | bytes | list) else {}
    with pytest.raises(TypeError, match=told):
        sync_client.import_file("00000000-0000-7000-8000-000000000000", source, **more)


def test_table_under_the_name_of_a_csv_is_refused(sync_client: Client) -> None:
    with pytest.raises(ValueError, match=r"must end in \.jsonl"):
        sync_client.import_file("00000000-0000-7000-8000-000000000000", pa.table({"a": [1]}), filename="a.csv")
