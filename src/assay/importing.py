"""One attempt at one job: the file's chunks through the engine, in order, to an outcome ready to be committed.

Knows storage, engine and kernel, no database: what it finds out on the way it tells through the callbacks it is given.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from xxhash import xxh3_128

from assay.chunk_runs import ChunkOutcome, StoredChunk, run_chunk, run_without_rows
from assay.error_summary import ErrorSummary
from assay.jobs import INLINE_ERRORS, Counts, NewPart, Outcome, RecordError, RejectionPart
from assay.kernel.chunks import Chunk, ChunkTask, plan_chunks
from assay.kernel.packed_ids import PackedIds
from assay.schema import DatasetSchema
from assay.storage.base import Storage


class UploadDamaged(Exception):
    """The stored upload is not what was uploaded: it was replaced, cut short or damaged since."""


@dataclass(frozen=True)
class ImportPlan:
    """What an attempt needs to know. The folders are the attempt's own: no other attempt writes there."""

    dataset_id: UUID
    upload_key: str
    size_bytes: int
    upload_version: str | None
    upload_hash: str | None
    format: str
    schema: DatasetSchema
    parts_folder: str
    rejections_folder: str
    storage_url: str
    chunk_bytes: int
    record_limit_bytes: int


@dataclass
class _Found:
    """What the chunks that have come back so far add up to."""

    counts: Counts = field(default_factory=Counts)
    errors: list[RecordError] = field(default_factory=list)
    summary: ErrorSummary = field(default_factory=ErrorSummary)
    # A part that had to be written again, without its duplicates, is still on its way.
    parts: list[NewPart | Future[NewPart | None]] = field(default_factory=list)
    rejections: list[RejectionPart] = field(default_factory=list)


def import_file(
    plan: ImportPlan,
    *,
    storage: Storage,
    engine: Executor,
    chunks_at_once: int,
    known_ids: Iterable[np.ndarray],
    on_progress: Callable[[Counts], None],
) -> Outcome:
    """Check the whole upload. `on_progress` is called after each chunk, in file order; what it raises ends the attempt.

    Raises `FileFault` (from the kernel) when the file can't be used, `UploadDamaged` when it is not the file that was
    uploaded, and whatever the storage or the engine raise when they can't go on. At most `chunks_at_once` chunks are
    under way, so memory is bounded whatever the file's size.
    """
    seen = PackedIds(known_ids)
    found = _Found()
    try:
        for chunk, outcome in _in_order(plan, storage=storage, engine=engine, chunks_at_once=chunks_at_once):
            duplicates = seen.add(outcome.ids)
            _add(found, chunk, outcome, duplicate_count=len(duplicates))
            if outcome.part is not None:
                if len(duplicates) == 0:
                    found.parts.append(outcome.part)
                elif len(duplicates) < outcome.part.record_count:
                    found.parts.append(engine.submit(run_without_rows, plan.storage_url, outcome.part, duplicates))
            on_progress(found.counts)
        parts = [part.result() if isinstance(part, Future) else part for part in found.parts]
    finally:
        end_futures(part for part in found.parts if isinstance(part, Future))
    return Outcome(
        counts=found.counts,
        errors=tuple(found.errors),
        error_summary=found.summary.rows(),
        parts=tuple(part for part in parts if part is not None),
        rejections=tuple(found.rejections),
    )


def _in_order(
    plan: ImportPlan, *, storage: Storage, engine: Executor, chunks_at_once: int
) -> Iterator[tuple[Chunk, ChunkOutcome]]:
    upload = UploadReader(plan, storage)
    chunks = plan_chunks(
        upload.read,
        size_bytes=plan.size_bytes,
        format=plan.format,
        schema=plan.schema,
        chunk_bytes=plan.chunk_bytes,
        record_limit_bytes=plan.record_limit_bytes,
        block_bytes=storage.scan_bytes,
    )
    under_way: deque[tuple[Chunk, Future[ChunkOutcome]]] = deque()
    try:
        for chunk in chunks:
            if len(under_way) == chunks_at_once:
                yield _next_result(under_way)
            under_way.append((chunk, engine.submit(run_chunk, _stored_chunk(plan, chunk))))
        upload.check()
        while under_way:
            yield _next_result(under_way)
        # The chunks read it too, the last of them after the planner was through.
        upload.check_version()
    finally:
        end_futures(future for _, future in under_way)


def end_futures(futures: Iterable[Future[Any]]) -> None:
    """Nothing of an attempt goes on writing when it has ended: what its files are is known by then."""
    wait([future for future in futures if not future.cancel()])


class UploadReader:
    """Reads the upload for the planner, which passes over all of it, so that any change since the upload shows."""

    def __init__(self, plan: ImportPlan, storage: Storage) -> None:
        self._plan = plan
        self._storage = storage
        self._hash = xxh3_128()
        self._hashed_bytes = 0
        self.check_version()

    def read(self, offset: int, length: int) -> bytes:
        data = self._storage.read_range(self._plan.upload_key, offset, length)
        if len(data) < min(length, self._plan.size_bytes - offset):
            raise UploadDamaged(f"it ends at byte {offset + len(data):,} of {self._plan.size_bytes:,}")
        new = memoryview(data)[max(0, self._hashed_bytes - offset) :]
        if offset <= self._hashed_bytes and new:
            self._hash.update(new)
            self._hashed_bytes += len(new)
        return data

    def check(self) -> None:
        """Once the planner has passed over everything. The hash is known where the upload came in through us."""
        self.check_version()
        whole = self._hashed_bytes == self._plan.size_bytes
        if self._plan.upload_hash is not None and whole and self._hash.hexdigest() != self._plan.upload_hash:
            raise UploadDamaged("its bytes have changed")

    def check_version(self) -> None:
        stored = self._storage.stat(self._plan.upload_key)
        if stored is None:
            raise UploadDamaged("it is gone")
        if stored.size_bytes != self._plan.size_bytes:
            raise UploadDamaged(f"it has {stored.size_bytes:,} bytes, not {self._plan.size_bytes:,}")
        # A local file's version says where it lies, too, which a restored backup changes; its hash says more.
        if self._plan.upload_hash is None and stored.version != self._plan.upload_version:
            raise UploadDamaged("it was replaced by another upload to the same URL")


def _next_result(under_way: deque[tuple[Chunk, Future[ChunkOutcome]]]) -> tuple[Chunk, ChunkOutcome]:
    chunk, future = under_way.popleft()
    return chunk, future.result()


def _stored_chunk(plan: ImportPlan, chunk: Chunk) -> StoredChunk:
    return StoredChunk(
        storage_url=plan.storage_url,
        upload_key=plan.upload_key,
        parts_folder=plan.parts_folder,
        rejections_folder=plan.rejections_folder,
        task=ChunkTask(
            chunk=chunk,
            format=plan.format,
            schema=plan.schema,
            dataset_id=plan.dataset_id,
            record_limit_bytes=plan.record_limit_bytes,
        ),
    )


def _add(found: _Found, chunk: Chunk, outcome: ChunkOutcome, *, duplicate_count: int) -> None:
    found.counts = Counts(
        accepted=found.counts.accepted + outcome.accepted_count,
        rejected=found.counts.rejected + outcome.rejected_count,
        duplicate=found.counts.duplicate + duplicate_count,
        processed_offset=chunk.end,
    )
    room = INLINE_ERRORS - len(found.errors)
    found.errors.extend(RecordError(*fault) for fault in outcome.first_faults[:room])
    found.summary.add(outcome.fault_counts)
    if outcome.rejections is not None:
        found.rejections.append(outcome.rejections)
