"""`assay dataset`, `assay errors` and `assay export`: what a service has, shown to a person, a script and a file."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from assay import Client, MigrationUnknown
from assay.cli import main
from cli.commands import on_terminal, run
from services.callers import AGES, ages_csv
from services.serving import TOKEN, address_of

RULES: dict[str, Any] = {
    "strict": True,
    "fields": {
        "age": {"type": "integer", "exclusiveMinimum": 0, "label": "Age in years"},
        "名前": {"type": "text", "maxLength": 5, "required": False},
    },
}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(RULES))
    return path


@pytest.fixture(scope="session")
def imported(shared_server: Any) -> tuple[str, str, str]:
    """A dataset's name and id, and the id of an import of it that rejected two of five records, one of them twice."""
    with Client(address_of(shared_server), TOKEN) as client:
        dataset = client.create_dataset(f"imported {uuid4()}", schema=RULES)
        data = "age,名前\n1,Ann\nold,too long a name\n2,\n-1,Bo\n3,=1+1\n".encode()
        job = client.import_file(dataset.id, io.BytesIO(data), filename="people.csv")
        return dataset.name, str(dataset.id), str(job.import_id)


def test_dataset_is_made_listed_shown_and_deleted(service: dict[str, str], schema: Path) -> None:
    name = f"made {uuid4()}"
    made = run("dataset", "create", name, "--schema", schema, **service)
    dataset_id = made.stdout.strip()
    assert (made.returncode, made.stderr, len(dataset_id)) == (0, "", 36)
    head, *rows = run("dataset", "list", **service).stdout.splitlines()
    assert head.split() == ["ID", "NAME", "RECORDS", "CREATED"]
    assert any(row.startswith(f"{dataset_id}  {name} ") for row in rows)
    shown = json.loads(run("dataset", "show", name, "--json", **service).stdout)
    listed = json.loads(run("dataset", "list", "--json", **service).stdout)
    # The schema is one to be used again, with no more in it than it was given.
    assert shown["schema"] in [row["schema"] for row in listed if row["id"] == dataset_id]
    assert shown["schema"]["fields"]["age"]["exclusiveMinimum"] == 0
    refused = run("dataset", "delete", name, **service)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--yes deletes without asking" in refused.stderr
    assert run("dataset", "delete", dataset_id, "--yes", **service).returncode == 0
    gone = run("dataset", "show", dataset_id, **service)
    assert gone.returncode == 2
    assert "Not found (404, error code 1201)" in gone.stderr


def test_name_of_several_datasets_is_none_of_them(
    service: dict[str, str], client: Client, schema: Path, tmp_path: Path
) -> None:
    name = f"twice {uuid4()}"
    ids = {str(client.create_dataset(name).id) for _ in range(2)}
    (tmp_path / "a.csv").write_bytes(ages_csv(1))
    importing = ["import", tmp_path / "a.csv", "--dataset", name]
    for words in (
        ["dataset", "delete", name, "--yes"],
        ["dataset", "show", name],
        ["dataset", "schema", name, schema],
        ["export", name, "-o", tmp_path / "a.jsonl"],
        importing,
        [*importing, "--schema", schema],
    ):
        ran = run(*words, **service)
        assert (ran.returncode, ran.stdout) == (2, ""), words
        assert f"2 datasets are named '{name}': name it by its id" in ran.stderr
        assert all(dataset_id in ran.stderr for dataset_id in ids)
    assert {str(dataset.id) for dataset in client.datasets() if dataset.name == name} == ids
    assert all(not client.dataset(dataset_id).imports for dataset_id in ids)
    deleted = run("dataset", "delete", min(ids), "--yes", **service)
    assert deleted.stdout == f"Deleted '{name}' ({min(ids)}).\n"
    assert run("dataset", "show", name, **service).stdout.startswith(f"{name}  {max(ids)}")


def test_deletion_is_asked_for_on_a_terminal(service: dict[str, str], client: Client) -> None:
    dataset = client.create_dataset(f"asked {uuid4()}\x1b[31m")
    for answer, code, told in (b"n\n", 2, "Nothing was deleted."), (b"y\n", 0, f"({dataset.id})."):
        with on_terminal("dataset", "delete", dataset.id, **service) as terminal:
            terminal.wait_for(lambda text: "for good? [y/N]" in text, what="the question")
            terminal.type(answer)
            assert terminal.end() == code
        assert told in terminal.plain
        assert "\x1b[31m" not in terminal.text
        assert f"({dataset.id}) with 0 records" in terminal.plain


def test_show_has_the_rules_and_the_imports_in_columns(service: dict[str, str], imported: tuple[str, str, str]) -> None:
    name, dataset_id, import_id = imported
    lines = run("dataset", "show", name, **service).stdout.splitlines()
    assert lines[0] == f"{name}  {dataset_id}"
    assert lines[1] == "READY, 3 records"
    assert lines[3:6] == [
        "FIELD  TYPE     REQUIRED  RULES               LABEL",
        "age    integer  yes       exclusiveMinimum 0  Age in years",
        "名前   text     no        maxLength 5         -",
    ]
    assert lines[8].split()[:6] == [import_id, "people.csv", "partial", "3", "0", "2"]


def test_show_tells_none_of_an_import_that_has_ended_from_not_known_yet(
    service: dict[str, str], client: Client
) -> None:
    dataset = client.create_dataset(f"counted {uuid4()}")
    client.import_file(dataset.id, io.BytesIO(ages_csv(1, 1)), filename="a.csv")
    assert "  pending_schema         -           -         -  " in run("dataset", "show", dataset.id, **service).stdout
    client.set_schema(dataset.id, AGES)
    client.wait_for_import(dataset.id, next(client.imports(dataset.id)).import_id)
    assert "  complete         2           1         0  " in run("dataset", "show", dataset.id, **service).stdout


def test_name_is_not_given_to_a_second_dataset_unasked(service: dict[str, str], client: Client) -> None:
    """A script that runs again makes no second one, which would leave the name to neither."""
    name = f"once {uuid4()}"
    first = run("dataset", "create", name, **service).stdout.strip()
    ran = run("dataset", "create", name, **service)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"There is a dataset named '{name}', {first}." in ran.stderr
    second = run("dataset", "create", name, "--another", **service).stdout.strip()
    assert [str(dataset.id) for dataset in client.datasets() if dataset.name == name] == [second, first]


def test_first_schema_lets_imports_go_on_and_a_bad_one_is_refused(
    service: dict[str, str], client: Client, schema: Path, tmp_path: Path
) -> None:
    dataset = client.create_dataset(f"later {uuid4()}")
    assert "No schema yet" in run("dataset", "show", dataset.id, **service).stdout
    assert run("dataset", "schema", dataset.id, schema, **service).stdout.startswith("The schema is set.\n")
    bad = tmp_path / "bad.json"
    bad.write_text('{"fields": {"age": {"type": "whole"}}}')
    ran = run("dataset", "schema", dataset.id, bad, **service)
    assert ran.returncode == 2
    assert "age" in ran.stderr
    assert "whole" in ran.stderr


def test_another_schema_tells_what_the_records_lost(service: dict[str, str], client: Client, tmp_path: Path) -> None:
    dataset = client.create_dataset(f"changed {uuid4()}", schema={"fields": {"age": {"type": "text"}}})
    client.import_file(dataset.id, io.BytesIO(b"age\n1\nold\n3\n"), filename="a.csv")
    stricter = tmp_path / "stricter.json"
    stricter.write_text('{"fields": {"age": {"type": "integer"}}}')
    ran = run("dataset", "schema", dataset.id, stricter, **service)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "3 records are under it, and 1 lost a value." in ran.stdout
    assert ran.stdout.endswith("age    Value must be an integer\n")
    wider = tmp_path / "wider.json"
    wider.write_text('{"fields": {"age": {"type": "text"}, "name": {"type": "text"}}}')
    with on_terminal("dataset", "schema", dataset.id, wider, **service) as terminal:
        terminal.wait_for(lambda text: "becomes null. [y/N]" in text, what="the question")
        terminal.type(b"n\n")
        assert terminal.end() == 2
    assert "name" not in client.dataset(dataset.id).schema.fields
    assert run("dataset", "schema", dataset.id, wider, **service).returncode == 0
    assert [point.data["age"] for point in client.datapoints(dataset.id)] == ["1", "old", "3"]


def test_schema_that_drops_fields_of_records_names_them_and_is_not_set_unasked(
    service: dict[str, str], client: Client, tmp_path: Path
) -> None:
    both = {"fields": {"age": {"type": "text"}, "home town": {"type": "text"}, "name": {"type": "text"}}}
    dataset = client.create_dataset(f"dropped {uuid4()}", schema=both)
    fewer = tmp_path / "fewer.json"
    fewer.write_text('{"fields": {"age": {"type": "text"}}}')
    assert run("dataset", "schema", dataset.id, fewer, **service).returncode == 0  # there are no records
    client.set_schema(dataset.id, both)
    client.import_file(dataset.id, io.BytesIO(b"age,home town,name\n1,Bonn,Ann\n"), filename="a.csv")
    refused = run("dataset", "schema", dataset.id, fewer, **service)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines() == [
        "Fields that the new schema has not: home town, name.",
        "assay: The schema is as it was: there is nobody to ask. --yes sets it without asking.",
    ]
    assert list(client.dataset(dataset.id).schema.fields) == ["age", "home town", "name"]
    ran = run("dataset", "schema", dataset.id, fewer, "--yes", **service)
    assert (ran.returncode, ran.stderr) == (0, "Fields that the new schema has not: home town, name.\n")
    assert "Gone from the dataset until a schema has them again: the values of home town, name.\n" in ran.stdout
    assert [point.data for point in client.datapoints(dataset.id)] == [{"age": "1"}]


def test_schema_whose_answer_was_lost_is_no_success(
    monkeypatch: pytest.MonkeyPatch, service: dict[str, str], client: Client, schema: Path
) -> None:
    def lose(_: Client, dataset_id: UUID, schema: Any) -> None:
        raise MigrationUnknown(dataset_id)

    dataset = client.create_dataset(f"lost {uuid4()}")
    monkeypatch.setattr(Client, "set_schema", lose)
    monkeypatch.setenv("ASSAY_TOKEN", TOKEN)
    words = ["dataset", "schema", str(dataset.id), str(schema), "--yes", "--base-url", service["ASSAY_URL"]]
    ran = CliRunner().invoke(main, words)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "lost values under it is not known" in ran.stderr


def test_errors_are_tabs_in_a_pipe_a_table_on_a_terminal_and_one_list_in_json(
    service: dict[str, str], imported: tuple[str, str, str]
) -> None:
    name, _, import_id = imported
    wanted = [
        (1, "age", "Value must be an integer"),
        (1, "名前", "Value must be at most 5 characters"),
        (3, "age", "Value must be a positive integer"),
    ]
    tabs = run("errors", name, import_id, **service)
    rows = list(csv.reader(tabs.stdout.splitlines(), delimiter="\t"))
    assert rows == [["RECORD", "FIELD", "REASON"], *[[str(row), field, reason] for row, field, reason in wanted]]
    listed = json.loads(run("errors", name, import_id, "--json", **service).stdout)
    assert [tuple(row.values()) for row in listed] == wanted
    with on_terminal("errors", name, import_id, **service) as terminal:
        assert terminal.end() == 0
    assert terminal.plain.splitlines()[:2] == [
        "RECORD  FIELD  REASON",
        "     1  age    Value must be an integer",
    ]


def test_import_without_errors_has_an_empty_list(service: dict[str, str], client: Client) -> None:
    dataset = client.create_dataset("all good", schema=AGES)
    job = client.import_file(dataset.id, io.BytesIO(ages_csv(1)), filename="a.csv")
    assert json.loads(run("errors", dataset.id, job.import_id, "--json", **service).stdout) == []
    assert run("errors", dataset.id, job.import_id, **service).stdout == "RECORD\tFIELD\tREASON\n"


def test_import_that_failed_as_a_whole_has_its_reason_for_errors(
    service: dict[str, str], client: Client, tmp_path: Path
) -> None:
    dataset = client.create_dataset("of another schema", schema=AGES)
    job = client.import_file(dataset.id, io.BytesIO(b"years\n1\n"), filename="a.csv")
    for more in ([], ["--json"], ["--rejected", tmp_path / "r.csv"], ["--rejected", "-"]):
        ran = run("errors", dataset.id, job.import_id, *more, **service)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "The header lacks a column that the schema requires: age" in ran.stderr
    assert not (tmp_path / "r.csv").exists()


def test_errors_of_an_import_that_has_not_ended_are_not_there_yet(
    service: dict[str, str], client: Client, tmp_path: Path
) -> None:
    dataset = client.create_dataset("without a schema so far")
    job = client.import_file(dataset.id, io.BytesIO(ages_csv(1)), filename="a.csv")
    ran = run("errors", dataset.id, job.import_id, "--rejected", tmp_path / "r.csv", **service)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "pending_schema; what it rejects is known when it has ended" in ran.stderr
    assert not (tmp_path / "r.csv").exists()


def test_errors_of_no_import_leave_standard_output_empty(
    service: dict[str, str], imported: tuple[str, str, str]
) -> None:
    for import_id in ("nonsense", str(uuid4())):
        ran = run("errors", imported[0], import_id, **service)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "Not found (404" in ran.stderr


def test_rejected_records_are_saved_as_they_stood(
    service: dict[str, str], imported: tuple[str, str, str], tmp_path: Path
) -> None:
    name, _, import_id = imported
    ran = run("errors", name, import_id, "--rejected", tmp_path / "r.csv", **service)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert (tmp_path / "r.csv").read_text() == "age,名前\nold,too long a name\n-1,Bo\n"


def test_export_goes_by_the_ending_or_to_standard_output(
    service: dict[str, str], imported: tuple[str, str, str], tmp_path: Path
) -> None:
    name, _, _ = imported
    for ending, start in ("csv", b"datapoint_id,"), ("jsonl", b'{"datapoint_id"'), ("parquet", b"PAR1"):
        path = tmp_path / f"out.{ending.upper()}"
        ran = run("export", name, "-o", path, **service)
        assert (ran.returncode, ran.stdout) == (0, "")
        assert ran.stderr == f"{path} ({path.stat().st_size:,} bytes)\n"
        assert path.read_bytes().startswith(start)
    piped = run("export", name, "-o", "-", "--format", "jsonl", **service)
    assert [json.loads(line)["age"] for line in piped.stdout.splitlines()] == [1, 2, 3]
    assert piped.stderr == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "out.xls"], "must end in .parquet, .jsonl, .csv or .arrow"),
        (["-o", "-"], "or name a --format"),
        (["-o", "no/such/out.csv"], "Can't read or write no/such/out.csv: No such file or directory"),
        (["-o", "out.csv", "--format", "xls"], "'xls' is not one of"),
    ],
)
def test_export_that_can_not_be_written_is_told(
    service: dict[str, str], imported: tuple[str, str, str], tmp_path: Path, words: list[str], told: str
) -> None:
    ran = run("export", imported[0], *words, cwd=tmp_path, **service)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_token_has_no_option(service: dict[str, str]) -> None:
    """Every user of a machine can read a process's options."""
    for command in ["dataset", "list"], ["import"], ["errors"], ["export"]:
        assert "--token" not in run(*command, "--help").stdout
