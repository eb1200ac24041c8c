"""Where the output goes, and what becomes of it: closed, in other encodings, and half of it refused."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner

from assay import Client
from assay.cli import main
from assay.client_faults import ApiError
from cli.commands import COMMAND, environ_of, run
from services.callers import AGES, ages_csv
from services.serving import TOKEN

NAME = "ünï🎉"


def run_closed(closing: str, *words: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a shell runs it that has closed an output."""
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", *COMMAND, *map(str, words)]
    env = environ_of(**environment)
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=60, check=False)


def test_closed_standard_error_hinders_nothing(service: dict[str, str], client: Client, tmp_path: Path) -> None:
    dataset = client.create_dataset(f"closed {uuid4()}", schema=AGES)
    (tmp_path / "a.csv").write_bytes(ages_csv(1, 2))
    ran = run_closed("2>&-", "import", tmp_path / "a.csv", "--dataset", dataset.id, "--json", **service)
    assert (ran.returncode, json.loads(ran.stdout)[0]["accepted_count"]) == (0, 2)
    ran = run_closed("2>&-", "export", dataset.id, "-o", tmp_path / "out.csv", **service)
    assert ran.returncode == 0
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == 3
    assert run_closed("2>&-", "export", dataset.id, "-o", "out.xls", **service).returncode == 2


def test_closed_standard_output_is_told_by_what_writes_to_it(
    service: dict[str, str], client: Client, tmp_path: Path
) -> None:
    dataset = client.create_dataset(f"closed {uuid4()}", schema=AGES)
    job = client.import_file(dataset.id, io.BytesIO(ages_csv("x", 1)), filename="a.csv")
    export = ["export", dataset.id, "-o", "-", "--format", "csv"]
    errors = ["errors", dataset.id, job.import_id]
    for words in export, errors, [*errors, "--rejected", "-"]:
        ran = run_closed(">&-", *words, **service)
        assert (ran.returncode, ran.stderr[:32]) == (2, "assay: Standard output is closed")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_letters_that_an_encoding_has_not_are_escaped(service: dict[str, str], client: Client, encoding: str) -> None:
    """What was done is told all the same."""
    elsewhere = service | {"PYTHONIOENCODING": encoding}
    name = f"{NAME} {uuid4()}"
    made = json.loads(run("dataset", "create", name, "--json", **elsewhere).stdout)
    assert made["name"] == name
    words = [*COMMAND, "dataset", "show", made["id"]]
    shown = subprocess.run(words, env=environ_of(**elsewhere), capture_output=True, timeout=60, check=False)
    assert (shown.returncode, shown.stderr) == (0, b"")
    if encoding == "latin-1":
        assert shown.stdout.startswith("ünï\\U0001f389".encode("latin-1"))
    # Where all letters can be written they stand for themselves.
    assert f'"name": "{name}"' in run("dataset", "show", made["id"], "--json", **service).stdout


def test_errors_of_which_a_later_page_fails_leave_standard_output_empty(
    monkeypatch: pytest.MonkeyPatch, service: dict[str, str], client: Client
) -> None:
    dataset = client.create_dataset(f"paged {uuid4()}", schema=AGES)
    data = ages_csv(*(["x"] * 1500), 1)
    job = client.import_file(dataset.id, io.BytesIO(data), filename="a.csv")
    words = ["errors", str(dataset.id), str(job.import_id), "--json", "--base-url", service["ASSAY_URL"]]
    monkeypatch.setenv("ASSAY_TOKEN", TOKEN)
    whole = CliRunner().invoke(main, words)
    assert len(json.loads(whole.stdout)) == 1500
    request = httpx.Client.request

    def refuse_later_pages(http: httpx.Client, *places: Any, **more: Any) -> httpx.Response:
        if "cursor" in (more.get("params") or {}):
            raise ApiError(status=500, error_code=1500, title="Fault", detail="No.", request_id=None)
        return request(http, *places, **more)

    monkeypatch.setattr(httpx.Client, "request", refuse_later_pages)
    failed = CliRunner().invoke(main, words)
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert "Fault (500" in failed.stderr
