"""`assay doctor` at healthy and broken deployments: each fault is named with what to do, and nothing is left behind."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from cli.commands import Ran, run
from services.postgresql import PostgresServer
from services.processes import free_port

CHECKS = ["database", "tables", "clock", "storage", "engine"]


BROKEN = {
    "storage": (["--storage-url", "file:///proc/nothing"], ["storage"], "Name a folder that this user can write to"),
    "database": (["--database-url", "postgresql://user:secret@127.0.0.1:1/x"], CHECKS[:3], "is --database-url right?"),
    "engine": (["--engine", "dask://127.0.0.1:1"], ["engine"], "is --engine right?"),
    "directory": (["--data-dir", "nothing"], CHECKS[:4], "'assay serve' makes it"),
}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "data"
    assert run("migrate", "--data-dir", folder).returncode == 0
    return folder


@pytest.fixture
def data(migrated: Path, tmp_path: Path) -> Path:
    """A data directory as a first start leaves it, for the purposes of the doctor."""
    return Path(shutil.copytree(migrated, tmp_path / "data"))


@pytest.fixture(scope="module", autouse=True)
def broken(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Ran]]]:
    """Every broken deployment, looked at while the other tests run: a cluster is given up after ten seconds only."""
    folder = tmp_path_factory.mktemp("broken")
    with ThreadPoolExecutor(len(BROKEN)) as threads:
        looking: dict[str, Future[Ran]] = {}
        for part, (words, _, _) in BROKEN.items():
            data = shutil.copytree(migrated, folder / part)
            looking[part] = threads.submit(run, "doctor", "--data-dir", data, "--workers", "1", "--json", *words)
        yield looking


def test_healthy_deployment_is_well(data: Path) -> None:
    ran = run("doctor", "--data-dir", data, "--workers", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = [line.split(maxsplit=2) for line in ran.stdout.splitlines()]
    assert [(name, verdict) for name, verdict, _ in lines[1:]] == [(name, "ok") for name in CHECKS]
    assert "without damage" in ran.stdout
    assert not [path for path in data.rglob("*") if "doctor" in path.name]


def test_json_has_the_same(data: Path) -> None:
    ran = run("doctor", "--data-dir", data, "--workers", "0", "--json")
    rows = json.loads(ran.stdout)
    assert [row["check"] for row in rows] == CHECKS
    assert all(row["ok"] for row in rows)
    assert ran.returncode == 0


def test_faults_of_the_database_are_told_once(data: Path) -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/x"
    ran = run("doctor", "--data-dir", data, "--workers", "0", "--database-url", url)
    assert ran.stdout.count("can't be reached") == 1
    assert ran.stdout.count("can't be known without the database") == 2


def test_file_that_is_no_database_is_not_asked_whether_it_runs(data: Path) -> None:
    (data / "assay.db").write_bytes(b"no database" * 1000)
    ran = run("doctor", "--data-dir", data, "--workers", "0")
    assert ran.returncode == 2
    assert "is not an SQLite database, or is damaged" in ran.stdout
    assert "Is it running" not in ran.stdout


def test_backup_that_was_put_over_a_crashed_services_file_is_told_of(data: Path) -> None:
    """Its old write-ahead log is played into the backup, of which it knows nothing."""
    backup = shutil.copy(data / "assay.db", data / "backup.db")
    left = {}
    with closing(sqlite3.connect(data / "assay.db")) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        rows = [(f"workspace-{number}", 0) for number in range(2000)]
        connection.executemany("INSERT INTO workspaces (id, created_at) VALUES (?, ?)", rows[:1000])
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executemany("INSERT INTO workspaces (id, created_at) VALUES (?, ?)", rows[1000:])
        connection.commit()
        left = {name: (data / name).read_bytes() for name in ("assay.db-wal", "assay.db-shm")}
    shutil.copy(backup, data / "assay.db")
    for name, content in left.items():
        (data / name).write_bytes(content)
    ran = run("doctor", "--data-dir", data, "--workers", "0", "--json")
    assert ran.returncode == 2
    (told,) = [row["detail"] for row in json.loads(ran.stdout) if not row["ok"]]
    assert "The database file is damaged: stop the service and restore a backup." in told


def test_unmigrated_postgresql_is_told_until_it_is_migrated(empty_postgresql_url: str, data: Path) -> None:
    words = ["--data-dir", data, "--workers", "0", "--database-url", empty_postgresql_url]
    before = run("doctor", *words, "--json")
    assert before.returncode == 2
    assert [row["detail"] for row in json.loads(before.stdout) if not row["ok"]] == [
        "The tables are not those of this release: run 'assay migrate'."
    ]
    assert run("migrate", *words[:2], *words[4:]).returncode == 0
    assert run("doctor", *words).returncode == 0


def test_file_that_can_be_read_and_not_written_is_told_of_by_the_doctor_and_at_the_start(data: Path) -> None:
    """Opened for reading only: the permissions of a file mean nothing to root, which may run the tests."""
    file = data / "assay.db"
    told = unwritable(data, f"sqlite:///file:{file}?mode=ro&uri=true")
    assert "-wal and -shm" in told
    assert str(file) in told


def test_server_that_can_be_read_and_not_written_is_told_of_by_the_doctor_and_at_the_start(
    empty_postgresql_url: str, postgresql: PostgresServer, data: Path
) -> None:
    assert run("migrate", "--database-url", empty_postgresql_url).returncode == 0
    postgresql.let_new_connections_write(empty_postgresql_url, False)
    told = unwritable(data, empty_postgresql_url)
    assert "takes no writes now, as a standby does" in told
    assert "Is it running" not in told


def unwritable(data: Path, database_url: str) -> str:
    """What the doctor finds of the database; a service that is started on it says the same, and ends."""
    words = ["--data-dir", data, "--workers", "0", "--database-url", database_url]
    ran = run("doctor", *words, "--json")
    assert ran.returncode == 2
    rows = {row["check"]: row["detail"] for row in json.loads(ran.stdout) if not row["ok"]}
    assert list(rows) == ["database", "tables", "clock"]
    served = run("serve", *words, "--port", "0")
    assert served.returncode == 2
    assert served.stderr == f"assay: {rows['database']}\n"
    return str(rows["database"])


def test_user_without_rights_to_the_tables_is_told_to_own_them(
    empty_postgresql_url: str, postgresql: PostgresServer, data: Path
) -> None:
    words = ["--data-dir", data, "--workers", "0", "--database-url"]
    with postgresql.user_without_rights("stranger"):
        stranger = empty_postgresql_url.replace("postgres@", "stranger@")
        migrated = run("migrate", *words[:2], words[-1], stranger)
        assert migrated.returncode == 2
        assert migrated.stderr.startswith("assay: The database's user lacks a right")
        assert run("migrate", *words[:2], words[-1], empty_postgresql_url).returncode == 0
        ran = run("doctor", *words, stranger)
        assert ran.returncode == 2
        assert "make it the owner" in ran.stdout


def test_bad_setting_is_told_in_a_sentence(data: Path) -> None:
    ran = run("doctor", "--data-dir", data, "--workers", "-1")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--workers (ASSAY_WORKERS) must be" in ran.stderr


@pytest.mark.parametrize("part", BROKEN)
def test_broken_part_is_named_with_what_to_do(broken: dict[str, Future[Ran]], part: str) -> None:
    _, ill, told = BROKEN[part]
    ran = broken[part].result()
    rows = json.loads(ran.stdout)
    assert ran.returncode == 2
    assert [row["check"] for row in rows if not row["ok"]] == ill
    assert told in " ".join(row["detail"] for row in rows)
    assert "secret" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert not Path("nothing").exists()
