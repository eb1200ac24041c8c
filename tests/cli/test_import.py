"""`assay import`: what is taken, what is shown, and the exit code, in pipes and on a terminal."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from assay import Client
from assay.cli import main
from cli.commands import on_terminal, run
from services.callers import AGES, ages_csv
from services.serving import TOKEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_bytes(ages_csv(1, 2, 3))
    (tmp_path / "mixed.csv").write_bytes(ages_csv(4, "old", 5))
    (tmp_path / "bad.csv").write_bytes(ages_csv("x", "y"))
    (tmp_path / "schema.json").write_text(json.dumps(AGES))
    return tmp_path


@pytest.fixture
def ages(client: Client) -> str:
    """The name of a dataset with a schema."""
    return client.create_dataset(f"ages {uuid4()}", schema=AGES).name


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("good.csv", 0, "good.csv: complete: 3 accepted, 0 rejected"),
        ("mixed.csv", 1, "mixed.csv: partial: 2 accepted, 1 rejected"),
        ("bad.csv", 2, "bad.csv: failed: All 2 records were rejected"),
    ],
)
def test_exit_code_says_how_it_went(
    service: dict[str, str], ages: str, folder: Path, name: str, code: int, told: str
) -> None:
    ran = run("import", folder / name, "--dataset", ages, **service)
    assert ran.returncode == code, ran.stderr
    assert ran.stdout.startswith(told)
    assert ran.stderr == ""
    assert "\x1b" not in ran.stdout


def test_rejected_records_are_shown_with_what_to_do_next(service: dict[str, str], ages: str, folder: Path) -> None:
    lines = run("import", folder / "mixed.csv", "--dataset", ages, **service).stdout.splitlines()
    assert lines[2:4] == ["RECORD  FIELD  REASON", "     1  age    Value must be an integer"]
    assert lines[5].startswith("'assay errors ")
    words = lines[5].split("'")[1].split()[1:]
    saved = folder / "rejected.csv"
    assert run(*words[:-1], saved, **service).returncode == 0
    assert saved.read_bytes() == ages_csv("old")


def test_several_files_and_patterns_go_in_one_after_the_other(service: dict[str, str], ages: str, folder: Path) -> None:
    """A pattern that the shell left as it is: quoted, or on a system whose shell expands none."""
    ran = run("import", f"{folder}/*d.csv", folder / "good.csv", "--dataset", ages, "--json", **service)
    jobs = json.loads(ran.stdout)
    assert [(job["filename"], job["status"]) for job in jobs] == [
        ("bad.csv", "failed"),
        ("good.csv", "complete"),
        ("mixed.csv", "partial"),
        ("good.csv", "complete"),
    ]
    assert (ran.returncode, ran.stderr) == (2, "")
    assert run("import", "*.csv", "--dataset", ages, cwd=folder, **service).returncode == 2


def test_file_with_a_name_like_a_pattern_is_taken_as_it_is(service: dict[str, str], ages: str, folder: Path) -> None:
    (folder / "a[1]*.csv").write_bytes(ages_csv(9))
    ran = run("import", folder / "a[1]*.csv", "--dataset", ages, **service)
    assert ran.stdout.startswith("a[1]*.csv: complete")


def test_standard_input_is_a_file_that_has_to_be_named(service: dict[str, str], ages: str) -> None:
    ran = run("import", "-", "--filename", "piped.csv", "--dataset", ages, stdin="age\n7\n", **service)
    assert (ran.returncode, ran.stdout[:29]) == (0, "piped.csv: complete: 1 accept")
    ran = run("import", "-", "--dataset", ages, stdin="age\n7\n", **service)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--filename NAME.csv" in ran.stderr


def test_what_a_file_and_the_schema_do_not_share_is_told_before_it_is_sent(
    service: dict[str, str], ages: str, folder: Path
) -> None:
    (folder / "wide.csv").write_bytes(b"age,h\x1bair\n7,red\n")
    ran = run("import", folder / "wide.csv", "--dataset", ages, "--json", **service)
    assert (ran.returncode, json.loads(ran.stdout)[0]["accepted_count"]) == (0, 1)
    told = "assay: wide.csv: columns that the schema doesn't name, whose values are not kept: 'h\\x1bair'"
    assert ran.stderr.splitlines() == [told]
    with on_terminal("import", folder / "wide.csv", "--dataset", ages, **service) as terminal:
        assert terminal.end() == 0
    assert terminal.plain.index("assay: wide.csv: columns that") < terminal.plain.index("wide.csv: complete")


@pytest.mark.parametrize("words", [["lines.NDJSON"], ["-", "--filename", "lines.NDJSON"]], ids=["file", "input"])
def test_json_lines_are_taken_by_their_other_ending_too(
    service: dict[str, str], ages: str, folder: Path, words: list[str]
) -> None:
    (folder / "lines.NDJSON").write_text('{"age": 7}\n')
    ran = run("import", *words, "--dataset", ages, cwd=folder, stdin='{"age": 7}\n', **service)
    assert (ran.returncode, ran.stdout[:34]) == (0, "lines.jsonl: complete: 1 accepted,")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.csv"], "Can't read nothing.csv: No such file or directory"),
        (["good.csv", "nothing.csv"], "Can't read nothing.csv"),
        (["*.tsv"], "No file matches '*.tsv'"),
        (["."], ". is a directory: name files"),
        (["-", "good.csv", "--filename", "a.csv"], "Standard input, '-', is taken alone"),
        (["schema.json"], "must end in .csv or .jsonl"),
        (["good.csv", "bad.csv", "--filename", "a.csv"], "--filename names one file"),
        (["good.csv", "--schema", "nothing.json"], "Can't read the schema nothing.json"),
        (["good.csv", "--schema", "good.csv"], "is no JSON"),
    ],
)
def test_wrong_words_stop_before_anything_is_sent(
    service: dict[str, str], client: Client, ages: str, folder: Path, words: list[str], told: str
) -> None:
    ran = run("import", *words, "--dataset", ages, cwd=folder, **service)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert run("import", *words, "--dataset", ages, "--json", cwd=folder, **service).stdout == "[]\n"
    dataset = next(found for found in client.datasets() if found.name == ages)
    assert client.dataset(dataset.id).imports == []


def test_dataset_that_is_not_there_is_told_or_made(service: dict[str, str], folder: Path) -> None:
    name = f"new {uuid4()}"
    ran = run("import", folder / "good.csv", "--dataset", name, **service)
    assert ran.returncode == 2
    assert f"There is no dataset named '{name}'" in ran.stderr
    assert "'assay dataset create' makes one" in ran.stderr
    made = run("import", folder / "good.csv", "--dataset", name, "--schema", folder / "schema.json", **service)
    assert (made.returncode, made.stderr) == (0, "")
    again = run("import", folder / "good.csv", "--dataset", name, "--schema", folder / "schema.json", **service)
    assert "3 of them duplicates" in again.stdout
    assert again.stderr == ""
    (folder / "schema.json").write_text(json.dumps({"fields": {"age": {"type": "text"}}}))
    other = run("import", folder / "good.csv", "--dataset", name, "--schema", folder / "schema.json", **service)
    assert other.returncode == 0
    assert "another schema, which is kept" in other.stderr


def test_dataset_without_a_schema_keeps_the_import_waiting(
    service: dict[str, str], client: Client, folder: Path
) -> None:
    dataset = client.create_dataset("no schema")
    ran = run("import", folder / "good.csv", "--dataset", dataset.id, **service)
    assert ran.returncode == 3
    assert f"'assay dataset schema {dataset.id} SCHEMA.json' lets the import go on" in ran.stdout
    assert run("import", folder / "good.csv", "--dataset", dataset.id, "--no-wait", **service).returncode == 0


def test_import_that_ended_at_once_has_its_exit_code_without_waiting(
    monkeypatch: pytest.MonkeyPatch, service: dict[str, str], ages: str, folder: Path
) -> None:
    """Whether it has ended by then is chance, so the waiting is done between the upload and the look."""
    look = Client.import_status

    def look_at_the_end(client: Client, dataset_id: Any, import_id: Any, **more: Any) -> Any:
        return look(client, dataset_id, import_id, **more | {"wait_seconds": 30})

    monkeypatch.setattr(Client, "import_status", look_at_the_end)
    monkeypatch.setenv("ASSAY_TOKEN", TOKEN)
    words = ["--dataset", ages, "--no-wait", "--base-url", service["ASSAY_URL"]]
    for name, code in ("good.csv", 0), ("mixed.csv", 1), ("bad.csv", 2):
        assert CliRunner().invoke(main, ["import", str(folder / name), *words]).exit_code == code


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ASSAY_TOKEN": "assay_wrong"}, "Not authenticated (401"),
        ({"ASSAY_TOKEN": ""}, "No token: set the variable ASSAY_TOKEN"),
        ({"ASSAY_TOKEN": "assay_\x1bwrong"}, "has letters that no token has"),
        ({"ASSAY_URL": "http://127.0.0.1:1"}, "'assay serve' starts one; --base-url or ASSAY_URL says where"),
        ({"ASSAY_URL": "127.0.0.1:8000"}, "must begin with http://"),
        ({"ASSAY_URL": "{ASSAY_URL}/elsewhere"}, "--base-url or ASSAY_URL says where the service is"),
    ],
)
def test_service_that_can_not_be_used_is_told_with_what_to_do(
    service: dict[str, str], folder: Path, changed: dict[str, str], told: str
) -> None:
    changed = {name: text.format(**service) for name, text in changed.items()}
    ran = run("import", folder / "good.csv", "--dataset", "any", "--json", **service | changed)
    assert (ran.returncode, ran.stdout) == (2, "[]\n")
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert "wrong" not in ran.stderr
    assert TOKEN not in ran.stderr


def test_name_with_control_characters_does_not_rearrange_the_terminal(
    service: dict[str, str], ages: str, folder: Path
) -> None:
    path = folder / "a\x1b[31m\rb\u202e.csv"
    path.write_bytes(ages_csv(1))
    with on_terminal("import", path, "--dataset", ages, **service) as terminal:
        assert terminal.end() == 2
    assert "a\ufffd[31m\ufffdb\ufffd.csv: " in terminal.plain
    assert "Bad request (400" in terminal.plain  # the service takes no such name, and says so
    assert "\x1b[31m\rb" not in terminal.text
    assert "\u202e" not in terminal.text


def test_bar_is_shown_on_a_terminal_and_is_gone_at_the_end(service: dict[str, str], ages: str, folder: Path) -> None:
    (folder / "long.csv").write_bytes(ages_csv(*range(1, 30_000)))
    with on_terminal("import", folder / "long.csv", "--dataset", ages, **service) as terminal:
        assert terminal.end() == 0
    assert "long.csv: uploading" in terminal.plain
    assert "long.csv: processing" in terminal.plain
    assert "━" in terminal.plain
    assert terminal.plain.splitlines()[-1].startswith("long.csv: complete: 29,999 accepted")
    with on_terminal("import", folder / "good.csv", "--dataset", ages, **service, NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    assert "\x1b[3" not in terminal.text


def test_later_file_that_fails_does_not_hide_what_was_imported(
    service: dict[str, str], ages: str, folder: Path
) -> None:
    (folder / ("n" * 250 + ".csv")).write_bytes(ages_csv(8))
    files = [folder / "good.csv", folder / ("n" * 250 + ".csv")]
    ran = run("import", *files, "--dataset", ages, "--json", **service)
    jobs: list[dict[str, Any]] = json.loads(ran.stdout)
    assert jobs[0]["status"] == "complete"
    assert (ran.returncode == 0) == (len(jobs) == 2)


def test_import_that_has_not_ended_can_be_cancelled(service: dict[str, str], client: Client, folder: Path) -> None:
    waiting = client.create_dataset(f"no schema {uuid4()}")
    ran = run("import", folder / "good.csv", "--dataset", waiting.name, "--no-wait", **service)
    assert ran.returncode == 0, ran.stderr
    (job,) = client.imports(waiting.id)
    ran = run("cancel", waiting.name, job.import_id, **service)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"good.csv: cancelled, nothing of it was imported  [import {job.import_id}]\n"
    (job,) = client.imports(waiting.id)
    assert (job.status, job.reason) == ("failed", "Cancelled")
    again = run("cancel", waiting.name, job.import_id, **service)
    assert (again.returncode, again.stdout) == (2, "")
    assert "has ended" in again.stderr
    assert "Traceback" not in again.stderr


def test_file_that_is_written_to_meanwhile_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, service: dict[str, str], client: Client, folder: Path
) -> None:
    monkeypatch.setenv("ASSAY_TOKEN", TOKEN)
    states = iter([(8, 1), (8, 1), (8, 2)])
    monkeypatch.setattr("assay.client_sources._state_of", lambda file: next(states))
    dataset = client.create_dataset(f"written to {uuid4()}", schema=AGES)
    words = ["import", str(folder / "good.csv"), "--dataset", dataset.name, "--base-url", service["ASSAY_URL"]]
    ran = CliRunner().invoke(main, words)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("assay: The file good.csv changed while it was read, and nothing of it is imported")
    assert [job.status for job in client.imports(dataset.id)] == ["failed"]
