"""Transactions: rolled back on error, one time each, many at once, and what they say when the database fails them."""

import sqlite3
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from assay.db import datasets, engine, tables, tokens
from assay.db.engine import CLAIM_LOCK, Database, ReadTransaction, WriteTransaction, open_database, take_turn
from assay.errors import Conflict, ErrorCode, Unavailable
from db.conftest import RACERS
from db.making import claim, make_dataset, queue_job
from db.racing import make_secret_in_process, write_in_process
from moving_clock import Clock
from services.postgresql import PostgresServer


def _count_workspaces(db: Database) -> int:
    with db.read() as tx:
        count: int = tx.connection.execute(select(func.count()).select_from(tables.workspaces)).scalar_one()
        return count


def test_what_raises_is_rolled_back_and_the_database_goes_on(database: Database) -> None:
    with pytest.raises(Conflict):
        _write_and_refuse(database)
    assert _count_workspaces(database) == 0
    make_dataset(database)
    assert _count_workspaces(database) == 1


def _write_and_refuse(db: Database) -> None:
    with db.write() as tx:
        tokens.insert_workspace(tx, "gone")
        raise Conflict("no", code=ErrorCode.STATE_CHANGED)


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(Unavailable), database.read() as tx:
        tokens.insert_workspace(WriteTransaction(tx.connection, None), "smuggled")
    assert _count_workspaces(database) == 0


def test_a_transaction_has_one_time(database: Database, clock: Clock) -> None:
    with database.write() as tx:
        first = tx.now()
        clock.advance(1)
        assert tx.now() == first
    with database.read() as tx:
        assert tx.now() == first + timedelta(seconds=1)


def test_the_databases_own_clock_is_right_and_in_utc(database_url: str) -> None:
    with closing(open_database(database_url)) as db, db.read() as tx:
        assert abs(tx.now() - datetime.now(UTC)) < timedelta(seconds=5)
        assert tx.now().tzinfo is UTC


def test_sixty_threads_are_served_at_once(database: Database) -> None:
    dataset_id = make_dataset(database)

    def use(number: int) -> bool:
        with database.write() as tx:
            tokens.insert_workspace(tx, f"workspace-{number}")
        with database.read() as tx:
            return datasets.get_dataset(tx, dataset_id) is not None

    with ThreadPoolExecutor(60) as threads:
        assert all(threads.map(use, range(240)))
    assert _count_workspaces(database) == 241


def test_with_no_connection_free_the_database_is_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.1)
    with closing(open_database(database_url)) as db:
        with pytest.raises(Unavailable, match="too busy") as raised:
            _take_all_connections(db)
        assert raised.value.code is ErrorCode.DATABASE_UNAVAILABLE


def _take_all_connections(db: Database) -> None:
    with ExitStack() as held:
        for _ in range(100):
            held.enter_context(db.read())


def test_a_lock_that_is_not_had_in_time_is_unavailable(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.1)
    with closing(open_database(database_url)) as db:
        dataset_id = make_dataset(db)
        with db.write() as tx:
            datasets.lock_dataset(tx, dataset_id)
            with pytest.raises(Unavailable, match="too busy"), db.write() as other:
                datasets.lock_dataset(other, dataset_id)


def test_a_transaction_that_stands_still_gives_its_locks_up(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped in mid-claim must not stop every other; only PostgreSQL can end its transaction."""
    monkeypatch.setattr(engine, "IDLE_IN_TRANSACTION_SECONDS", 0.3)
    with closing(open_database(postgresql_url)) as db:
        queue_job(db, make_dataset(db))
        with pytest.raises(Unavailable):
            _stand_still_while_another_claims(db)
        assert _count_workspaces(db) == 1


def _stand_still_while_another_claims(db: Database) -> None:
    with db.write() as tx:
        take_turn(tx, CLAIM_LOCK)
        assert claim(db) is not None
        tokens.insert_workspace(tx, "too late")


def test_processes_write_to_one_database_at_once(database_url: str, racers: ProcessPoolExecutor) -> None:
    start_at = time.time() + 0.5
    racing = [racers.submit(write_in_process, database_url, f"p{n}", 40, start_at) for n in range(RACERS)]
    assert sum(race.result(timeout=60) for race in racing) == 40 * RACERS
    with closing(open_database(database_url)) as db:
        assert _count_workspaces(db) == 40 * RACERS


def test_processes_agree_on_a_secret(database_url: str, racers: ProcessPoolExecutor) -> None:
    start_at = time.time() + 0.3
    racing = [racers.submit(make_secret_in_process, database_url, start_at) for _ in range(RACERS)]
    made = {race.result(timeout=60) for race in racing}
    assert len(made) == 1
    assert len(made.pop()) == 32


def test_readers_go_on_beside_a_writer(database: Database) -> None:
    with database.write() as tx:
        tokens.insert_workspace(tx, "not yet seen")
        assert _count_workspaces(database) == 0
    assert _count_workspaces(database) == 1


def test_sqlite_keeps_a_commit_through_a_power_cut(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as db, db.write() as tx:
        for pragma, expected in [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]:
            assert tx.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == expected


def test_a_restart_of_postgresql_in_mid_use_is_survived(postgresql_url: str, postgresql: PostgresServer) -> None:
    with closing(open_database(postgresql_url)) as db:
        queue_job(db, make_dataset(db))
        _read_at_once(db, count=5)  # so that the pool holds connections that will be dead
        try:
            with pytest.raises(Unavailable):
                _write_while_it_stops(db, postgresql)
            with pytest.raises(Unavailable, match="can't be reached"), db.read() as tx:
                tx.now()
        finally:
            postgresql.start()
        _read_at_once(db, count=5)
        assert claim(db) is not None
        assert _count_workspaces(db) == 1


def test_a_server_that_takes_no_writes_is_left_for_one_that_does(
    empty_postgresql_url: str, postgresql: PostgresServer
) -> None:
    """As after a failover behind one address: what was connected to the old primary would stay there for good."""
    with closing(open_database(empty_postgresql_url)) as db:
        db.migrate()
    postgresql.let_new_connections_write(empty_postgresql_url, False)
    with closing(open_database(empty_postgresql_url)) as db:
        _read_at_once(db, count=5)
        with pytest.raises(Unavailable, match="takes no writes now"):
            make_dataset(db)
        _read_at_once(db, count=5)
        postgresql.let_new_connections_write(empty_postgresql_url, True)
        with pytest.raises(Unavailable, match="takes no writes now"):
            db.require_writes()
        db.require_writes()
        make_dataset(db)


def _write_while_it_stops(db: Database, server: PostgresServer) -> None:
    with db.write() as tx:
        tokens.insert_workspace(tx, "lost")
        server.stop()
        tokens.insert_workspace(tx, "lost as well")


def _read_at_once(db: Database, *, count: int) -> None:
    met = threading.Barrier(count)

    def read(_: int) -> None:
        with db.read() as tx:
            tx.connection.execute(select(tables.workspaces)).all()
            met.wait(timeout=10)

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(read, range(count)))


def test_a_file_that_is_damaged_in_mid_use_is_unavailable(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with closing(open_database(sqlite_url)) as db:
        make_dataset(db)
    path.write_bytes(b"this is no database" * 1000)
    with closing(open_database(sqlite_url)) as db, pytest.raises(Unavailable, match="not an SQLite database") as raised:
        _count_workspaces(db)
    assert str(path) not in str(raised.value)
    assert isinstance(raised.value.__cause__.__cause__, sqlite3.DatabaseError)  # type: ignore[union-attr]


def test_the_types_tell_a_reader_from_a_writer() -> None:
    assert issubclass(WriteTransaction, ReadTransaction)
    assert not issubclass(ReadTransaction, WriteTransaction)
