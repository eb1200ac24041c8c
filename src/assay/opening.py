"""Opens the database as the settings say, for every command that works on it."""

from assay.config import Settings
from assay.db.engine import Database, open_database
from assay.errors import ErrorCode, Invalid, Unavailable


def open_migrated(settings: Settings) -> Database:
    """The database, with the tables of this release: SQLite's are brought up to date, PostgreSQL's must be."""
    if not settings.database_url:
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message = f"The data directory {settings.data_dir} can't be made: {error.strerror}."
            raise Invalid(message, code=ErrorCode.INVALID_SETTING) from error
    db = open_database(settings.resolved_database_url())
    if db.name == "sqlite":
        db.migrate()
    elif not db.is_migrated():
        message = "The database's tables are not those of this release. Run 'assay migrate', then start again."
        raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)
    return db
