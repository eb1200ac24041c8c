"""Opens the database as the settings say, for every command that works on it."""

from assay.config import Settings
from assay.db.engine import Database, open_database
from assay.errors import ErrorCode, Invalid


def open_migrated(settings: Settings) -> Database:
    """The database, with the tables of this release: SQLite's are brought up to date, PostgreSQL's must be."""
    if not settings.database_url:
        make_data_dir(settings)
    db = open_database(settings.resolved_database_url())
    if db.name == "sqlite":
        db.migrate()
    else:
        db.require_migrated()
    return db


def make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"The data directory {settings.data_dir} can't be made: {error.strerror}."
        raise Invalid(message, code=ErrorCode.INVALID_SETTING) from error
