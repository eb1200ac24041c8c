"""Opens SQLite or PostgreSQL and hands out transactions. The only place that asks which engine it is.

`read()` and `write()` yield different types, so that what only reads can't write by accident.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from assay.db.tables import EPOCH, Time
from assay.errors import ErrorCode, Invalid, Unavailable

Clock = Callable[[], datetime]
BUSY_MILLISECONDS = 15_000
MIGRATION_LOCK = 0x61737361  # any number will do, as long as nobody else in the database uses it


@dataclass(frozen=True)
class ReadTransaction:
    """A consistent view of the database."""

    connection: Connection
    clock: Clock | None

    def now(self) -> datetime:
        """The time by the database's clock, or by the one injected."""
        if self.clock is not None:
            return self.clock()
        if self.connection.dialect.name == "postgresql":
            statement = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now")
            row = self.connection.execute(statement.columns(now=Time)).one()
            return row.now if isinstance(row.now, datetime) else EPOCH
        return datetime.now(UTC)


@dataclass(frozen=True)
class WriteTransaction(ReadTransaction):
    """A transaction that may write; it is committed when its block ends, and rolled back when that raises."""


def insert_unless_there(tx: WriteTransaction, table: Table, **values: Any) -> None:
    """Insert a row unless one of its key is there; both engines know ON CONFLICT, SQLAlchemy has it per engine only."""
    make = postgresql.insert if tx.connection.dialect.name == "postgresql" else sqlite.insert
    tx.connection.execute(make(table).values(**values).on_conflict_do_nothing())


class Database:
    """Holds the connection pool. Safe to share between threads, not between processes."""

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        self._engine = engine
        self._clock = clock

    @property
    def name(self) -> str:
        """`sqlite` or `postgresql`, for people to read."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[ReadTransaction]:
        with self._begin(immediate=False) as connection:
            yield ReadTransaction(connection, self._clock)

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        with self._begin(immediate=True) as connection:
            yield WriteTransaction(connection, self._clock)

    @contextmanager
    def _begin(self, *, immediate: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(assay_immediate=immediate) as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            if _is_passing(error):
                # The driver's text may hold the address; the log of the cause has it, the answer doesn't.
                message = "The database can't be reached or is too busy now; try again in a moment."
                raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE) from error
            raise

    def migrate(self) -> None:
        """Bring the tables up to this release; safe when several processes do it at once."""
        with self._begin(immediate=True) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def is_migrated(self) -> bool:
        """Whether the tables are those of this release."""
        with self._begin(immediate=False) as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        return current == ScriptDirectory.from_config(_alembic_config()).get_current_head()

    def close(self) -> None:
        self._engine.dispose()


def open_database(url: str, *, clock: Clock | None = None) -> Database:
    """The database at an SQLAlchemy URL: `sqlite:///path` or `postgresql+psycopg://…`.

    Raises `Invalid` for any other, with what to write instead. Nothing is connected before the first transaction.
    """
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return Database(_open_sqlite(url), clock=clock)
        if address.get_backend_name() == "postgresql":
            return Database(
                create_engine(address.set(drivername="postgresql+psycopg"), pool_pre_ping=True), clock=clock
            )
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise Invalid(_URL_HELP, code=ErrorCode.INVALID_SETTING) from error
    except ImportError as error:
        message = "PostgreSQL needs the extra package: pip install 'assay[postgres]'."
        raise Invalid(message, code=ErrorCode.MISSING_PACKAGE) from error
    raise Invalid(_URL_HELP, code=ErrorCode.INVALID_SETTING)


_URL_HELP = "The database URL must be sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME."


def _open_sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_MILLISECONDS / 1000}, pool_size=20, max_overflow=40)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver must not open transactions by itself: `begin` below does, with the lock that is wanted.
        connection.isolation_level = None
        # FULL keeps a committed job through a power cut; WAL lets readers go on beside one writer.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write takes the write lock at once: one that asks for it halfway can't wait for it.
        immediate = connection.get_execution_options().get("assay_immediate", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _is_passing(error: DBAPIError) -> bool:
    """Whether the same statement may work later: a lost or refused connection, a lock not had in time."""
    name = type(error).__name__
    return error.connection_invalidated or name in {"OperationalError", "InterfaceError", "TimeoutError"}


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
