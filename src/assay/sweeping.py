"""Removes what no commit has made visible: files of attempts that were lost, failed or cancelled."""

import logging
from datetime import timedelta

from assay.db import jobs
from assay.db.engine import Database
from assay.jobs import Import
from assay.operations import import_folder
from assay.storage.base import Storage

log = logging.getLogger("assay.sweeping")

JOBS_A_SWEEP = 100
TEMPORARY_AGE = timedelta(hours=24)


def sweep_files(db: Database, storage: Storage) -> int:
    """Remove the files of ended jobs that belong to nothing; how many they were."""
    with db.read() as tx:
        now = tx.now()
        ended = jobs.list_unswept(tx, limit=JOBS_A_SWEEP)
    removed = sum(_sweep_job(db, storage, job) for job in ended)
    removed += storage.sweep_temporary(now - TEMPORARY_AGE)
    if removed:
        log.info("removed %d files of unfinished attempts", removed)
    return removed


def _sweep_job(db: Database, storage: Storage, job: Import) -> int:
    with db.read() as tx:
        kept = jobs.list_output_keys(tx, job.id)
    removed = 0
    for kind in ("parts", "rejections"):
        for stored in storage.list(import_folder(job.dataset_id, kind, job.id)):
            if stored.key not in kept:
                storage.delete(stored.key)
                removed += 1
    with db.write() as tx:
        jobs.mark_swept(tx, job.id)
    return removed
