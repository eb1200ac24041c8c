"""`assay workspace`, `assay job` and `assay migrate`: on the database itself, beside a running service."""

import io
import json
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from assay import Client
from assay.db.engine import _alembic_config, open_database, own_revision
from cli.commands import run
from services.callers import AGES, ages_csv
from services.processes import Process
from services.serving import TOKEN, address_of


@pytest.fixture
def data(shared_server: Process) -> Path:
    """The shared server's data directory."""
    return Path(shared_server.command[shared_server.command.index("--data-dir") + 1])


def test_workspace_is_made_and_listed_with_what_is_in_it(data: Path, client: Client) -> None:
    client.create_dataset("in the default workspace")
    made = run("workspace", "create", "research", "--data-dir", data)
    assert (made.returncode, made.stdout, made.stderr) == (0, "research\n", "")
    rows = {row["id"]: row for row in json.loads(run("workspace", "list", "--json", "--data-dir", data).stdout)}
    assert rows["research"] == {"id": "research", "datasets": 0, "tokens": 0}
    assert rows["default"]["datasets"] >= 1
    lines = run("workspace", "list", "--data-dir", data).stdout.splitlines()
    assert lines[0].split() == ["WORKSPACE", "DATASETS", "TOKENS"]
    assert ["research", "0", "0"] in [line.split() for line in lines]


def test_token_of_a_workspace_imports_there(
    data: Path, service: dict[str, str], shared_server: Process, tmp_path: Path
) -> None:
    token = run("token", "create", "--workspace", "team", "--name", "t", "--data-dir", data).stdout.strip()
    (tmp_path / "a.csv").write_bytes(ages_csv(1))
    (tmp_path / "s.json").write_text(json.dumps(AGES))
    words = ["import", "a.csv", "--dataset", "theirs", "--schema", "s.json"]
    refused = run(*words, "--workspace", "other", cwd=tmp_path, **service | {"ASSAY_TOKEN": token})
    assert refused.returncode == 2
    assert "Not allowed (403" in refused.stderr
    assert "'assay token list'" in refused.stderr
    done = run(*words, cwd=tmp_path, **service | {"ASSAY_TOKEN": token})
    assert done.returncode == 0
    with Client(address_of(shared_server), token) as client:
        assert [dataset.name for dataset in client.datasets()] == ["theirs"]


def test_history_of_an_import_is_shown(data: Path, client: Client) -> None:
    dataset = client.create_dataset("with a history", schema=AGES)
    job = client.import_file(dataset.id, io.BytesIO(ages_csv(1)), filename="a.csv")
    events: list[dict[str, Any]] = json.loads(run("job", "show", job.import_id, "--json", "--data-dir", data).stdout)
    states = [event["to"] for event in events]
    assert (states[0], states[-2:]) == ("uninitialised", ["processing", "complete"])
    table = run("job", "show", job.import_id, "--data-dir", data).stdout.splitlines()
    assert table[0].split() == ["AT", "FROM", "TO", "ATTEMPT", "REASON"]
    assert len(table) == 1 + len(events)


@pytest.mark.parametrize("identifier", ["nonsense", "01a20e1e-526c-7aa9-8b01-301a0189e571"])
def test_import_that_is_not_there_is_told(data: Path, identifier: str) -> None:
    ran = run("job", "show", identifier, "--data-dir", data)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"assay: There is no import {identifier}.\n"


def test_data_directory_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    for words in ["workspace", "list"], ["workspace", "create", "a"], ["job", "show", "a"], ["token", "list"]:
        ran = run(*words, "--data-dir", "nothing", cwd=tmp_path)
        assert ran.returncode == 2
        assert "There is no data directory at nothing. Name it with --data-dir" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_migrate_makes_what_is_missing_and_may_be_repeated(tmp_path: Path) -> None:
    made = f"Made a new database at {tmp_path / 'new' / 'assay.db'}.\n"
    for told in made, f"The database is up to date, with tables of revision {own_revision()}.\n":
        ran = run("migrate", "--data-dir", tmp_path / "new")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, told, "")
    assert run("workspace", "list", "--data-dir", tmp_path / "new").returncode == 0
    by_url = run("migrate", "--database-url", f"sqlite:///{tmp_path}/other.db?timeout=5")
    assert by_url.stdout == f"Made a new database at {tmp_path}/other.db.\n"
    assert (tmp_path / "other.db").exists()


def test_migrate_says_from_which_tables_to_which(tmp_path: Path) -> None:
    run_migrate = partial(run, "migrate", "--data-dir", tmp_path)
    (tmp_path / "assay.db").touch()
    assert run_migrate().stdout == f"Made the tables, of revision {own_revision()}.\n"
    (tmp_path / "assay.db").unlink()
    with closing(open_database(f"sqlite:///{tmp_path / 'assay.db'}")) as db, db.write() as tx:
        to_older = _alembic_config()
        to_older.attributes["connection"] = tx.connection
        command.upgrade(to_older, "0008")
    assert run_migrate().stdout == f"Migrated from revision 0008 to {own_revision()}.\n"
    assert run_migrate().stdout == f"The database is up to date, with tables of revision {own_revision()}.\n"


def test_data_directory_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("migrate", "--data-dir", tmp_path / "file" / "data")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "can't be made" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_token_is_never_among_the_tables(data: Path) -> None:
    assert TOKEN not in run("token", "list", "--data-dir", data).stdout
