"""The deletion of a dataset: its rows at once, its files afterwards, and again by the sweep until none can come."""

import logging
import threading
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

_sweeping_now = threading.Lock()


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


def sweep_deleted_now(db: Database, storage: Storage) -> None:
    """Right after a deletion, when there is nobody to tell: what can't be removed now is for the sweep.

    One thread of a process does it at a time, for there may be very many files, and the others have requests to answer.
    """
    if not _sweeping_now.acquire(blocking=False):
        return
    try:
        sweep_deleted(db, storage)
    except AssayError as error:
        log.warning("files of deleted datasets have to wait for the sweep: %s", error)
    finally:
        _sweeping_now.release()
