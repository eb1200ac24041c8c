"""Whether the tables are this release's still: a newer one may migrate them while processes of this one go on.

What works by itself asks in the transaction of each thing that it takes up or decides.
"""

from sqlalchemy import text

from assay.db.engine import MIGRATION_LOCK, ReadTransaction, WriteTransaction, hold_off, own_revision


class OtherTablesError(Exception):
    """The tables are another release's: by the rules of this one they can't be told from wrong, nor be written."""


def require_own_tables(tx: ReadTransaction) -> None:
    found = tx.connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found != own_revision():
        message = f"the database's tables are another release's (revision {found}, and this one's is {own_revision()})"
        raise OtherTablesError(message)


def hold_own_tables(tx: WriteTransaction) -> None:
    """The same, and nobody migrates them before the transaction has ended: call it first, before other locks."""
    hold_off(tx, MIGRATION_LOCK)
    require_own_tables(tx)
