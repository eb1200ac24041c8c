"""The deletion of a dataset: its rows at once, its files afterwards, and again by the sweep until none can come."""

import logging
from datetime import timedelta
from itertools import islice
from uuid import UUID

from assay.db import datasets, deletions
from assay.db.engine import Database
from assay.errors import AssayError, ErrorCode, NotFound
from assay.operations import dataset_folder
from assay.storage.base import Storage

log = logging.getLogger("assay.deleting")

DELETIONS_A_SWEEP = 100
FILES_AT_ONCE = 1000
# Longer than an upload may take that began before its URL expired, or an attempt that doesn't know yet that it is lost.
LATE_FILES_GRACE = timedelta(hours=24)


def delete_dataset(db: Database, dataset_id: UUID) -> None:
    """Delete a dataset with its imports and records. A running job of it commits nothing any more."""
    with db.write() as tx:
        if not datasets.lock_dataset(tx, dataset_id):
            raise NotFound("There is no such dataset.", code=ErrorCode.UNKNOWN_DATASET)
        deletions.delete_dataset(tx, dataset_id, grace=LATE_FILES_GRACE)
    log.info("dataset %s was deleted", dataset_id)


def sweep_deleted(db: Database, storage: Storage) -> int:
    """Remove the files of deleted datasets, where it is time to look for some; how many there were.

    One whose files can't be removed now is put off, so that it doesn't hold up the others.
    """
    removed = 0
    with db.read() as tx:
        due = deletions.list_due_deletions(tx, limit=DELETIONS_A_SWEEP)
    for deletion in due:
        try:
            removed += _empty(storage, dataset_folder(deletion.dataset_id))
        except AssayError:
            with db.write() as tx:
                deletions.put_off(tx, deletion)
            raise
        with db.write() as tx:
            deletions.note_sweep(tx, deletion)
    return removed


def _empty(storage: Storage, folder: str) -> int:
    removed = 0
    stored = storage.list(folder)
    while keys := [each.key for each in islice(stored, FILES_AT_ONCE)]:
        storage.delete_many(keys)
        removed += len(keys)
    return removed
