"""Runs bytes through planning and checking, chunk by chunk, and gives back what came out in plain values."""

from dataclasses import dataclass, field
from uuid import UUID

from assay.kernel.chunks import ChunkTask, FileFault, check_chunk, plan_chunks
from assay.kernel.formats import FORMATS
from assay.schema import parse_schema

DATASET_ID = UUID("0190a5d0-7c3e-7c3e-8c3e-0123456789ab")
CHUNK_SIZES = (1, 3, 16, 61, 1 << 20)


@dataclass
class Outcome:
    """`rejected` has every fault as (record index, field, code, reason, the record's bytes)."""

    accepted: list[tuple[int, dict]] = field(default_factory=list)
    rejected: list[tuple[int, str, str, str, bytes]] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    first_faults: list[tuple[int, str, str]] = field(default_factory=list)
    record_count: int = 0
    chunk_count: int = 0
    file_fault: str | None = None


def fields_schema(**fields):
    """A schema that requires nothing: `fields_schema(a="text", b={"type": "integer", "minimum": 1})`."""
    settings = {key: {"type": value} if isinstance(value, str) else value for key, value in fields.items()}
    return parse_schema({"strict": False, "fields": settings})


def outcome_of(data, schema, *, format="jsonl", chunk_bytes=1 << 20, record_limit_bytes=1 << 24):
    outcome = Outcome()

    def read(offset, length):
        return data[offset : offset + length]

    plan = plan_chunks(
        read,
        size_bytes=len(data),
        format=format,
        schema=schema,
        chunk_bytes=chunk_bytes,
        record_limit_bytes=record_limit_bytes,
    )
    try:
        for chunk in plan:
            task = ChunkTask(chunk, format, schema, DATASET_ID, record_limit_bytes)
            in_chunk = read(chunk.offset, chunk.length)
            assert_planned_as_framed(chunk, in_chunk, FORMATS[format].framing)
            _add(outcome, check_chunk(in_chunk, task), chunk, data)
    except FileFault as fault:
        outcome.file_fault = fault.reason
    return outcome


def assert_planned_as_framed(chunk, in_chunk, framing):
    """Where the planner says that lines end is where they are found without it."""
    if chunk.line_ends is not None:
        planned, found = framing.lines(in_chunk, 0, chunk.line_ends), framing.frames(in_chunk)
        for ours, theirs in zip(vars(planned).values(), vars(found).values(), strict=True):
            assert ours.tolist() == theirs.tolist()


def _add(outcome, result, chunk, data):
    assert (chunk.index, chunk.first_record_index) == (outcome.chunk_count, outcome.record_count)
    assert result.record_count == chunk.record_count == result.accepted_count + result.rejected_count
    assert result.table.num_rows == result.accepted_count == len(result.ids)
    assert len(result.first_faults) == min(result.rejected_count, 1000)
    result.table.validate(full=True)
    result.rejections.validate(full=True)
    for row in result.table.drop_columns("datapoint_id").to_pylist():
        outcome.accepted.append((row.pop("record_index"), row))
    for row in result.rejections.to_pylist():
        record = data[row["byte_offset"] : row["byte_offset"] + row["byte_length"]]
        outcome.rejected.append((row["record_index"], row["field"], row["code"], row["reason"], record))
    outcome.ids += [bytes(row) for row in result.ids]
    outcome.first_faults += result.first_faults
    outcome.record_count += result.record_count
    outcome.chunk_count += 1
