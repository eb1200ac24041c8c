"""One attempt at one job: the file's chunks through the engine, in order, to an outcome ready to be committed.

Knows storage, engine and kernel, no database: what it finds out on the way it tells through the callbacks it is given.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from assay.chunk_runs import ChunkOutcome, StoredChunk, read_part_ids, run_chunk, run_without_rows
from assay.error_summary import ErrorSummary
from assay.jobs import INLINE_ERRORS, Counts, NewPart, Outcome, RecordError, RejectionPart
from assay.kernel.chunks import Chunk, ChunkTask, plan_chunks
from assay.kernel.identity import Ids
from assay.kernel.pipelines import in_order
from assay.kernel.seen_ids import MANY_IDS, SeenIds
from assay.schema import DatasetSchema
from assay.storage.base import Storage

ID_READERS = 4
"""Threads that read the dataset's ids, a file each: they wait for the storage, and Arrow lets go of the interpreter."""


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
class _Part:
    """A part as it was written, and which of its rows repeat a record."""

    part: NewPart
    repeated: NDArray[np.int64]


@dataclass
class _Found:
    """What the chunks that have come back so far add up to."""

    counts: Counts = field(default_factory=Counts)
    errors: list[RecordError] = field(default_factory=list)
    summary: ErrorSummary = field(default_factory=ErrorSummary)
    parts: list[_Part] = field(default_factory=list)
    rejections: list[RejectionPart] = field(default_factory=list)


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


def import_file(
    plan: ImportPlan,
    *,
    storage: Storage,
    engine: Executor,
    chunks_at_once: int,
    known_ids: Iterable[Callable[[], Ids]],
    on_progress: Callable[[Counts], None],
) -> Outcome:
    """Check the whole upload. `on_progress` is called after each chunk, in file order; what it raises ends the attempt.

    The chunks tell what repeats within the file. The dataset's `known_ids` are read once all of the file's are there,
    batch by batch, so that they take no memory however many they are.

    Raises `FileFault` (from the kernel) when the file can't be used, `UploadDamaged` when it is not the file that was
    uploaded, and whatever the storage or the engine raise when they can't go on. At most `chunks_at_once` chunks are
    under way, so memory is bounded whatever the file's size.
    """
    seen = SeenIds()
    found = _Found()
    upload = UploadReader(plan, storage)
    for chunk, outcome in in_order(_chunks(plan, upload, storage.scan_bytes, engine), at_once=chunks_at_once):
        repeated = seen.add(outcome.ids)
        _add(found, chunk, outcome, duplicate_count=len(repeated))
        if outcome.part is not None:
            found.parts.append(_Part(outcome.part, repeated))
        on_progress(found.counts)
    # The chunks read it too, the last of them after the planner was through.
    upload.check_version()
    for ids in _maybe_known(seen, known_ids):
        seen.mark(ids)
        on_progress(found.counts)
    written: Iterable[_Part] = found.parts
    if seen.marked_count():
        written = _with_known(found, seen, plan.storage_url, engine, at_once=chunks_at_once)
    parts = _without_repeated(written, plan.storage_url, engine, at_once=chunks_at_once)
    return Outcome(
        counts=found.counts,
        errors=tuple(found.errors),
        error_summary=found.summary.rows(),
        parts=parts,
        rejections=tuple(found.rejections),
    )


def _chunks(
    plan: ImportPlan, upload: UploadReader, block_bytes: int, engine: Executor
) -> Iterator[tuple[Chunk, Future[ChunkOutcome]]]:
    chunks = plan_chunks(
        upload.read,
        size_bytes=plan.size_bytes,
        format=plan.format,
        schema=plan.schema,
        chunk_bytes=plan.chunk_bytes,
        record_limit_bytes=plan.record_limit_bytes,
        block_bytes=block_bytes,
    )
    for chunk in chunks:
        yield chunk, engine.submit(run_chunk, _stored_chunk(plan, chunk))
    upload.check()


def _maybe_known(seen: SeenIds, known_ids: Iterable[Callable[[], Ids]]) -> Iterator[Ids]:
    """For each batch of known ids, those that the file may have too. Threads read, and this one compares: it takes as
    long as the reading, and where several threads do both, they mostly wait for each other."""
    with ThreadPoolExecutor(ID_READERS) as readers:
        reading = ((None, readers.submit(read)) for read in known_ids)
        candidates = None  # what it needs is not made for a dataset without records
        for _, ids in in_order(reading, at_once=ID_READERS):
            candidates = candidates or seen.matcher()
            maybe_here = candidates(ids)
            del ids  # not kept until the next ones are there: a file may have a million
            yield maybe_here


def _with_known(found: _Found, seen: SeenIds, storage_url: str, engine: Executor, *, at_once: int) -> Iterator[_Part]:
    """The parts with the rows, too, that the dataset has already, whose ids are marked."""
    reading = ((each, engine.submit(read_part_ids, storage_url, each.part)) for each in found.parts)
    for batch in _batches(in_order(reading, at_once=at_once)):
        sizes = [len(ids) for _, ids in batch]
        is_marked = seen.is_marked(np.concatenate([ids for _, ids in batch]))
        for (each, _), is_repeated in zip(batch, np.split(is_marked, np.cumsum(sizes)[:-1]), strict=True):
            is_repeated[each.repeated] = True
            repeated = np.flatnonzero(is_repeated)
            found.counts = replace(found.counts, duplicate=found.counts.duplicate + len(repeated) - len(each.repeated))
            yield _Part(each.part, repeated)


def _batches(parts: Iterable[tuple[_Part, Ids]]) -> Iterator[list[tuple[_Part, Ids]]]:
    """The parts and their ids, `MANY_IDS` at a time."""
    batch: list[tuple[_Part, Ids]] = []
    for part in parts:
        batch.append(part)
        if sum(len(ids) for _, ids in batch) >= MANY_IDS:
            yield batch
            batch = []
    if batch:
        yield batch


def _without_repeated(
    parts: Iterable[_Part], storage_url: str, engine: Executor, *, at_once: int
) -> tuple[NewPart, ...]:
    """What is left of the parts: those with repeated rows written again, or left out if nothing else is in them."""
    left: dict[str, NewPart] = {}

    def rewriting() -> Iterator[tuple[str, Future[NewPart]]]:
        for each in parts:
            if len(each.repeated) < each.part.record_count:
                left[each.part.key] = each.part
                if len(each.repeated):
                    yield each.part.key, engine.submit(run_without_rows, storage_url, each.part, each.repeated)

    for key, rest in in_order(rewriting(), at_once=at_once):
        left[key] = rest
    return tuple(left.values())


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
