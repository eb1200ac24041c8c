"""Removes what no dataset has: files of attempts that were lost, failed or cancelled, and files that were replaced.
And what nobody asks for any more: webhooks that were delivered or given up long ago."""

import logging
from datetime import timedelta

from assay import crash_points
from assay.compacting import compact_dataset
from assay.db import datasets, jobs, loose_files
from assay.db.engine import Database
from assay.db.revisions import hold_own_tables, require_own_tables
from assay.deleting import LATE_FILES_GRACE, sweep_deleted
from assay.errors import AssayError
from assay.jobs import Import, Kind, State
from assay.operations import import_folder
from assay.storage.base import Storage
from assay.webhooks import sweep_deliveries

log = logging.getLogger("assay.sweeping")

JOBS_A_SWEEP = 100
FILES_A_SWEEP = 1000
TEMPORARY_AGE = timedelta(hours=24)
OUTPUT_KINDS = ("parts", "rejections")


def sweep_files(db: Database, storage: Storage) -> int:
    """Remove the files of ended jobs that belong to nothing; how many they were. Ended jobs may leave small files.

    The log of webhooks is shortened too, and first: that needs no storage.
    """
    sweep_deliveries(db)
    with db.read() as tx:
        now = tx.now()
        ended = jobs.list_unswept(tx, limit=JOBS_A_SWEEP)
    removed = sum(_sweep_job(db, storage, job) for job in ended if job.kind is not Kind.APPEND)
    _mark_appends_swept(db, [job for job in ended if job.kind is Kind.APPEND])
    for dataset_id in {job.dataset_id for job in ended}:
        try:
            compact_dataset(db, storage, dataset_id)
        except AssayError as error:
            log.warning("dataset %s can't be compacted now: %s", dataset_id, error)
    removed += sweep_loose_files(db, storage)
    removed += sweep_deleted(db, storage)
    removed += storage.sweep_temporary(now - TEMPORARY_AGE)
    if removed:
        log.info("removed %d files that belong to no import any more", removed)
    return removed


def sweep_loose_files(db: Database, storage: Storage) -> int:
    """Remove the files whose time is up; how many they were."""
    with db.read() as tx:
        if not loose_files.has_due(tx):
            return 0
    with db.write() as tx:
        hold_own_tables(tx)
        condemned = loose_files.condemn_due(tx, limit=FILES_A_SWEEP)
    storage.delete_many(condemned)
    crash_points.reached("file_swept")
    with db.write() as tx:
        loose_files.forget(tx, condemned)
    return len(condemned)


def _mark_appends_swept(db: Database, ended: list[Import]) -> None:
    """What an append leaves behind is loose, and swept as such."""
    if ended:
        with db.write() as tx:
            for job in ended:
                jobs.mark_swept(tx, job.id)


def sweep_attempt(db: Database, storage: Storage, job: Import) -> int:
    """Remove what an attempt that can't be committed any more has written, as soon as it has ended.

    While the attempt may still be committed nothing is touched, and what its commit made visible never is: a worker
    that lost the answer to its commit does not know by itself whether it went through.
    """
    with db.read() as tx:
        now_stands = jobs.get_job(tx, job.dataset_id, job.id)
    if now_stands is not None and now_stands.state is State.PROCESSING and now_stands.attempt == job.attempt:
        return 0
    return _remove(db, storage, job, below=f"/{job.attempt}")


def _sweep_job(db: Database, storage: Storage, job: Import) -> int:
    removed = _remove(db, storage, job, below="")
    # A file that came too late, or was too large: nothing will ever read it.
    is_unwanted = job.kind is Kind.IMPORT and job.state is State.FAILED and job.size_bytes is None
    if is_unwanted:
        storage.delete(job.file_key)
    with db.write() as tx:
        if is_unwanted:  # an object store takes one again while the URL is valid
            loose_files.note_loose(tx, [job.file_key], delete_after=max(tx.now(), job.expires_at) + LATE_FILES_GRACE)
        jobs.mark_swept(tx, job.id)
    return removed


def _remove(db: Database, storage: Storage, job: Import, *, below: str) -> int:
    folders = [import_folder(job.dataset_id, kind, job.id) + below for kind in OUTPUT_KINDS]
    keys = [stored.key for folder in folders for stored in storage.list(folder)]
    with db.read() as tx:
        require_own_tables(tx)  # or what is kept may be named in a way that this release doesn't know
        kept = jobs.list_output_keys(tx, job.id)
        # A migration's files are of other jobs' records, and replaced ones stay for a while.
        others = [key for key in keys if key not in kept]
        kept |= datasets.which_are_parts(tx, job.dataset_id, others) | loose_files.which_are_loose(tx, others)
    removed = 0
    for key in keys:
        if key not in kept:
            storage.delete(key)
            crash_points.reached("file_swept")
            removed += 1
    return removed
