"""`assay infer`: a schema on standard output, or one sentence and the code 2."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.cli import main


def test_schema_can_be_checked_with_at_once(tmp_path: Path) -> None:
    file, schema = tmp_path / "a.csv", tmp_path / "schema.json"
    file.write_bytes(b"name,age\nAda,36\nBob,\n")
    result = CliRunner().invoke(main, ["infer", str(file)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["fields"]["age"] == {"type": "integer"}
    schema.write_text(result.stdout)
    assert CliRunner().invoke(main, ["check", str(file), "--schema", str(schema)]).exit_code == 0


def test_all_looks_at_every_record(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 1}\n' * 150_000 + b'{"a": 1.5}\n' + b'{"a": 1}\n' * 450_000)
    for words, type_name in (([], "integer"), (["--all"], "number")):
        result = CliRunner().invoke(main, ["infer", str(file), *words])
        assert json.loads(result.stdout)["fields"]["a"]["type"] == type_name


def test_words_for_absence_and_empty_records_are_told_on_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"id,score\n" + b"7,2.5\n" * 9 + b"7,NA\n,\n")
    assert CliRunner().invoke(main, ["infer", str(file)]).stderr.splitlines() == [
        "assay: field 'score' would be number but for 'NA' in 1 of 10 values",
        "assay: 1 record of empty cells alone left out of account; where a field is required they are rejected",
    ]


def test_standard_input_and_other_names_are_taken_as_by_check(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(b'{"a": 1}\n')
    for words, stdin in (([str(file)], b""), (["-", "--filename", "x.jsonl"], file.read_bytes())):
        ran = CliRunner().invoke(main, ["infer", *words], input=stdin)
        assert (ran.exit_code, json.loads(ran.stdout)["fields"]) == (0, {"a": {"type": "integer"}})
    (tmp_path / "s.json").write_text('{"fields": {"a": {"type": "integer"}}}')
    assert CliRunner().invoke(main, ["check", str(file), "--schema", str(tmp_path / "s.json")]).exit_code == 0


def test_how_much_was_looked_at_is_told_where_it_was_not_all(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 1}\n' * 600_000)
    ran = CliRunner().invoke(main, ["infer", str(file)])
    assert ran.stderr.startswith("assay: looked at 17")
    assert "of 5,400,000 bytes, from everywhere in the file; --all looks at every record" in ran.stderr
    assert CliRunner().invoke(main, ["infer", str(file), "--all"]).stderr == ""


def test_values_that_the_schema_would_reject_are_counted_on_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"age\n" + b"36\n" * 99 + b"old\n")
    result = CliRunner().invoke(main, ["infer", str(file)])
    assert (result.exit_code, json.loads(result.stdout)["fields"]["age"]["type"]) == (0, "integer")
    assert result.stderr == "assay: field 'age' as integer: 1 of 100 values that were looked at would be rejected\n"


def test_fields_that_are_left_out_are_listed_on_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    names = ["record_index", "x" * 129, *(f"c{number}" for number in range(215))]
    file.write_text(f"{','.join(names)}\n{','.join('1' * len(names))}\n")
    result = CliRunner().invoke(main, ["infer", str(file)])
    assert (result.exit_code, len(json.loads(result.stdout)["fields"])) == (0, 200)
    reserved, long, many = result.stderr.splitlines()
    assert reserved == "assay: left out, as Assay's own columns have these names: 'record_index'"
    assert long == f"assay: left out, as a name has at most 128 characters: '{'x' * 127}…'"
    assert many.startswith("assay: left out, as a schema has at most 200 fields, those that most records have: ")
    assert many.endswith(": 'c200', 'c201', 'c202', 'c203', 'c204', 'c205', 'c206', 'c207', 'c208', 'c209' and 5 more")


def test_identifiers_that_a_spreadsheet_shortened_are_told_on_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"id\n" + b"1234567890123456789\n" * 59 + b"1.23457E+18\n")
    result = CliRunner().invoke(main, ["infer", str(file)])
    assert json.loads(result.stdout)["fields"]["id"]["type"] == "integer"
    assert "field 'id': 1 of 60 values look like 1.23457E+18: a spreadsheet may have cut off digits" in result.stderr


@pytest.mark.parametrize(
    ("name", "data", "words"), [("a.csv", b"", "empty"), ("a.txt", b"a", ".csv"), ("b.csv", None, "read")]
)
def test_fault_is_one_sentence(tmp_path: Path, name: str, data: bytes | None, words: str) -> None:
    file = tmp_path / name
    if data is not None:
        file.write_bytes(data)
    result = CliRunner().invoke(main, ["infer", str(file)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("assay: ")
    assert words in result.stderr
