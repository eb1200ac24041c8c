"""What the drivers raise, in words: for clients without the address, for the operator with it, never a password.

What is not listed here is a bug, and stays as it is.
"""

import sqlite3
from sqlite3 import (
    SQLITE_BUSY,
    SQLITE_CANTOPEN,
    SQLITE_CORRUPT,
    SQLITE_FULL,
    SQLITE_IOERR,
    SQLITE_LOCKED,
    SQLITE_NOTADB,
    SQLITE_PERM,
    SQLITE_PROTOCOL,
    SQLITE_READONLY,
)

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from assay.errors import AssayError, ErrorCode, Invalid, Unavailable

BUSY = "The database can't be reached or is too busy now; try again in a moment."
NO_WRITES = "The database's server takes no writes now, as a standby does; try again in a moment."
OTHER_TABLES = "The database does not have this release's tables; run `assay migrate`."
FOREIGN_TABLES = "The database has tables of something else under Assay's names; give Assay a database of its own."
NO_RIGHTS = "The database's user lacks a right to its tables; make it the owner of Assay's database."
CLOSED_FILE = (
    "The database file can't be opened or written; see that its directory exists and may be written, and so may the "
    "file and those beside it that end in -wal and -shm."
)
NO_DATABASE = "The database file is not an SQLite database, or is damaged; name another file, or restore this one."
DAMAGED_FILE = "The database file is damaged: stop the service and restore a backup. What was found first: {}"

SQLITE_FAULTS = {
    SQLITE_BUSY: BUSY,
    SQLITE_LOCKED: BUSY,
    SQLITE_PROTOCOL: BUSY,
    SQLITE_PERM: CLOSED_FILE,
    SQLITE_CANTOPEN: CLOSED_FILE,
    SQLITE_READONLY: CLOSED_FILE,
    SQLITE_NOTADB: NO_DATABASE,
    SQLITE_CORRUPT: NO_DATABASE,
    SQLITE_FULL: "The database's disk is full; make room.",
    SQLITE_IOERR: "The database's disk can't be read or written; see the log for the cause.",
}
# When the operator set the database up so, it is the setting that is at fault.
FAULTS_OF_SETTING = {CLOSED_FILE, NO_DATABASE, FOREIGN_TABLES, NO_RIGHTS}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
READ_ONLY = "25006"
POSTGRESQL_FAULTS = {
    "42P01": OTHER_TABLES,
    "42703": OTHER_TABLES,
    "42P07": FOREIGN_TABLES,
    "42501": NO_RIGHTS,
    READ_ONLY: NO_WRITES,
}


def translated(error: SQLAlchemyError) -> Unavailable | None:
    """What a client may be told; None for a bug. The driver's own text may hold the address, so it is not in it."""
    message = _message(error) if isinstance(error, DBAPIError) else BUSY
    return None if message is None else Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)


def explained(error: AssayError, url: URL) -> AssayError:
    """The same error for the operator: with the database's address, and the driver's words for the cause."""
    address = url.difference_update_query(["password", "sslpassword"]).render_as_string(hide_password=True)
    message = f"{error.message} The database is {address}."
    if isinstance(error.__cause__, DBAPIError):
        message += f" Cause: {' '.join(str(error.__cause__.orig).split())}"
    if error.message in FAULTS_OF_SETTING:
        return Invalid(message, code=ErrorCode.INVALID_SETTING)
    return Unavailable(message, code=error.code)


def _message(error: DBAPIError) -> str | None:
    if isinstance(error.orig, sqlite3.Error):
        # Faults of the statement have one code for all; the text tells them apart.
        text = str(error.orig)
        if text.startswith(("no such table", "no such column")) or "has no column named" in text:
            return OTHER_TABLES
        if text.startswith("table ") and text.endswith(" already exists"):
            return FOREIGN_TABLES
        # The low byte is the result code; the rest says more than is needed here.
        return SQLITE_FAULTS.get(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(error.orig, "sqlstate", None)
    if state in POSTGRESQL_FAULTS:
        return POSTGRESQL_FAULTS[state]
    # By the driver's class: a connection lost or refused, a lock not had in time, a deadlock, a full disk.
    is_passing = error.connection_invalidated or type(error).__name__ in {"OperationalError", "InterfaceError"}
    return BUSY if is_passing else None
