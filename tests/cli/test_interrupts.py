"""Ctrl-C, and readers that go away: how a command ends, what it leaves behind, and what it says of that."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from assay import Client
from cli.commands import COMMAND, Terminal, environ_of, on_terminal
from services.callers import AGES, ages_csv, wait_until
from services.processes import descendants, is_alive


def started(terminal: Terminal, what: str) -> None:
    """Until the bar of that stage has been seen."""
    terminal.wait_for(lambda text: what in text, what=what)


def test_ctrl_c_while_uploading_cancels_the_import(service: dict[str, str], client: Client, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(4 << 30)  # it has holes, and takes no room
    dataset = client.create_dataset(f"interrupted {uuid4()}", schema=AGES)
    with on_terminal("import", path, "--dataset", dataset.id, **service) as terminal:
        started(terminal, "large.csv: uploading")
        terminal.press_ctrl_c()
        assert terminal.end() == 130
    (job,) = client.imports(dataset.id)
    assert (job.status, job.reason) == ("failed", "Cancelled")
    last = " ".join(terminal.plain.split())
    assert last.endswith(
        f"assay: Interrupted while uploading: import {job.import_id} is cancelled, nothing of it was imported."
    )
    assert "Traceback" not in terminal.text


def test_ctrl_c_while_processing_says_that_it_goes_on(service: dict[str, str], client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(ages_csv(*range(1, 400_000)))
    dataset = client.create_dataset(f"interrupted {uuid4()}", schema=AGES)
    with on_terminal("import", path, "--dataset", dataset.id, **service) as terminal:
        started(terminal, "long.csv: processing")
        terminal.press_ctrl_c()
        assert terminal.end() == 130
    (job,) = client.imports(dataset.id)
    last = " ".join(terminal.plain.split())
    assert f"Interrupted. Import {job.import_id} is processing and goes on without you" in last
    assert last.endswith(
        f"'assay dataset show {dataset.id}' shows it, 'assay cancel {dataset.id} {job.import_id}' ends it."
    )
    assert client.wait_for_import(dataset.id, job.import_id, timeout_seconds=60).accepted_count == 399_999


@pytest.mark.parametrize("moment", ["while children start", "in the midst"])
def test_ctrl_c_while_checking_ends_the_children_and_leaves_no_output(tmp_path: Path, moment: str) -> None:
    path, schema = tmp_path / "long.csv", tmp_path / "schema.json"
    path.write_bytes(b"age,filler\n" + (b"1," + b"x" * 8000 + b"\n") * 20_000)
    schema.write_text('{"fields": {"age": {"type": "integer"}}}')
    outputs = ["--accepted", tmp_path / "a.parquet", "--rejected", tmp_path / "r.csv"]
    with on_terminal("check", path, "--schema", schema, "--processes", "2", *outputs) as terminal:
        if moment == "in the midst":
            started(terminal, "long.csv: checking")
        else:
            deadline = time.monotonic() + 30
            while len(descendants(terminal.popen.pid)) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
        family = descendants(terminal.popen.pid)
        assert family
        terminal.press_ctrl_c()
        assert terminal.end() == 130
    wait_until(lambda: not any(is_alive(member) for member in family), what="the children have ended")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["long.csv", "schema.json"]
    assert "assay: Interrupted." in terminal.plain
    assert "Traceback" not in terminal.text


def test_reader_that_goes_away_ends_the_command_quietly(
    service: dict[str, str], client: Client, tmp_path: Path
) -> None:
    dataset = client.create_dataset(f"long list {uuid4()}", schema=AGES)
    path = tmp_path / "bad.csv"
    path.write_bytes(ages_csv(*(-number for number in range(20_000)), 1))
    job = client.import_file(dataset.id, path)
    for words in ["errors", dataset.id, job.import_id], ["errors", dataset.id, job.import_id, "--json"]:
        popen = subprocess.Popen(
            [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ_of(**service)
        )
        assert popen.stdout is not None
        assert popen.stderr is not None
        popen.stdout.read(10)
        popen.stdout.close()
        assert popen.stderr.read() == b""
        popen.stderr.close()
        assert popen.wait(30) == 141


def test_ctrl_c_when_all_is_said_ends_the_command_without_a_word(tmp_path: Path) -> None:
    """While Python itself ends, which takes a tenth of a second."""
    script = """
import atexit, os, signal
from assay.__main__ import run
atexit.register(os.kill, os.getpid(), signal.SIGINT)
run()
"""
    ran = subprocess.run([sys.executable, "-c", script, "--version"], env=environ_of(), capture_output=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (-signal.SIGINT, b"")
    assert ran.stdout.startswith(b"assay, version")
