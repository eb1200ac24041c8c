"""Opens SQLite or PostgreSQL and hands out transactions. The only place that asks which engine it is.

`read()` and `write()` yield different types, so that what only reads can't write by accident.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, ExceptionContext, Table, create_engine, delete, event, false, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from assay.db.faults import DAMAGED_FILE, OTHER_TABLES, READ_ONLY, explained, translated
from assay.db.tables import Time, workspaces
from assay.errors import AssayError, ErrorCode, Invalid, Unavailable

Clock = Callable[[], datetime]
WAIT_SECONDS = 15  # for a lock, or for a free connection of the pool
# A process that is stopped in mid-transaction loses its connection, and with it its locks, before the others give up.
IDLE_IN_TRANSACTION_SECONDS = 10
# An address that nothing answers at, and a server that went away without a word, are noticed in this time.
CONNECT_SECONDS = 10
MIGRATION_LOCK = 0x61737361  # any numbers will do, as long as nobody else in the database uses them
CLAIM_LOCK = 0x61737362
BOOTSTRAP_LOCK = 0x61737363
WEBHOOK_LOCK = 0x61737364


@dataclass(frozen=True)
class ReadTransaction:
    """A consistent view of the database."""

    connection: Connection
    clock: Clock | None

    def now(self) -> datetime:
        """The time by the database's clock, or by the one injected: one for the whole transaction, read when asked."""
        return self._time

    @cached_property
    def _time(self) -> datetime:
        if self.clock is not None:
            return self.clock()
        if self.connection.dialect.name == "postgresql":
            statement = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now")
            time: datetime = self.connection.execute(statement.columns(now=Time)).scalar_one()
            return time
        return datetime.now(UTC)


@dataclass(frozen=True)
class WriteTransaction(ReadTransaction):
    """A transaction that may write; it is committed when its block ends, and rolled back when that raises."""


def insert_unless_there(tx: WriteTransaction, table: Table, **values: Any) -> None:
    """Insert a row unless one of its key is there; both engines know ON CONFLICT, SQLAlchemy has it per engine only."""
    make = postgresql.insert if tx.connection.dialect.name == "postgresql" else sqlite.insert
    tx.connection.execute(make(table).values(**values).on_conflict_do_nothing())


def take_turn(tx: WriteTransaction, lock: int) -> None:
    """Wait until no other transaction holds that lock, and hold it to the end of this one.

    On SQLite every write transaction has taken its turn already.
    """
    if tx.connection.dialect.name == "postgresql":
        tx.connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def hold_off(tx: WriteTransaction, lock: int) -> None:
    """Wait until nobody has taken that turn, and let nobody take it to the end of this transaction; others may too."""
    if tx.connection.dialect.name == "postgresql":
        tx.connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": lock})


class Database:
    """Holds the connection pool. Safe to share between threads, not between processes."""

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        self._engine = engine
        self._clock = clock

    @property
    def name(self) -> str:
        """`sqlite` or `postgresql`, for people to read."""
        return self._engine.dialect.name

    @property
    def is_remote(self) -> bool:
        """Whether it may be out of reach for one process while others have it again."""
        return self.name != "sqlite"

    @contextmanager
    def read(self) -> Iterator[ReadTransaction]:
        """All statements see the database as it was at the first one."""
        with self._begin(_READING[self.name]) as connection:
            yield ReadTransaction(connection, self._clock)

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        """On PostgreSQL every statement sees what is committed by then, so that what waited for a lock sees why."""
        with self._begin(_WRITING[self.name]) as connection:
            yield WriteTransaction(connection, self._clock)

    @contextmanager
    def _begin(self, options: dict[str, Any]) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
        except (DBAPIError, NoConnectionFree) as error:
            fault = translated(error)
            if fault is None:
                raise
            raise fault from error

    def migrate(self) -> tuple[str | None, str | None]:
        """Bring the tables up to this release; safe when several processes do it at once. Their revision before and
        after; None where there were no tables.

        What stands in the way is told with the database's address: this is the operator's call, no client's.
        """
        with self._for_operator(), self.write() as tx:
            take_turn(tx, MIGRATION_LOCK)
            before = _refuse_newer(tx)
            config = _alembic_config()
            config.attributes["connection"] = tx.connection
            command.upgrade(config, "head")
        return before, own_revision()

    def is_migrated(self) -> bool:
        """Whether the tables are those of this release; `Unavailable` when they are a newer one's."""
        with self.read() as tx:
            return _refuse_newer(tx) == own_revision()

    def require_migrated(self) -> None:
        """Raise when the tables are not those of this release; told as `migrate` tells it, for the operator."""
        with self._for_operator():
            if not self.is_migrated():
                raise Unavailable(OTHER_TABLES, code=ErrorCode.DATABASE_UNAVAILABLE)

    def require_writes(self) -> None:
        """Raise `Unavailable` where a server takes no writes, as a standby. SQLite is not asked: that would take a turn
        among its writers."""
        if self.is_remote:
            with self.write() as tx:
                tx.connection.execute(delete(workspaces).where(false()))

    def try_write(self) -> None:
        """Write a row and take it back. Told as `migrate` tells it, but for missing tables: others look for those."""
        with self._for_operator():
            try:
                with self.write() as tx:
                    insert_unless_there(tx, workspaces, id=f"try-{uuid4()}", created_at=tx.now())
                    tx.connection.rollback()
            except Unavailable as error:
                if error.message != OTHER_TABLES:
                    raise

    @contextmanager
    def _for_operator(self) -> Iterator[None]:
        try:
            yield
        except AssayError as error:
            raise explained(error, self._engine.url) from error

    def check_for_damage(self, *, within_seconds: float) -> bool:
        """Raise `Unavailable` for damage to SQLite's file. False where not all of it was looked at: a large file takes
        longer than that, and a server looks after its own."""
        if self.name != "sqlite":
            return False
        with self.read() as tx:
            driver: Any = tx.connection.connection.driver_connection
            timer = threading.Timer(within_seconds, driver.interrupt)
            timer.start()
            try:
                found = list(tx.connection.exec_driver_sql("PRAGMA quick_check(1)").scalars())
            except DBAPIError as error:
                if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                    return False
                raise
            finally:
                timer.cancel()
                timer.join()
        if found != ["ok"]:
            raise Unavailable(DAMAGED_FILE.format(" ".join(found[0].split())), code=ErrorCode.DATABASE_UNAVAILABLE)
        return True

    def close(self) -> None:
        self._engine.dispose()


# SQLite's readers take a snapshot by themselves; `query_only` and READ ONLY hold them to reading.
_READING: dict[str, dict[str, Any]] = {
    "sqlite": {"assay_reading": True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
# Not the False that SQLAlchemy leaves after a reader: it has a transaction begin as READ WRITE. A standby refuses that
# with the code of any feature that it lacks, and a write with one of its own.
_WRITING: dict[str, dict[str, Any]] = {"sqlite": {}, "postgresql": {"postgresql_readonly": None}}


def open_database(url: str, *, clock: Clock | None = None) -> Database:
    """The database at an SQLAlchemy URL: `sqlite:///path` or `postgresql+psycopg://…`.

    Raises `Invalid` for any other, with what to write instead. Nothing is connected before the first transaction.
    """
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite" and address.database not in {None, "", ":memory:"}:
            return Database(_open_sqlite(address.set(drivername="sqlite+pysqlite")), clock=clock)
        if address.get_backend_name() == "postgresql":
            return Database(_open_postgresql(address.set(drivername="postgresql+psycopg")), clock=clock)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise Invalid(_URL_HELP, code=ErrorCode.INVALID_SETTING) from error
    except ImportError as error:
        message = "PostgreSQL needs a package that is not installed: install Assay with its extra 'postgres'."
        raise Invalid(message, code=ErrorCode.MISSING_PACKAGE) from error
    raise Invalid(_URL_HELP, code=ErrorCode.INVALID_SETTING)


_URL_HELP = "The database URL must be sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME."


def _open_sqlite(url: URL) -> Engine:
    # As many connections as the web's threads and the worker's may ask for at once.
    engine = create_engine(
        url,
        connect_args={"timeout": WAIT_SECONDS},
        hide_parameters=True,
        pool_size=20,
        max_overflow=40,
        pool_timeout=WAIT_SECONDS,
    )

    @event.listens_for(engine, "do_connect")
    def keep_private(_dialect: object, _record: object, arguments: list[Any], _named: object) -> None:
        # It holds keys that sign: for nobody else, whoever may read its directory. SQLite makes its log alike.
        with suppress(OSError):  # it is there, or the connection tells what is wrong
            os.close(os.open(arguments[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver must not open transactions by itself: `begin` below does, with the lock that is wanted.
        connection.isolation_level = None
        # FULL keeps a committed job through a power cut; WAL lets readers go on beside one writer.
        _use_wal(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_reading = connection.get_execution_options().get("assay_reading", False)
        connection.exec_driver_sql(f"PRAGMA query_only={int(is_reading)}")
        # A transaction that will write takes the write lock at once: one that asks for it halfway can't wait for it.
        connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Going over to WAL takes the file alone, and SQLite does not wait for that where several open a new one."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def _open_postgresql(url: URL) -> Engine:
    # Few to keep, for the server's are few; more for a moment when many threads ask at once.
    engine = create_engine(
        url,
        connect_args={name: value for name, value in _POSTGRESQL_DEFAULTS.items() if name not in url.query},
        pool_pre_ping=True,
        hide_parameters=True,  # what fails is told in the log, without what records and tokens are made of
        pool_size=5,
        max_overflow=25,
        pool_timeout=WAIT_SECONDS,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_SECONDS}s'")
        connection.commit()

    @event.listens_for(engine, "handle_error")
    def leave_standby(context: ExceptionContext) -> None:
        # After a failover the address may be another server's. The whole pool connects anew, else it would stay here.
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True

    return engine


# In libpq's words; what the URL's query sets wins. https://www.postgresql.org/docs/current/libpq-connect.html
_POSTGRESQL_DEFAULTS = {
    "connect_timeout": str(CONNECT_SECONDS),
    "tcp_user_timeout": str(CONNECT_SECONDS * 1000),
    "keepalives_idle": str(CONNECT_SECONDS),
}


def _refuse_newer(tx: ReadTransaction) -> str | None:
    """The revision of the tables, None where there are none; `Unavailable` for one that this release doesn't know."""
    current = MigrationContext.configure(tx.connection).get_current_revision()
    if current is not None and current not in {script.revision for script in _releases().walk_revisions()}:
        message = (
            f"The database was set up by a newer release of Assay (its tables have the revision {current}, which this "
            "release does not know). Upgrade Assay here too, or use another database."
        )
        raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)
    return current


@cache
def own_revision() -> str | None:
    """The revision of this release's tables."""
    return _releases().get_current_head()


def _releases() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic_config())


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
