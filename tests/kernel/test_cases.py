"""Runs the tables under cases/: they are the specification of what is accepted, as which value, and why not.

fields/TYPE.jsonl has a value a line: `raw` is the JSON text or the CSV cell as it stands in the file, `field` the
constraints, and `value` or `reason` what comes of it. formats/FORMAT.jsonl has a file a line.
"""

import json
from pathlib import Path

import pytest

from assay.fieldtypes import FIELD_TYPES
from kernel.runs import CHUNK_SIZES, fields_schema, outcome_of

CASES = Path(__file__).parent / "cases"


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def file_of(row):
    """A file with a good record, the case, and a good record again, so that the case can spoil nothing beside it."""
    if row["format"] == "jsonl":
        lines = ['{"z":"before"}', f'{{"x":{row["raw"]},"z":"case"}}', '{"z":"after"}']
    else:
        lines = ["x,z", ",before", f"{row['raw']},case", ",after"]
    return "\n".join(lines).encode() + b"\n"


def plain(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("type_name", FIELD_TYPES)
def test_every_value_of_the_table_is_judged_as_it_says(type_name):
    wrong = []
    for row in rows_of(CASES / "fields" / f"{type_name}.jsonl"):
        settings = row.get("field", {})
        required = settings.get("required", False)
        schema = fields_schema(x={"type": type_name, **settings, "required": False}, z="text")
        judged = fields_schema(x={"type": type_name, **settings}, z="text") if required else schema
        for chunk_bytes in (1, 1 << 20):
            outcome = outcome_of(file_of(row), judged, format=row["format"], chunk_bytes=chunk_bytes)
            values = {index: data["x"] for index, data in outcome.accepted}
            reasons = {index: reason for index, _, _, reason, _ in outcome.rejected}
            got = {"value": plain(values[1])} if 1 in values else {"reason": reasons.get(1)}
            if repr(got) != repr({key: row[key] for key in ("value", "reason") if key in row}):
                wrong.append((row, got))
            assert required or (0 in values and 2 in values)
    assert not wrong


@pytest.mark.parametrize("format_name", ["jsonl", "csv"])
@pytest.mark.parametrize("chunk_bytes", CHUNK_SIZES)
def test_every_file_of_the_table_is_read_as_it_says(format_name, chunk_bytes):
    wrong = []
    for row in rows_of(CASES / "formats" / f"{format_name}.jsonl"):
        data = bytes.fromhex(row["hex"]) if "hex" in row else row["file"].encode()
        fields = row.get("fields", {"a": "text", "b": "text"})
        outcome = outcome_of(
            data,
            fields_schema(**fields),
            format=format_name,
            chunk_bytes=chunk_bytes,
            record_limit_bytes=row.get("limit", 1 << 24),
        )
        accepted = [[index, *values.values()] for index, values in outcome.accepted]
        rejected = [[index, field, reason] for index, field, _, reason, _ in outcome.rejected]
        got = {"accepted": accepted, "rejected": rejected, "fault": outcome.file_fault}
        expected = {"accepted": row.get("accepted", []), "rejected": row.get("rejected", []), "fault": row.get("fault")}
        if got != expected:
            wrong.append((row, got))
    assert not wrong


def test_tables_hold_hundreds_of_cases_of_every_type():
    counts = {path.stem: len(rows_of(path)) for path in (CASES / "fields").iterdir()}
    assert set(counts) == set(FIELD_TYPES)
    assert min(counts.values()) > 25
    assert sum(counts.values()) > 800
