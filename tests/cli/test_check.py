"""`assay check` by its real entry point: what it prints, what it writes, how it ends. Without any service."""

import json
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


def test_json_is_the_import_job_and_nothing_else(folder: Path) -> None:
    ran = run("check", "mixed.csv", "--schema", "schema.json", "--json", cwd=folder)
    assert json.loads(ran.stdout) == {
        "filename": "mixed.csv",
        "status": "partial",
        "accepted_count": 2,
        "duplicate_count": 0,
        "rejected_count": 1,
        "errors": [{"record_index": 1, "field": "age", "reason": "Value must be an integer"}],
    }
    unusable = run("check", "schema.json", "--schema", "schema.json", "--json", cwd=folder)
    assert unusable.returncode == 2
    assert json.loads(unusable.stdout)["status"] == "failed"


def test_both_sides_are_written_whole(folder: Path) -> None:
    words = ["--accepted", "a.parquet", "--rejected", "r.csv"]
    ran = run("check", "mixed.csv", "--schema", "schema.json", *words, cwd=folder)
    assert "Accepted records, each once: a.parquet" in ran.stdout
    assert pyarrow.parquet.read_table(folder / "a.parquet").column("age").to_pylist() == [4, 5]
    assert (folder / "r.csv").read_bytes() == ages_csv("old")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.csv", "--schema", "schema.json"], "Can't read or write nothing.csv: No such file or directory"),
        (["good.csv", "--schema", "nothing.json"], "Can't read the schema nothing.json: No such file"),
        (["good.csv", "--schema", "good.csv"], "The schema good.csv is no JSON"),
        (["good.csv"], "Missing option '--schema'"),
        (["schema.json", "--schema", "schema.json"], "must end with .csv or .jsonl"),
        (["good.csv", "--schema", "schema.json", "--rejected", "good.csv"], "would overwrite the file"),
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
