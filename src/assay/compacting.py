"""Puts the small files that many appends and imports leave behind together, a few at a time.

A compaction changes where records lie and nothing else: their order, their jobs, their ids stay. The files that it
replaces stay too, for as long as readers may hold a list with them; a crash anywhere leaves a loose file at most.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from uuid import UUID

import pyarrow as pa

from assay.db import compacting, datasets, loose_files
from assay.db.engine import Database
from assay.ids import new_id
from assay.jobs import DataFile, StoredParquet
from assay.kernel.write import footer_hash, joined_parquet_bytes
from assay.reading import OLD_FILES_STAY_FOR, read_row_groups
from assay.storage.base import Storage

log = logging.getLogger("assay.compacting")

MIN_FILES = 8
SMALL_ROWS = 65_536
SMALL_BYTES = 4 * 1024 * 1024
MAX_BYTES = 16 * 1024 * 1024
UNFINISHED_FOR = timedelta(hours=1)


def compact_dataset(db: Database, storage: Storage, dataset_id: UUID) -> int:
    """Put together what there is of small files that follow each other; how many files that makes fewer."""
    with db.read() as tx:
        files = datasets.list_files(tx, dataset_id)
        is_busy = any(datasets.kinds_in_line(tx, dataset_id).values())
    if is_busy:
        return 0  # its end is the next occasion
    runs = list(choose_runs(files))
    return sum(len(run) - 1 for run in runs if _put_together(db, storage, dataset_id, run))


def choose_runs(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """Which files to put together: many small ones that follow each other.

    A file that is larger than all that would be added to it waits until there is more, so that each time it is written
    again there are at least twice as many records with it: none is rewritten more often than a dozen times or so.
    """
    for (is_small, _), following in groupby(files, key=lambda file: (_is_small(file), file.schema_version)):
        if not is_small:
            continue
        for run in _bounded(list(following)):
            rest = sum(file.record_count for file in run)
            while run and run[0].record_count > (rest := rest - run[0].record_count):
                run = run[1:]
            if len(run) >= MIN_FILES:
                yield run


def _is_small(file: DataFile) -> bool:
    return file.record_count < SMALL_ROWS and file.size_bytes < SMALL_BYTES


def _bounded(files: list[DataFile]) -> Iterator[list[DataFile]]:
    """The same files in runs that are not too large for memory."""
    run: list[DataFile] = []
    size_bytes = 0
    for file in files:
        if size_bytes + file.size_bytes > MAX_BYTES:
            yield run
            run, size_bytes = [], 0
        run.append(file)
        size_bytes += file.size_bytes
    yield run


def _put_together(db: Database, storage: Storage, dataset_id: UUID, files: list[DataFile]) -> bool:
    key = f"datasets/{dataset_id}/parts/compacted/{new_id()}.parquet"
    with db.write() as tx:
        loose_files.note_loose(tx, [key], delete_after=tx.now() + UNFINISHED_FOR)
    counts: Counter[str] = Counter()
    data = joined_parquet_bytes(_row_groups(storage, files, counts))
    if counts != Counter({file.key: file.record_count for file in files}):
        log.error("dataset %s has files with other records than it should; they are not compacted", dataset_id)
        return False
    storage.put(key, data)
    into = StoredParquet(key, data.size, footer_hash(data))
    with db.write() as tx:
        until = tx.now() + OLD_FILES_STAY_FOR
        is_done = compacting.put_together(tx, dataset_id, files, into=into, old_files_until=until)
    if is_done:
        log.info("dataset %s: put %d files together", dataset_id, len(files))
    return is_done


def _row_groups(storage: Storage, files: Iterable[DataFile], counts: Counter[str]) -> Iterator[pa.Table]:
    """The files' records in their order, counted by file as they are read."""
    for file in files:
        for table in read_row_groups(storage, file.file):
            counts[file.key] += table.num_rows
            yield table
