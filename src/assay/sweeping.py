"""Removes what no commit has made visible: files of attempts that were lost, failed or cancelled."""

import logging
from datetime import timedelta

from assay import crash_points
from assay.db import jobs
from assay.db.engine import Database
from assay.deleting import sweep_deleted
from assay.jobs import Import, State
from assay.operations import import_folder
from assay.storage.base import Storage

log = logging.getLogger("assay.sweeping")

JOBS_A_SWEEP = 100
TEMPORARY_AGE = timedelta(hours=24)
OUTPUT_KINDS = ("parts", "rejections")


def sweep_files(db: Database, storage: Storage) -> int:
    """Remove the files of ended jobs that belong to nothing; how many they were."""
    with db.read() as tx:
        now = tx.now()
        ended = jobs.list_unswept(tx, limit=JOBS_A_SWEEP)
    removed = sum(_sweep_job(db, storage, job) for job in ended)
    removed += sweep_deleted(db, storage)
    removed += storage.sweep_temporary(now - TEMPORARY_AGE)
    if removed:
        log.info("removed %d files that belong to no import any more", removed)
    return removed


def sweep_attempt(db: Database, storage: Storage, job: Import) -> int:
    """Remove what an attempt that can't be committed any more has written, as soon as it has ended.

    While the attempt may still be committed nothing is touched, and what its commit made visible never is: a worker
    that lost the answer to its commit does not know by itself whether it went through.
    """
    with db.read() as tx:
        now_stands = jobs.get_import(tx, job.dataset_id, job.id)
        kept = jobs.list_output_keys(tx, job.id)
    if now_stands is not None and now_stands.state is State.PROCESSING and now_stands.attempt == job.attempt:
        return 0
    return _remove(storage, job, below=f"/{job.attempt}", kept=kept)


def _sweep_job(db: Database, storage: Storage, job: Import) -> int:
    with db.read() as tx:
        kept = jobs.list_output_keys(tx, job.id)
    removed = _remove(storage, job, below="", kept=kept)
    with db.write() as tx:
        jobs.mark_swept(tx, job.id)
    return removed


def _remove(storage: Storage, job: Import, *, below: str, kept: set[str]) -> int:
    removed = 0
    for kind in OUTPUT_KINDS:
        for stored in storage.list(import_folder(job.dataset_id, kind, job.id) + below):
            if stored.key not in kept:
                storage.delete(stored.key)
                crash_points.reached("file_swept")
                removed += 1
    return removed
