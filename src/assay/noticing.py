"""Looks for uploads that nobody tells of, and ends the imports whose URL ran out unused: what the sweep does for all.

However many wait, a look is bounded, in number and in time, so that everything else has its turn soon.
"""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

from assay.db import jobs
from assay.db.engine import Database
from assay.errors import Conflict, NotFound
from assay.jobs import Import
from assay.operations import take_upload
from assay.storage.base import Storage, Stored

JOBS_A_LOOK = 1000
LOOK_SECONDS = 5.0
# An object store answers many at once. In groups, so that a process that is to end waits for one group at most.
LOOKS_AT_ONCE = 8
LOOKS_A_GROUP = 64
ENDED_AT_ONCE = 100  # in one transaction, which holds up others


def notice_uploads(db: Database, storage: Storage, *, max_bytes: int) -> int:
    """Look for the files of waiting imports, for those that nobody polls; how many have come.

    They are moved on the oldest first: of files that came since the last look, the order of their URLs is the order of
    upload.
    """
    with db.read() as tx:
        waiting = jobs.list_quiet(tx, limit=JOBS_A_LOOK)
    random.shuffle(waiting)  # where there is no time for all of them, each has its turn in another look
    come = [(job, stored) for job, stored in _look_for(storage, waiting) if stored is not None]
    for job, stored in sorted(come, key=lambda found: found[0].id):
        with suppress(NotFound, Conflict):  # deleted or cancelled in the meantime
            take_upload(db, job, stored, max_bytes=max_bytes)
    return len(come)


def expire_imports(db: Database, storage: Storage, *, max_bytes: int, grace: timedelta = timedelta(0)) -> int:
    """End the imports whose URL ran out unused; one whose file came in the end is moved on instead.

    `grace` is for uploads that were begun in time and do not show before they are whole.
    """
    with db.read() as tx:
        expired = jobs.list_expired(tx, before=tx.now() - grace, limit=JOBS_A_LOOK)
    unused = []
    count = 0
    for job, stored in _look_for(storage, expired):
        count += 1
        if stored is None:
            unused.append(job)
        else:
            with suppress(NotFound, Conflict):
                take_upload(db, job, stored, max_bytes=max_bytes)
    # By dataset: their rows are locked in the order in which a deletion does it.
    unused.sort(key=lambda job: (job.dataset_id, job.id))
    for group in _groups(unused, ENDED_AT_ONCE):
        _end(db, group)
    return count


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
