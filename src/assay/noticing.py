"""Looks for uploads that nobody tells of, and ends the imports whose URL ran out unused.

However many wait, a look is bounded, in number and in time, so that everything else has its turn soon.

Imports of a dataset run in the order of upload, though an object store says of an upload only that it is there. So
whoever finds one looks, before it is moved on, for all others that the dataset's imports wait for: what came before it
is there by then.
"""

import random
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from assay.db import jobs
from assay.db.engine import Database
from assay.errors import Conflict, NotFound
from assay.jobs import Import, State
from assay.operations import SeenUpload, finish_upload, get_import
from assay.storage.base import Storage, Stored

_Found = tuple[Import, Stored]

JOBS_A_LOOK = 1000
OTHERS_A_LOOK = 256  # of one dataset: the newest, where more wait
LOOK_SECONDS = 5.0
# An object store answers many at once. In groups, so that a process that is to end waits for one group at most.
LOOKS_AT_ONCE = 8
LOOKS_A_GROUP = 64
ENDED_AT_ONCE = 100  # in one transaction, which holds up others


def notice_upload(db: Database, storage: Storage, job: Import, *, max_bytes: int) -> Import:
    """Look whether a waiting import's file has come without anybody saying so, and move the import if it has."""
    stored = storage.stat(job.file_key) if job.state is State.UNINITIALISED else None
    if stored is None:
        return job
    _take_uploads(db, storage, [(job, stored)], max_bytes=max_bytes)
    return get_import(db, job.dataset_id, job.id)


def notice_uploads_of(db: Database, storage: Storage, dataset_id: UUID, *, max_bytes: int, limit: int) -> int:
    """Look for the files that a dataset's newest waiting imports wait for; how many have come."""
    return _take_of_dataset(db, storage, dataset_id, [], max_bytes=max_bytes, limit=limit)


def notice_keys(db: Database, storage: Storage, keys: Collection[str], *, max_bytes: int) -> int:
    """Look for files that somebody says have come; how many imports that moved on. Other keys are passed over."""
    with db.read() as tx:
        named = [jobs.find_import_of_file(tx, key) for key in keys]
    waiting = [job for job in named if job is not None and job.state is State.UNINITIALISED]
    return sum(notice_upload(db, storage, job, max_bytes=max_bytes).state is not State.UNINITIALISED for job in waiting)


def notice_uploads(db: Database, storage: Storage, *, max_bytes: int) -> int:
    """Look for the files of waiting imports, for those that nobody polls; how many have come."""
    with db.read() as tx:
        waiting = jobs.list_quiet(tx, limit=JOBS_A_LOOK)
    random.shuffle(waiting)  # where there is no time for all of them, each has its turn in another look
    come = [(job, stored) for job, stored in _look_for(storage, waiting) if stored is not None]
    _take_uploads(db, storage, come, max_bytes=max_bytes)
    return len(come)


def expire_imports(db: Database, storage: Storage, *, max_bytes: int, grace: timedelta = timedelta(0)) -> int:
    """End the imports whose URL ran out unused; one whose file came in the end is moved on instead.

    `grace` is for uploads that were begun in time and do not show before they are whole.
    """
    with db.read() as tx:
        expired = jobs.list_expired(tx, before=tx.now() - grace, limit=JOBS_A_LOOK)
    looked_for = list(_look_for(storage, expired))
    come = [(job, stored) for job, stored in looked_for if stored is not None]
    _take_uploads(db, storage, come, max_bytes=max_bytes)
    # By dataset: their rows are locked in the order in which a deletion does it.
    unused = sorted((job for job, stored in looked_for if stored is None), key=lambda job: (job.dataset_id, job.id))
    for group in _groups(unused, ENDED_AT_ONCE):
        _end(db, group)
    return len(looked_for)


def _take_uploads(db: Database, storage: Storage, come: Sequence[_Found], *, max_bytes: int) -> None:
    for dataset_id in dict.fromkeys(job.dataset_id for job, _ in come):
        of_dataset = [found for found in come if found[0].dataset_id == dataset_id]
        _take_of_dataset(db, storage, dataset_id, of_dataset, max_bytes=max_bytes)


def _take_of_dataset(
    db: Database,
    storage: Storage,
    dataset_id: UUID,
    come: Sequence[_Found],
    *,
    max_bytes: int,
    limit: int = OTHERS_A_LOOK,
) -> int:
    """Move on the imports whose files were found, and those of the dataset that are found now, in the order in which
    the files came. Object stores know it to the second; within one it is the order of the URLs."""
    known = {job.id for job, _ in come}
    with db.read() as tx:
        others = [job for job in jobs.list_quiet_of(tx, dataset_id, limit=limit) if job.id not in known]
    found = [*come, *((job, stored) for job, stored in _look_for(storage, others) if stored is not None)]
    for job, stored in sorted(found, key=lambda each: (each[1].modified_at, each[0].id)):
        with suppress(NotFound, Conflict):  # deleted or cancelled in the meantime
            _take_upload(db, job, stored, max_bytes=max_bytes)
    return len(found)


def _take_upload(db: Database, job: Import, stored: Stored, *, max_bytes: int) -> None:
    if stored.size_bytes <= max_bytes:
        finish_upload(db, job, SeenUpload(size_bytes=stored.size_bytes, version=stored.version))
    else:
        reason = f"The upload has {stored.size_bytes:,} bytes; at most {max_bytes:,} are taken. Split the file."
        with db.write() as tx:
            jobs.fail(tx, job, reason=reason, uploaded_at=tx.now())


def _end(db: Database, unused: Sequence[Import]) -> None:
    reason = "The upload URL expired before a file was uploaded. Ask for a new upload URL."
    with db.write() as tx:
        for job in unused:
            with suppress(Conflict):  # moved on in the meantime, which is as good
                jobs.fail(tx, job, reason=reason)


def _look_for(storage: Storage, waiting: Sequence[Import]) -> Iterator[tuple[Import, Stored | None]]:
    """The imports with their file, if it is there. Where the storage is slow they are the first ones only."""
    until = time.monotonic() + LOOK_SECONDS
    for group in _groups(waiting, LOOKS_A_GROUP):
        with ThreadPoolExecutor(LOOKS_AT_ONCE) as threads:
            found = list(threads.map(lambda job: storage.stat(job.file_key), group))
        yield from zip(group, found, strict=True)
        if time.monotonic() > until:
            return


def _groups(waiting: Sequence[Import], size: int) -> Iterator[Sequence[Import]]:
    return (waiting[at : at + size] for at in range(0, len(waiting), size))
