"""Files that no dataset has, not yet or no longer: whoever writes one outside a job's attempt notes it here before.

A file is noted with the time from which it may be removed, and adopted in the transaction that makes it part of a
dataset. The sweep first condemns what is due; what is condemned can't be adopted any more, so a file is never both.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, select, update

from assay.db.engine import ReadTransaction, WriteTransaction, insert_unless_there
from assay.db.tables import EPOCH, loose_files

KEYS_A_STATEMENT = 500  # engines have a limit of parameters


def note_loose(tx: WriteTransaction, keys: Iterable[str], *, delete_after: datetime) -> None:
    for key in keys:
        insert_unless_there(tx, loose_files, key=key, delete_after=delete_after)


def adopt(tx: WriteTransaction, keys: Sequence[str]) -> bool:
    """The files become part of a dataset by this transaction; False when one of them is condemned already."""
    statement = delete(loose_files).where(loose_files.c.key.in_(keys), loose_files.c.delete_after > tx.now())
    return tx.connection.execute(statement).rowcount == len(keys)


def condemn_due(tx: WriteTransaction, *, limit: int) -> list[str]:
    """Condemn the files that are due, at most so many; the keys of these and of those condemned before."""
    due = (
        select(loose_files.c.key)
        .where(loose_files.c.delete_after <= tx.now())
        .order_by(loose_files.c.delete_after)
        .limit(limit)
    )
    keys = list(tx.connection.execute(due).scalars())
    for group in _groups(keys):
        # Whether it is due is asked again: on PostgreSQL it may have been adopted since, and waits for that.
        condemned = loose_files.c.key.in_(group) & (loose_files.c.delete_after <= tx.now())
        tx.connection.execute(update(loose_files).where(condemned).values(delete_after=EPOCH))
    condemned_keys: list[str] = []
    for group in _groups(keys):
        condemned = loose_files.c.key.in_(group) & (loose_files.c.delete_after == EPOCH)
        condemned_keys += tx.connection.execute(select(loose_files.c.key).where(condemned)).scalars()
    return condemned_keys


def has_due(tx: ReadTransaction) -> bool:
    due = select(loose_files.c.key).where(loose_files.c.delete_after <= tx.now()).limit(1)
    return tx.connection.execute(due).one_or_none() is not None


def forget(tx: WriteTransaction, keys: Sequence[str]) -> None:
    """The files are gone."""
    for group in _groups(keys):
        tx.connection.execute(delete(loose_files).where(loose_files.c.key.in_(group)))


def which_are_loose(tx: ReadTransaction, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for group in _groups(keys):
        found.update(tx.connection.execute(select(loose_files.c.key).where(loose_files.c.key.in_(group))).scalars())
    return found


def _groups(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[at : at + KEYS_A_STATEMENT] for at in range(0, len(keys), KEYS_A_STATEMENT)]
