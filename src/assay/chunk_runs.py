"""What a child of the engine does: one chunk from the upload to its part, without a database.

Runs in a process pool or on a cluster; everything it needs comes in its task, and it opens the storage by itself.
"""

import multiprocessing
import multiprocessing.process
import os
import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from assay.error_summary import FaultCount
from assay.jobs import NewPart, RejectionPart
from assay.kernel.chunks import ChunkTask, check_chunk
from assay.kernel.identity import Ids, ids_of_parquet
from assay.kernel.interrupts import leave_interrupts_to_parent
from assay.kernel.memory import keep_freed_memory
from assay.kernel.summary import count_faults
from assay.kernel.write import check_footer, footer_hash, parquet_bytes, without_stored_rows
from assay.storage.base import Storage, open_storage


@dataclass(frozen=True)
class StoredChunk:
    """A chunk to check: where the upload lies, and under which folders its outputs go."""

    storage_url: str
    upload_key: str
    parts_folder: str
    rejections_folder: str
    task: ChunkTask


@dataclass(frozen=True)
class ChunkOutcome:
    """What became of a chunk: counts, the ids of what its part holds (16 bytes each), the first faults, and how many
    there are of each field and reason.

    Nothing of it is visible before the job's commit names the part.
    """

    accepted_count: int
    rejected_count: int
    ids: Ids
    part: NewPart | None
    rejections: RejectionPart | None
    first_faults: list[tuple[int, str, str]]
    fault_counts: list[FaultCount]


def run_chunk(chunk: StoredChunk) -> ChunkOutcome:
    storage = stored_at(chunk.storage_url)
    place = chunk.task.chunk
    result = check_chunk(storage.read_range(chunk.upload_key, place.offset, place.length), chunk.task)
    name = f"part-{place.index:05d}.parquet"
    part = None
    if result.table.num_rows:
        data = parquet_bytes(result.table)
        key = f"{chunk.parts_folder}/{name}"
        storage.put(key, data)
        part = _new_part(key, data, record_count=result.table.num_rows)
    rejections = None
    if result.rejections.num_rows:
        key = f"{chunk.rejections_folder}/{name}"
        data = parquet_bytes(result.rejections)
        storage.put(key, data)
        fault_count = result.rejections.num_rows
        rejections = RejectionPart(key=key, fault_count=fault_count, footer_hash=footer_hash(data))
    return ChunkOutcome(
        accepted_count=result.accepted_count,
        rejected_count=result.rejected_count,
        ids=result.ids,
        part=part,
        rejections=rejections,
        first_faults=result.first_faults,
        fault_counts=count_faults(result.rejections),
    )


def read_part_ids(storage_url: str, part: NewPart) -> Ids:
    """The ids of a part's records, in their order."""
    ids = ids_of_parquet(pa.py_buffer(_read_part(stored_at(storage_url), part)))
    if len(ids) != part.record_count:
        raise pa.ArrowInvalid(f"{part.key} has {len(ids)} records, not {part.record_count}")
    return ids


def run_without_rows(storage_url: str, part: NewPart, row_indices: np.ndarray) -> NewPart:
    """Write a part again without some of its rows, but not all of them, beside the old one."""
    storage = stored_at(storage_url)
    rest = without_stored_rows(_read_part(storage, part), row_indices)
    key = part.key.removesuffix(".parquet") + "-unique.parquet"
    storage.put(key, rest)
    return _new_part(key, rest, record_count=part.record_count - len(row_indices))


def _new_part(key: str, data: pa.Buffer, *, record_count: int) -> NewPart:
    return NewPart(key=key, record_count=record_count, size_bytes=data.size, footer_hash=footer_hash(data))


def _read_part(storage: Storage, part: NewPart) -> bytes:
    """A part that this attempt has written. Damage costs the attempt, and the next one writes it anew."""
    data = storage.read_range(part.key, 0, part.size_bytes)
    check_footer(data, part.footer_hash)
    return data


@lru_cache(maxsize=4)
def stored_at(url: str) -> Storage:
    """The storage at a URL, opened once a process."""
    return open_storage(url, signing_key=b"", base_url="")


def warm_up() -> None:
    """A task that does nothing: importing this module has loaded the kernel by then."""


def prepare_child() -> None:
    """For a pool's child: leave Ctrl-C to the parent, and never outlive it, however it ends."""
    leave_interrupts_to_parent()
    keep_freed_memory()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), name="outlive-guard", daemon=True).start()


def _exit_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
