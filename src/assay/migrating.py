"""One attempt at one migration: every job's upload again, in order, to an outcome ready to be committed.

The records are those that the dataset has, in its order; only what the new schema makes of their values is new. Knows
storage, engine and kernel, no database, as importing does.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from assay.importing import ImportPlan, UploadDamaged, UploadReader
from assay.jobs import INLINE_ERRORS, Counts, RejectionPart
from assay.kernel.chunks import MAX_CELLS, Chunk, ChunkTask, FileFault, plan_chunks
from assay.kernel.normalise import Kept, readable
from assay.kernel.pipelines import in_order
from assay.migration_runs import GroupOutcome, MigrationGroup, MigrationPiece, run_group
from assay.migrations import MigratedPart, MigrationOutcome, NulledValue
from assay.storage.base import Storage

PIECES_A_GROUP = 256


@dataclass(frozen=True)
class Source:
    """A job with records in the dataset. `kept` are these, by their index in the upload, in any number of pieces.

    The plan's schema is the new one, and its folder for parts the migration's own.
    """

    job_id: UUID
    name: str
    plan: ImportPlan
    kept: Iterator[Kept]


@dataclass
class _Found:
    """What the groups that have come back so far add up to."""

    counts: Counts = field(default_factory=Counts)
    first_nulled: list[NulledValue] = field(default_factory=list)
    nulled: list[RejectionPart] = field(default_factory=list)
    parts: list[MigratedPart] = field(default_factory=list)


def migrate(
    sources: Iterable[Source],
    *,
    storage: Storage,
    engine: Executor,
    groups_at_once: int,
    on_progress: Callable[[Counts], None],
) -> MigrationOutcome:
    """Bring all records under the new schema. What `on_progress`, called after each group, raises ends the attempt.

    Raises `UploadDamaged` when an upload is not what the records were made of, and whatever the storage or the engine
    raise when they can't go on. Memory is bounded as an import's is.
    """
    found = _Found()
    unhashed: list[UploadReader] = []
    groups = ((group, engine.submit(run_group, group)) for group in _groups(_pieces(sources, storage, unhashed)))
    for _, outcome in in_order(groups, at_once=groups_at_once):
        _add(found, outcome, on_progress)
    for upload in unhashed:
        # The groups read it too, the last of them after the planner was through.
        upload.check_version()
    return MigrationOutcome(
        record_count=found.counts.accepted,
        nulled_count=found.counts.rejected,
        first_nulled=tuple(found.first_nulled),
        nulled=tuple(found.nulled),
        parts=tuple(found.parts),
    )


def _add(found: _Found, outcome: GroupOutcome, on_progress: Callable[[Counts], None]) -> None:
    found.counts = Counts(
        accepted=found.counts.accepted + outcome.record_count,
        rejected=found.counts.rejected + outcome.nulled_count,
    )
    found.first_nulled += outcome.first_nulled[: INLINE_ERRORS - len(found.first_nulled)]
    if outcome.nulled is not None:
        found.nulled.append(outcome.nulled)
    found.parts += outcome.parts
    on_progress(found.counts)


def _groups(pieces: Iterable[tuple[MigrationPiece, ImportPlan]]) -> Iterator[MigrationGroup]:
    """Pieces that follow each other, as many as are no more to hold than a chunk."""
    gathered: list[MigrationPiece] = []
    size_bytes = cells = number = 0
    last: ImportPlan | None = None
    for piece, plan in pieces:
        size_bytes += piece.task.chunk.length
        cells += piece.task.chunk.record_count * len(plan.schema.fields)
        is_full = size_bytes > plan.chunk_bytes or cells > MAX_CELLS or len(gathered) == PIECES_A_GROUP
        if last is not None and is_full:
            yield _group(gathered, last, number)
            gathered, number = [], number + 1
            size_bytes = piece.task.chunk.length
            cells = piece.task.chunk.record_count * len(plan.schema.fields)
        gathered.append(piece)
        last = plan
    if last is not None:
        yield _group(gathered, last, number)


def _group(pieces: list[MigrationPiece], plan: ImportPlan, number: int) -> MigrationGroup:
    name = f"part-{number:05d}.parquet"
    return MigrationGroup(
        plan.storage_url,
        part_key=f"{plan.parts_folder}/{name}",
        nulled_key=f"{plan.rejections_folder}/{name}",
        pieces=tuple(pieces),
    )


def _pieces(
    sources: Iterable[Source], storage: Storage, unhashed: list[UploadReader]
) -> Iterator[tuple[MigrationPiece, ImportPlan]]:
    for source in sources:
        try:
            upload = UploadReader(source.plan, storage)
            if source.plan.upload_hash is None:
                unhashed.append(upload)
            yield from ((piece, source.plan) for piece in _pieces_of(source, upload, storage.scan_bytes))
            upload.check()
        except FileFault as fault:
            raise UploadDamaged(f"{source.name}: {fault.reason}") from fault
        except UploadDamaged as damage:
            raise UploadDamaged(f"{source.name}: {damage}") from damage


def _pieces_of(source: Source, upload: UploadReader, scan_bytes: int) -> Iterator[MigrationPiece]:
    plan = source.plan
    kept = _KeptRecords(source.kept)
    chunks = plan_chunks(
        upload.read,
        size_bytes=plan.size_bytes,
        format=plan.format,
        schema=plan.schema,
        chunk_bytes=plan.chunk_bytes,
        record_limit_bytes=plan.record_limit_bytes,
        block_bytes=scan_bytes,
        is_known=True,
    )
    for chunk in chunks:
        of_chunk = kept.take(chunk)
        if len(of_chunk.rows):
            yield MigrationPiece(source.job_id, plan.upload_key, _task(plan, readable(chunk)), of_chunk)
    if not kept.is_used_up():
        raise UploadDamaged("it has fewer records than it had")


def _task(plan: ImportPlan, chunk: Chunk) -> ChunkTask:
    return ChunkTask(
        chunk=chunk,
        format=plan.format,
        schema=plan.schema,
        dataset_id=plan.dataset_id,
        record_limit_bytes=plan.record_limit_bytes,
    )


class _KeptRecords:
    """Hands out a job's records chunk by chunk, from pieces that were cut elsewhere."""

    def __init__(self, pieces: Iterator[Kept]) -> None:
        self._pieces = pieces
        self._rest = Kept(np.empty(0, np.int64), np.empty((0, 16), np.uint8))

    def take(self, chunk: Chunk) -> Kept:
        """Those in the chunk, by their places in it."""
        until = chunk.first_record_index + chunk.record_count
        taken: list[Kept] = []
        while self._fill():
            count = int(np.searchsorted(self._rest.rows, until))
            taken.append(Kept(self._rest.rows[:count], self._rest.ids[:count]))
            self._rest = Kept(self._rest.rows[count:], self._rest.ids[count:])
            if len(self._rest.rows):
                break
        if not taken:
            return self._rest
        rows = np.concatenate([kept.rows for kept in taken]) - chunk.first_record_index
        return Kept(rows, np.concatenate([kept.ids for kept in taken]))

    def is_used_up(self) -> bool:
        return not self._fill()

    def _fill(self) -> bool:
        while not len(self._rest.rows):
            following = next(self._pieces, None)
            if following is None:
                return False
            self._rest = following
        return True
