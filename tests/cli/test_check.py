"""`assay check` by its real entry point: what it prints, what it writes, how it ends. Without any service."""

import json
import socket
from pathlib import Path

import pyarrow.parquet
import pytest

from cli.commands import on_terminal, run
from services.callers import AGES, ages_csv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_bytes(ages_csv(1, 2, 2))
    (tmp_path / "mixed.csv").write_bytes(ages_csv(4, "old", 5))
    (tmp_path / "bad.csv").write_bytes(ages_csv("x"))
    (tmp_path / "schema.json").write_text(json.dumps(AGES))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "code", "first"),
    [
        ("good.csv", 0, "good.csv: 3 records, 3 accepted (1 of them duplicates), 0 rejected"),
        ("mixed.csv", 1, "mixed.csv: 3 records, 2 accepted, 1 rejected"),
        ("bad.csv", 1, "bad.csv: 1 record, 0 accepted, 1 rejected"),
    ],
)
def test_exit_code_says_how_it_went(folder: Path, name: str, code: int, first: str) -> None:
    ran = run("check", name, "--schema", "schema.json", cwd=folder)
    assert (ran.returncode, ran.stderr) == (code, "")
    assert ran.stdout.splitlines()[0] == first
    assert "\x1b" not in ran.stdout


def test_json_is_a_list_of_import_jobs_and_nothing_else(folder: Path) -> None:
    ran = run("check", "mixed.csv", "--schema", "schema.json", "--json", cwd=folder)
    mixed = {
        "filename": "mixed.csv",
        "status": "partial",
        "accepted_count": 2,
        "duplicate_count": 0,
        "rejected_count": 1,
        "errors": [{"record_index": 1, "line": 3, "field": "age", "reason": "Value must be an integer"}],
        "error_summary": [{"field": "age", "reason": "Value must be an integer", "count": 1}],
    }
    assert json.loads(ran.stdout) == [mixed]
    assert ran.returncode == 1
    (folder / "empty.csv").touch()
    several = run("check", "empty.csv", "m*.csv", "--schema", "schema.json", "--json", cwd=folder)
    unusable = {"filename": "empty.csv", "status": "failed", "reason": "The file is empty."}
    assert json.loads(several.stdout) == [unusable, mixed]
    assert several.returncode == 2


def test_columns_and_fields_that_do_not_meet_are_named(folder: Path) -> None:
    (folder / "wide.csv").write_bytes(b"age,AGE,x\n1,2,3\n")
    (folder / "two.json").write_text('{"fields": {"age": {"type": "integer"}, "name": {"type": "text"}}}')
    words = ["check", "wide.csv", "--schema", "two.json"]
    ran = run(*words, cwd=folder)
    assert (ran.returncode, ran.stdout.splitlines()[1:]) == (
        0,
        [
            "Columns that the schema doesn't name, whose values are not kept: AGE, x",
            "Fields without a column, null in each record: name",
        ],
    )
    [job] = json.loads(run(*words, "--json", cwd=folder).stdout)
    assert (job["columns_not_in_schema"], job["fields_without_column"]) == (["AGE", "x"], ["name"])


def test_keys_that_the_schema_does_not_name_are_told_and_judge_nothing(folder: Path) -> None:
    """As a key in another case: all values are null, and no record is wrong."""
    (folder / "keys.jsonl").write_text('{"Age": 3}\n{"Age": "old"}\n')
    (folder / "free.json").write_text('{"fields": {"age": {"type": "integer"}}}')
    ran = run("check", "keys.jsonl", "--schema", "free.json", "--json", cwd=folder)
    assert (ran.returncode, json.loads(ran.stdout)[0]["accepted_count"]) == (0, 2)
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("assay: keys.jsonl: no key of the first 2 records is a field of the schema")
    assert ["'Age'" in lines[1], "'age'" in lines[2], len(lines)] == [True, True, 3]


def test_several_files_and_patterns_are_told_one_by_one_and_in_all(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "good.csv").write_bytes(ages_csv(6))
    ran = run("check", "*d.csv", folder / "below" / "*.csv", "--schema", "schema.json", cwd=folder)
    assert (ran.returncode, ran.stderr) == (1, "")
    told = [line for line in ran.stdout.splitlines() if " accepted" in line]
    assert told == [
        "bad.csv: 1 record, 0 accepted, 1 rejected",
        "good.csv: 3 records, 3 accepted (1 of them duplicates), 0 rejected",
        "mixed.csv: 3 records, 2 accepted, 1 rejected",
        f"{folder}/below/good.csv: 1 record, 1 accepted, 0 rejected",
        "4 files: 8 records, 6 accepted (1 of them duplicates), 2 rejected",
    ]
    assert ran.stdout.splitlines()[-1] == told[-1]
    assert run("check", "good.csv", "below/good.csv", "--schema", "schema.json", cwd=folder).returncode == 0


def test_file_that_can_not_be_used_hides_no_other(folder: Path) -> None:
    (folder / "empty.csv").touch()
    ran = run("check", "good.csv", "empty.csv", "mixed.csv", "--schema", "schema.json", cwd=folder)
    assert (ran.returncode, ran.stderr) == (2, "assay: empty.csv: The file is empty.\n")
    assert ran.stdout.startswith("good.csv: 3 records, ")
    assert "\nmixed.csv: 3 records, " in ran.stdout
    total = "3 files: 6 records, 5 accepted (1 of them duplicates), 1 rejected; 1 file can't be used"
    assert ran.stdout.splitlines()[-1] == total


def test_outputs_of_one_file_may_be_named_by_a_pattern_and_those_of_several_not(folder: Path) -> None:
    words = ["--schema", "schema.json", "--rejected", "r.csv"]
    assert run("check", "m*.csv", *words, cwd=folder).returncode == 1
    assert (folder / "r.csv").read_bytes() == ages_csv("old")
    (folder / "r.csv").unlink()
    ran = run("check", "*d.csv", *words, cwd=folder)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "are for the records of one file, and there are 3: run 'assay check' once for each" in ran.stderr
    assert not (folder / "r.csv").exists()


def test_both_sides_are_written_whole(folder: Path) -> None:
    words = ["--accepted", "a.parquet", "--rejected", "r.csv"]
    ran = run("check", "mixed.csv", "--schema", "schema.json", *words, cwd=folder)
    assert "Accepted records, each once: a.parquet" in ran.stdout
    assert pyarrow.parquet.read_table(folder / "a.parquet").column("age").to_pylist() == [4, 5]
    assert (folder / "r.csv").read_bytes() == ages_csv("old")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.csv", "--schema", "schema.json"], "Can't read nothing.csv: No such file or directory"),
        (["good.csv", "nothing.csv", "--schema", "schema.json"], "Can't read nothing.csv: No such file"),
        (["good.csv/x.csv", "--schema", "schema.json"], "Can't read good.csv/x.csv: Not a directory"),
        (["n" * 300 + ".csv", "--schema", "schema.json"], "File name too long"),
        (["*.tsv", "--schema", "schema.json"], "No file matches '*.tsv'"),
        (["**.csv", "--schema", "schema.json"], "The pattern '**.csv' can't be used"),
        ([".", "--schema", "schema.json"], ". is a directory: name files, as in './*.csv'"),
        (["good.csv", "bad.csv", "--schema", "schema.json", "--filename", "a.csv"], "--filename names one file"),
        (["--schema", "schema.json"], "Missing argument 'FILE...'"),
        (["good.csv", "--schema", "nothing.json"], "Can't read the schema nothing.json: No such file"),
        (["good.csv", "--schema", "good.csv"], "The schema good.csv is no JSON"),
        (["good.csv"], "Missing option '--schema'"),
        (["schema.json", "--schema", "schema.json"], "schema.json: the name must end in .csv or .jsonl; --filename"),
        (["good.csv", "--schema", "schema.json", "--rejected", "good.csv"], "would overwrite the file"),
        (["good.csv", "--schema", "schema.json", "--accepted", "./schema.json"], "its schema, or the other output"),
        (["good.csv", "--schema", "schema.json", "--processes", "0"], "--processes"),
        (
            ["good.csv", "--schema", "schema.json", "--accepted", "no/such.parquet"],
            "Can't read or write no/such.parquet",
        ),
    ],
)
def test_wrong_words_are_told_and_change_nothing(folder: Path, words: list[str], told: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ran = run("check", *words, cwd=folder)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("words", [["nothing.csv", "--schema", "schema.json"], ["good.csv", "--schema", "good.csv"]])
def test_json_is_an_empty_list_where_nothing_was_checked(folder: Path, words: list[str]) -> None:
    ran = run("check", *words, "--json", cwd=folder)
    assert (ran.returncode, ran.stdout) == (2, "[]\n")


def test_file_that_can_not_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket, which even root can't open."""
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind("odd.csv")
        ran = run("check", "good.csv", "odd.csv", "--schema", "schema.json", cwd=folder)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "assay: Can't read odd.csv: No such device or address.\n"


def test_file_that_can_not_be_used_is_told(folder: Path) -> None:
    (folder / "utf16.csv").write_bytes("age\n1\n".encode("utf-16"))
    ran = run("check", "utf16.csv", "--schema", "schema.json", cwd=folder)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("assay: utf16.csv: ")
    assert "UTF-16" in ran.stderr


def test_values_in_a_reason_do_not_rearrange_the_terminal(folder: Path) -> None:
    (folder / "odd\x1b[2J.jsonl").write_bytes(b'{"a\\u001b[95m": 1, "a\\u001b[95m": 2}\n')
    with on_terminal("check", folder / "odd\x1b[2J.jsonl", "--schema", folder / "schema.json") as terminal:
        assert terminal.end() == 1
    assert "\x1b[95m" not in terminal.text
    assert "\x1b[2J" not in terminal.text
    assert "odd\ufffd[2J.jsonl: 1 record," in terminal.plain
