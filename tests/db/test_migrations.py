"""Migrations: they make what the tables say, in any number of processes, and know what is not theirs."""

import hashlib
import inspect
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from assay.db import datasets
from assay.db.engine import Database, open_database
from assay.db.rejection_parts import list_rejection_parts
from assay.db.tables import metadata
from assay.errors import Invalid, Unavailable
from db.conftest import RACERS
from db.making import claim_surely, complete, make_dataset, queue_job
from db.racing import migrate_in_process

VERSIONS = Path(inspect.getfile(Database)).parent / "migrations" / "versions"
# What SHA-256 makes of each, cut short. One that has landed is in somebody's database and is never changed.
LANDED = {
    "0001_first_tables.py": "f57cfc1d82030972",
    "0002_loose_files.py": "2a8cef7ca1a01ab2",
    "0003_deletions.py": "dcf7e65d1f886167",
    "0004_webhooks.py": "233ce9e959f0fe02",
    "0005_footer_hashes.py": "a2bf28dbb99e423c",
    "0006_waits.py": "7c37de6bdf6de4e6",
    "0007_deliveries_by_event.py": "2a08089c6960bd1a",
    "0008_jobs_without_upload.py": "f2eafc43ae70b4e0",
    "0009_ended_sessions.py": "05bf147b9fc4eda3",
}
INDICES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that was never migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    with closing(open_database(empty_url)) as db:
        yield db


def test_migrations_that_have_landed_are_as_they_were() -> None:
    """A database that ran one before it was changed never gets what was added to it."""
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in VERSIONS.glob("*.py")}
    changed = sorted(name for name, digest in LANDED.items() if found.get(name) != digest)
    assert not changed, f"{changed}: put these back as they were, and write a new migration for what is to change"
    new = {name: digest for name, digest in sorted(found.items()) if name not in LANDED}
    assert not new, f"add the new migrations to LANDED, so that nobody changes them from now on: {new}"


def test_migrations_make_exactly_the_tables_that_the_code_knows(database: Database) -> None:
    with database.read() as tx:
        context = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrations_make_the_same_indices_as_the_tables_conditions_included(empty: Database) -> None:
    with empty.write() as tx:
        metadata.create_all(tx.connection)
        expected = _indices(tx.connection)
        metadata.drop_all(tx.connection)
    empty.migrate()
    with empty.read() as tx:
        migrated = _indices(tx.connection)
    migrated.pop("alembic_version_pkc", None)
    assert migrated == expected
    assert "files_swept IS" in migrated["jobs_unswept"]


def _indices(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text(INDICES[connection.dialect.name]))
    return {name: re.sub(r"\s+", " ", definition) for name, definition in rows}


def test_an_empty_database_is_not_migrated_until_it_is(empty: Database) -> None:
    assert not empty.is_migrated()
    with pytest.raises(Unavailable, match="run `assay migrate`"):
        empty.require_migrated()
    empty.migrate()
    assert empty.is_migrated()
    empty.require_migrated()
    make_dataset(empty)


def test_migrating_again_changes_nothing(database: Database) -> None:
    make_dataset(database)
    database.migrate()
    assert database.is_migrated()
    with database.read() as tx:
        assert tx.connection.execute(text("SELECT count(*) FROM datasets")).scalar_one() == 1


def test_processes_may_migrate_at_once(empty_url: str, racers: ProcessPoolExecutor) -> None:
    start_at = time.time() + 0.3
    racing = [racers.submit(migrate_in_process, empty_url, start_at) for _ in range(RACERS)]
    assert [race.result(timeout=60) for race in racing] == [True] * RACERS


def test_a_database_that_was_not_migrated_says_what_to_run(empty: Database) -> None:
    with pytest.raises(Unavailable, match="run `assay migrate`"):
        make_dataset(empty)


def test_a_table_of_an_older_release_says_what_to_run(empty: Database) -> None:
    empty.migrate()
    with empty.write() as tx:
        tx.connection.execute(text("ALTER TABLE datasets DROP COLUMN created_by"))
    with pytest.raises(Unavailable, match="run `assay migrate`"):
        make_dataset(empty)


def test_a_database_of_a_newer_release_is_refused(empty: Database) -> None:
    empty.migrate()
    with empty.write() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuse in (empty.is_migrated, empty.require_migrated, empty.migrate):
        with pytest.raises(Unavailable, match=r"newer release of Assay .*9999.* Upgrade Assay"):
            refuse()


def test_a_database_of_something_else_is_refused_and_left_alone(empty: Database) -> None:
    with empty.write() as tx:
        tx.connection.execute(text("CREATE TABLE jobs (title TEXT)"))
    with pytest.raises(Invalid, match="give Assay a database of its own"):
        empty.migrate()
    assert not empty.is_migrated()
    with empty.read() as tx:
        assert tx.connection.execute(text("SELECT title FROM jobs")).all() == []
    with pytest.raises(Unavailable):
        make_dataset(empty)


def test_a_migration_that_breaks_off_leaves_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade_and_break(config: object, revision: str) -> None:
        upgrade(config, revision)
        raise KeyboardInterrupt

    from alembic import command

    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", upgrade_and_break)
    with pytest.raises(KeyboardInterrupt):
        empty.migrate()
    assert not empty.is_migrated()
    with pytest.raises(Unavailable):
        make_dataset(empty)


def test_parts_of_a_release_that_hashed_no_footers_go_on_without(empty: Database) -> None:
    empty.migrate()
    queue_job(empty, dataset_id := make_dataset(empty))
    complete(empty, claim_surely(empty), 3, faults=(2,))
    with empty.write() as tx:
        for table in ("parts", "rejection_parts"):
            tx.connection.execute(text(f"ALTER TABLE {table} DROP COLUMN footer_hash"))
        tx.connection.execute(text("ALTER TABLE jobs DROP COLUMN wait_count"))
        tx.connection.execute(text("DROP TABLE ended_sessions"))
        tx.connection.execute(text("ALTER TABLE webhook_endpoints DROP COLUMN last_claimed_at"))
        newer = (
            "one_delivery_per_event",
            "webhook_deliveries_due_of_endpoint",
            "jobs_without_upload",
            "jobs_by_expiry",
        )
        for index in newer:
            tx.connection.execute(text(f"DROP INDEX {index}"))
        tx.connection.execute(
            text("CREATE UNIQUE INDEX one_delivery_per_job ON webhook_deliveries (endpoint_id, job_id)")
        )
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    empty.migrate()
    with empty.read() as tx:
        (part,) = datasets.list_parts(tx, dataset_id, from_row=0, limit=10)
        assert (part.record_count, part.footer_hash) == (3, None)
        (rejections,) = list_rejection_parts(tx, part.import_id, from_fault=0, limit=10)
        assert (rejections.fault_count, rejections.footer_hash) == (2, None)
