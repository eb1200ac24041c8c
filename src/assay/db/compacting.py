"""Points parts to the file that their records were put together in."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update

from assay.db import datasets as dataset_rows
from assay.db.engine import WriteTransaction
from assay.db.loose_files import adopt, note_loose
from assay.db.revisions import hold_own_tables
from assay.db.tables import parts
from assay.jobs import DataFile, StoredParquet


def put_together(
    tx: WriteTransaction,
    dataset_id: UUID,
    files: Sequence[DataFile],
    *,
    into: StoredParquet,
    old_files_until: datetime,
) -> bool:
    """Make `into` the file of all the records of `files`, which follow each other; its rows are theirs in their order.

    False, and nothing is changed, when they are no longer the dataset's files, when one of its jobs is running, or
    when the new file took so long that it is condemned.
    """
    hold_own_tables(tx)
    dataset_rows.lock_dataset(tx, dataset_id)
    if any(dataset_rows.kinds_in_line(tx, dataset_id).values()) or not adopt(tx, [into.key]):
        return False
    first, last = files[0], files[-1]
    between = parts.c.first_row.between(first.first_row, last.first_row + last.record_count - 1)
    statement = select(parts).where(parts.c.dataset_id == dataset_id, between).order_by(parts.c.first_row)
    old_keys = {file.key for file in files}
    rows = tx.connection.execute(statement).all()
    if {row.key for row in rows} != old_keys or len(rows) != sum(file.part_count for file in files):
        note_loose(tx, [into.key], delete_after=tx.now())
        return False
    moved = [{"at": row.first_row, "row": row.first_row - first.first_row} for row in rows]
    pointed = (
        update(parts)
        .where(parts.c.dataset_id == dataset_id, parts.c.first_row == bindparam("at"))
        .values(key=into.key, row_in_file=bindparam("row"), size_bytes=into.size_bytes, footer_hash=into.footer_hash)
    )
    tx.connection.execute(pointed, moved)
    note_loose(tx, sorted(old_keys), delete_after=old_files_until)
    return True
