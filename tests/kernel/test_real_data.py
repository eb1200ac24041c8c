"""Files made by others: what the kernel reads from them is what Python's own readers read."""

import csv
import io
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from kernel.runs import fields_schema, outcome_of

DATA = Path(find_spec("vega_datasets").origin).parent / "_data"


@pytest.mark.parametrize("chunk_bytes", [1 << 20, 10_000, 100])
def test_airports_are_read_as_the_csv_module_reads_them(chunk_bytes):
    data = (DATA / "airports.csv").read_bytes()
    texts = dict.fromkeys(["iata", "name", "city", "state", "country"], "text")
    latitude = {"type": "number", "minimum": 0, "maximum": 60}
    schema = fields_schema(**texts, latitude=latitude, longitude={"type": "number", "exclusiveMaximum": 0})
    outcome = outcome_of(data, schema, format="csv", chunk_bytes=chunk_bytes)
    expected_accepted, expected_rejected = [], []
    for index, row in enumerate(csv.DictReader(io.StringIO(data.decode(), newline=""))):
        values = {key: row[key] or None for key in texts}
        values |= {key: float(row[key]) for key in ("latitude", "longitude")}
        if 0 <= values["latitude"] <= 60 and values["longitude"] < 0:
            expected_accepted.append((index, values))
        else:
            expected_rejected.append(index)
    assert outcome.accepted == expected_accepted
    assert [index for index, _, _ in outcome.first_faults] == expected_rejected
    assert outcome.record_count == 3376
    assert len(expected_rejected) > 100


def test_weather_with_slashes_in_its_dates_is_rejected_row_by_row():
    data = (DATA / "seattle-weather.csv").read_bytes()
    kinds = {"type": "text", "enum": ["drizzle", "rain", "sun", "snow", "fog"]}
    schema = fields_schema(precipitation="number", weather=kinds)
    assert len(outcome_of(data, schema, format="csv").accepted) == 1461
    outcome = outcome_of(data, fields_schema(date="date", weather=kinds), format="csv")
    assert {(field, reason) for _, field, _, reason, _ in outcome.rejected} == {
        ("date", "Value must be a date (YYYY-MM-DD)")
    }
    assert len(outcome.rejected) == 1461


@pytest.mark.parametrize("chunk_bytes", [1 << 20, 1000])
def test_cars_are_read_as_the_json_module_reads_them(chunk_bytes):
    cars = json.loads((DATA / "cars.json").read_bytes())
    lines = "\n".join(json.dumps(car) for car in cars)
    schema = fields_schema(
        Name="text",
        Miles_per_Gallon={"type": "number", "required": True},
        Cylinders={"type": "integer", "enum": [3, 4, 5, 6, 8]},
        Horsepower="integer",
        Year="date",
    )
    outcome = outcome_of(lines.encode(), schema, chunk_bytes=chunk_bytes)
    without = [index for index, car in enumerate(cars) if car["Miles_per_Gallon"] is None]
    assert outcome.first_faults == [(index, "Miles_per_Gallon", "Field is required") for index in without]
    assert len(without) == 8
    for index, values in outcome.accepted:
        assert values.pop("Year").isoformat() == cars[index]["Year"]
        assert values == {key: cars[index][key] for key in values}
    assert outcome.record_count == len(cars) == 406


def test_pretty_printed_json_is_told_to_be_no_jsonl():
    data = (DATA / "cars.json").read_bytes()
    outcome = outcome_of(data, fields_schema(Name="text"))
    assert outcome.file_fault is not None
    assert outcome.file_fault.startswith("The file is a JSON array")
