"""What a child of the engine does for a migration: a group of chunks from their uploads to one part file.

Small uploads and appends go together, so that a dataset of many of them comes out as few files.
"""

from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

import pyarrow as pa

from assay.chunk_runs import stored_at
from assay.jobs import INLINE_ERRORS, RejectionPart
from assay.kernel.chunks import ChunkTask
from assay.kernel.normalise import Kept, Normalised, normalise_chunk
from assay.kernel.write import footer_hash, parquet_bytes
from assay.migrations import MigratedPart, NulledValue, nulled_values


@dataclass(frozen=True)
class MigrationPiece:
    """The records of one job that lie in one chunk of its upload."""

    job_id: UUID
    upload_key: str
    task: ChunkTask
    kept: Kept


@dataclass(frozen=True)
class MigrationGroup:
    """Pieces in the dataset's order, the file that they go to together, and the one for the values that they lose."""

    storage_url: str
    part_key: str
    nulled_key: str
    pieces: tuple[MigrationPiece, ...]


@dataclass(frozen=True)
class GroupOutcome:
    record_count: int
    nulled_count: int
    first_nulled: list[NulledValue]
    nulled: RejectionPart | None
    parts: list[MigratedPart]


def run_group(group: MigrationGroup) -> GroupOutcome:
    storage = stored_at(group.storage_url)
    results: list[Normalised] = []
    for piece in group.pieces:
        chunk = piece.task.chunk
        data = storage.read_range(piece.upload_key, chunk.offset, chunk.length)
        results.append(normalise_chunk(data, piece.task, piece.kept))
    part = parquet_bytes(pa.concat_tables([result.table for result in results]))
    storage.put(group.part_key, part)
    nulled = pa.concat_tables([result.nulled for result in results])
    nulled_part = None
    if nulled.num_rows:
        file = parquet_bytes(nulled)
        storage.put(group.nulled_key, file)
        nulled_part = RejectionPart(group.nulled_key, fault_count=nulled.num_rows, footer_hash=footer_hash(file))
    return GroupOutcome(
        record_count=sum(len(piece.kept.rows) for piece in group.pieces),
        nulled_count=sum(result.nulled_count for result in results),
        first_nulled=nulled_values(nulled.slice(0, INLINE_ERRORS)),
        nulled=nulled_part,
        parts=_parts(group, part),
    )


def _parts(group: MigrationGroup, data: pa.Buffer) -> list[MigratedPart]:
    """A part for each job that has rows in the file."""
    parts: list[MigratedPart] = []
    row = 0
    hash_of_footer = footer_hash(data)
    for job_id, of_job in groupby(group.pieces, key=lambda piece: piece.job_id):
        count = sum(len(piece.kept.rows) for piece in of_job)
        part = MigratedPart(
            job_id,
            key=group.part_key,
            row_in_file=row,
            record_count=count,
            size_bytes=data.size,
            footer_hash=hash_of_footer,
        )
        parts.append(part)
        row += count
    return parts
