"""`assay token`: made, listed and revoked beside a running server, which takes notice at once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assay.cli import main
from services.callers import Caller
from services.processes import Process
from services.serving import TOKEN, calling, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Process]:
    with serving(folder, "--workers", "0", ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        yield process


@pytest.fixture
def caller(running: Process) -> Iterator[Caller]:
    with calling(running) as caller:
        yield caller


def token(folder: Path, *words: str, code: int = 0) -> Result:
    """The command in this process, which is another than the server's."""
    result = CliRunner().invoke(main, ["token", *words, "--data-dir", str(folder / "data")])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def made(folder: Path, *words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(token(folder, "create", "--json", *words).stdout)
    return answer


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(token(folder, "list", "--json").stdout)}


def test_new_token_works_at_once_beside_the_running_server(folder: Path, caller: Caller) -> None:
    answer = made(folder, "--name", "pipeline")
    assert answer["role"] == "writer"
    assert answer["workspace_id"] == "default"
    assert (answer["expires_at"], answer["revoked_at"]) == (None, None)
    dataset_id = Caller(caller.client, "default", answer["token"]).make_dataset()
    assert caller.read(f"/datasets/{dataset_id}")["created_by"] == "pipeline"


def test_text_is_shown_once_alone_on_standard_output(folder: Path, running: Process) -> None:
    """By the command as a script has it: a process of its own."""
    command = [sys.executable, "-m", "assay", "token", "create", "--name", "shown", "--data-dir", str(folder / "data")]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
    text = ended.stdout.strip()
    assert text.startswith("assay_")
    assert "not shown again" in ended.stderr
    assert text not in token(folder, "list").stdout
    assert text not in token(folder, "list", "--json").stdout
    files = [path for path in (folder / "data").iterdir() if path.is_file()]
    assert files
    assert not any(text.encode() in path.read_bytes() for path in files)


def test_reader_of_another_workspace_is_one(folder: Path, caller: Caller) -> None:
    answer = made(folder, "--name", "looks", "--role", "reader", "--workspace", "research")
    reader = Caller(caller.client, "research", answer["token"])
    assert reader.read("/datasets")["results"] == []
    body = {"name": "a", "workspace_id": "research"}
    assert reader.request("POST", "/datasets", json=body).status_code == 403
    assert reader.get("/datasets", workspace_id="default").status_code == 403


def test_revoked_token_is_refused_at_once(folder: Path, caller: Caller) -> None:
    answer = made(folder, "--name", "leaked")
    leaked = Caller(caller.client, "default", answer["token"])
    assert leaked.get("/datasets").status_code == 200
    assert token(folder, "revoke", answer["id"]).stdout == "Revoked.\n"
    assert leaked.get("/datasets").status_code == 401
    first = listed(folder)[answer["id"]]["revoked_at"]
    assert first is not None
    token(folder, "revoke", answer["id"])
    assert listed(folder)[answer["id"]]["revoked_at"] == first


def test_expiry_is_set_and_shown(folder: Path, running: Process) -> None:
    answer = made(folder, "--name", "for a week", "--expires-in-days", "7")
    expires = datetime.fromisoformat(answer["expires_at"])
    assert abs(expires - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=2)


def test_list_for_people_has_a_row_for_each(folder: Path, running: Process) -> None:
    answer = made(folder, "--name", "a row", "--role", "reader")
    head, *rows = token(folder, "list").stdout.splitlines()
    assert head.split() == ["ID", "WORKSPACE", "ROLE", "NAME", "CREATED", "EXPIRES", "REVOKED"]
    assert len(rows) == len(listed(folder))
    (row,) = [row for row in rows if row.startswith(answer["id"])]
    assert "reader" in row
    assert "a row" in row


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["create"], "--name"),
        (["create", "--name", "  "], "name has 1 to 255 characters"),
        (["create", "--name", "n" * 256], "name has 1 to 255 characters"),
        (["create", "--name", "a", "--role", "owner"], "owner"),
        (["create", "--name", "a", "--workspace", "no/slash"], "workspace id"),
        (["create", "--name", "a", "--workspace", ""], "workspace id"),
        (["create", "--name", "a", "--expires-in-days", "0"], "expires-in-days"),
        (["create", "--name", "a", "--expires-in-days", "-1"], "expires-in-days"),
        (["create", "--name", "a", "--expires-in-days", "1e12"], "expires-in-days"),
        (["create", "--name", "a", "--expires-in-days", "nan"], "expires-in-days"),
        (["revoke", "no-id"], "no token id"),
        (["revoke", "01a20e1e-526c-7aa9-8b01-301a0189e571"], "No token has the id"),
        (["revoke"], "TOKEN_ID"),
    ],
)
def test_bad_words_are_told_in_a_sentence(folder: Path, running: Process, words: list[str], told: str) -> None:
    before = listed(folder)
    assert told in token(folder, *words, code=2).stderr
    assert listed(folder) == before


def test_directory_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    for words in (["list"], ["create", "--name", "a"]):
        assert "There is no data directory" in token(tmp_path, *words, code=2).stderr
    assert not (tmp_path / "data").exists()
