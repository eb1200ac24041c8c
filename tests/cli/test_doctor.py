"""`assay doctor` at healthy and broken deployments: each fault is named with what to do, and nothing is left behind."""

import json
from pathlib import Path

import pytest

from cli.commands import run
from services.processes import free_port

CHECKS = ["database", "tables", "clock", "storage", "engine"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory as a first start leaves it, for the purposes of the doctor."""
    folder = tmp_path / "data"
    assert run("migrate", "--data-dir", folder).stdout == "The database is up to date.\n"
    return folder


def test_healthy_deployment_is_well(data: Path) -> None:
    ran = run("doctor", "--data-dir", data, "--workers", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = [line.split(maxsplit=2) for line in ran.stdout.splitlines()]
    assert [(name, verdict) for name, verdict, _ in lines[1:]] == [(name, "ok") for name in CHECKS]
    assert not [path for path in data.rglob("*") if "doctor" in path.name]


def test_json_has_the_same(data: Path) -> None:
    ran = run("doctor", "--data-dir", data, "--workers", "0", "--json")
    rows = json.loads(ran.stdout)
    assert [row["check"] for row in rows] == CHECKS
    assert all(row["ok"] for row in rows)
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("words", "ill", "told"),
    [
        (["--storage-url", "file:///proc/nothing"], ["storage"], "Name a folder that this user can write to"),
        (["--database-url", "postgresql://user:secret@127.0.0.1:1/x"], CHECKS[:3], "is --database-url right?"),
        (["--engine", "dask://127.0.0.1:1"], ["engine"], "is --engine right?"),
        (["--data-dir", "nothing"], CHECKS[:4], "'assay serve' makes it"),
    ],
)
def test_broken_part_is_named_with_what_to_do(data: Path, words: list[str], ill: list[str], told: str) -> None:
    ran = run("doctor", "--data-dir", data, "--workers", "1", "--json", *words)
    rows = json.loads(ran.stdout)
    assert ran.returncode == 2
    assert [row["check"] for row in rows if not row["ok"]] == ill
    assert told in " ".join(row["detail"] for row in rows)
    assert "secret" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert not Path("nothing").exists()


def test_faults_of_the_database_are_told_once(data: Path) -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/x"
    ran = run("doctor", "--data-dir", data, "--workers", "0", "--database-url", url)
    assert ran.stdout.count("can't be reached") == 1
    assert ran.stdout.count("can't be known without the database") == 2


def test_unmigrated_postgresql_is_told_until_it_is_migrated(empty_postgresql_url: str, data: Path) -> None:
    words = ["--data-dir", data, "--workers", "0", "--database-url", empty_postgresql_url]
    before = run("doctor", *words, "--json")
    assert before.returncode == 2
    assert [row["detail"] for row in json.loads(before.stdout) if not row["ok"]] == [
        "The tables are not those of this release: run 'assay migrate'."
    ]
    assert run("migrate", *words[:2], *words[4:]).returncode == 0
    assert run("doctor", *words).returncode == 0


def test_bad_setting_is_told_in_a_sentence(data: Path) -> None:
    ran = run("doctor", "--data-dir", data, "--workers", "-1")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--workers (ASSAY_WORKERS) must be" in ran.stderr
