"""The offline check of a file on this machine: the same kernel as the service's, and no server."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import pyarrow as pa

from assay.error_summary import ErrorSummary, FaultCount
from assay.errors import ErrorCode, Unavailable
from assay.fileformats import FILE_FORMATS, format_of_local_file
from assay.kernel.chunks import (
    DEFAULT_CHUNK_BYTES,
    DEFAULT_RECORD_LIMIT_BYTES,
    MAX_FIRST_FAULTS,
    Chunk,
    ChunkResult,
    ChunkTask,
    check_chunk,
    plan_chunks,
)
from assay.kernel.columns import accepted_arrow_schema
from assay.kernel.files import FileFault, ReadRange, read_header, text_offset
from assay.kernel.formats import FORMATS
from assay.kernel.interrupts import interrupts_held_back, leave_interrupts_to_parent
from assay.kernel.memory import keep_freed_memory
from assay.kernel.pipelines import in_order, process_pool
from assay.kernel.seen_ids import SeenIds
from assay.kernel.write import parquet_writer, without_rows
from assay.schema import DatasetSchema
from assay.whole_files import written_whole

NO_DATASET = UUID(int=0)
"""Stands for the dataset in the ids of records that belong to none."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the size of the file."""

Checked = Generator[tuple[Chunk, ChunkResult], None, None]

COPY_BYTES = 1024 * 1024


@dataclass
class Report:
    """`accepted_count` includes duplicates. `faults_by_reason` counts faults by their field and reason; where there are
    very many reasons, as when each names its position, by the title of their code. The last two are of a CSV: columns
    whose values are not kept, and fields that are null in each record. `first_lines` are the lines of the file, from 1,
    on which the records of `first_faults` begin."""

    record_count: int = 0
    accepted_count: int = 0
    rejected_count: int = 0
    duplicate_count: int = 0
    first_faults: list[tuple[int, str, str]] = field(default_factory=list)
    faults_by_reason: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_lines: list[int] = field(default_factory=list)
    columns_not_in_schema: tuple[str, ...] = ()
    fields_without_column: tuple[str, ...] = ()


def check_file(
    path: Path,
    schema: DatasetSchema,
    *,
    accepted: Path | None = None,
    rejected: Path | None = None,
    processes: int = 1,
    chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    progress: Progress | None = None,
) -> Report:
    """Raises `FileFault` if the file can't be used, `Unavailable` if a process of the pool was killed; then neither
    output is there. `rejected` gets the rejected records byte for byte, below the file's byte order mark and header."""
    format = format_of_local_file(path.name)
    if format is None:
        endings = " or ".join(row.extension for row in FILE_FORMATS.values())
        raise FileFault(f"The name of the file must end with {endings}.")
    report = Report()
    summary = ErrorSummary()
    seen = SeenIds()
    first_offsets: list[int] = []
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        read = _reader(file)
        size_bytes = os.fstat(file.fileno()).st_size
        plan = plan_chunks(read, size_bytes=size_bytes, format=format, schema=schema, chunk_bytes=chunk_bytes)
        write_accepted = stack.enter_context(_accepted_writer(accepted, schema))
        write_rejected = stack.enter_context(_rejected_writer(rejected, read, format, size_bytes))
        tasks = (ChunkTask(chunk, format, schema, NO_DATASET) for chunk in plan)
        pooled = processes > 1 and size_bytes > chunk_bytes
        if pooled:
            checked = _checked_in_pool(path, tasks, processes, with_records=accepted is not None)
        else:
            checked = _checked_here(read, tasks)
        for chunk, result in stack.enter_context(closing(checked)):
            if chunk.header is not None and not report.record_count:
                _compare_names(report, chunk.header, [field.key for field in schema.fields])
            repeated = seen.add(result.ids)
            first_offsets += _offsets(result, MAX_FIRST_FAULTS - len(first_offsets))
            _add(report, result, duplicate_count=len(repeated))
            summary.add(_fault_counts(result.rejections))
            if accepted is not None:
                write_accepted(without_rows(result.table, repeated))
            write_rejected(result.rejections)
            if progress is not None:
                progress(chunk.end, size_bytes)
        report.first_lines = _lines_at(read, first_offsets)
    report.faults_by_reason = Counter({(row.field, row.reason): row.count for row in summary.rows()})
    return report


def _compare_names(report: Report, columns: tuple[str, ...], keys: list[str]) -> None:
    known, present = set(keys), set(columns)
    report.columns_not_in_schema = tuple(name for name in columns if name not in known)
    report.fields_without_column = tuple(key for key in keys if key not in present)


def _offsets(result: ChunkResult, most: int) -> list[int]:
    """Where the first rejected records begin, each once."""
    return list(dict.fromkeys(result.rejections.column("byte_offset").to_pylist()))[:most] if most else []


def _lines_at(read: ReadRange, offsets: list[int]) -> list[int]:
    """The lines that begin at these places, ascending; line breaks within quotes count."""
    lines, at, line = [], 0, 1
    for offset in offsets:
        for start in range(at, offset, COPY_BYTES):
            line += read(start, min(COPY_BYTES, offset - start)).count(b"\n")
        at = offset
        lines.append(line)
    return lines


def _add(report: Report, result: ChunkResult, *, duplicate_count: int) -> None:
    report.record_count += result.record_count
    report.accepted_count += result.accepted_count
    report.rejected_count += result.rejected_count
    report.duplicate_count += duplicate_count
    report.first_faults += result.first_faults[: MAX_FIRST_FAULTS - len(report.first_faults)]


def _fault_counts(rejections: pa.Table) -> list[FaultCount]:
    """In Python: the first use of Arrow's compute functions takes longer than the check of a small file."""
    columns = [rejections.column(name).to_pylist() for name in ("field", "code", "reason")]
    kinds = Counter(zip(*columns, strict=True)).items()
    return [FaultCount(field, code, reason, count) for (field, code, reason), count in kinds]


def _reader(file: BinaryIO) -> ReadRange:
    def read(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    return read


def _checked_here(read: ReadRange, tasks: Iterable[ChunkTask]) -> Checked:
    for task in tasks:
        yield task.chunk, check_chunk(read(task.chunk.offset, task.chunk.length), task)


def _checked_in_pool(path: Path, tasks: Iterable[ChunkTask], processes: int, *, with_records: bool) -> Checked:
    """In the file's order. No more chunks are under way than the processes need to stay busy."""
    with process_pool(processes, _prepare_child) as pool:
        submitted = ((task.chunk, _submitted(pool, path, task, with_records)) for task in tasks)
        try:
            yield from in_order(submitted, at_once=processes + 1)
        except BrokenProcessPool as error:
            raise Unavailable(
                "A checking process was ended by the operating system, perhaps for want of memory. "
                "Try again with fewer processes or smaller chunks.",
                code=ErrorCode.ENGINE_UNAVAILABLE,
            ) from error


def _submitted(pool: Executor, path: Path, task: ChunkTask, with_records: bool) -> Future[ChunkResult]:
    with interrupts_held_back():
        return pool.submit(_check_range, path, task, with_records)


def _check_range(path: Path, task: ChunkTask, with_records: bool) -> ChunkResult:
    with path.open("rb") as file:
        result = check_chunk(_reader(file)(task.chunk.offset, task.chunk.length), task)
    # The records are most of what would go from process to process.
    return result if with_records else replace(result, table=result.table.schema.empty_table())


def _prepare_child() -> None:
    leave_interrupts_to_parent()
    keep_freed_memory()


@contextmanager
def _accepted_writer(path: Path | None, schema: DatasetSchema) -> Iterator[Callable[[pa.Table], None]]:
    if path is None:
        yield lambda table: None
        return
    with written_whole(path) as file, ExitStack() as stack:
        writer = None

        def write(table: pa.Table) -> None:
            nonlocal writer
            writer = writer or stack.enter_context(parquet_writer(file, table))
            if table.num_rows:
                writer.write_table(table)

        yield write
        if writer is None:
            write(accepted_arrow_schema(schema).empty_table())


@contextmanager
def _rejected_writer(
    path: Path | None, read: ReadRange, format: str, size_bytes: int
) -> Iterator[Callable[[pa.Table], None]]:
    if path is None:
        yield lambda rejections: None
        return
    with written_whole(path) as file:
        if FORMATS[format].has_header:
            end = read_header(read, size_bytes=size_bytes, record_limit_bytes=DEFAULT_RECORD_LIMIT_BYTES).end
        else:
            end = text_offset(read, size_bytes)
        _copy(read, file, 0, end)
        yield lambda rejections: _copy_rejected(read, file, rejections)


def _copy_rejected(read: ReadRange, file: BinaryIO, rejections: pa.Table) -> None:
    offsets = rejections.column("byte_offset").to_pylist()
    # A record with several faults stands in as many rows.
    ranges = dict(zip(offsets, rejections.column("byte_length").to_pylist(), strict=True))
    for offset, length in ranges.items():
        after = read(offset + length, 2)
        line_end = 2 if after == b"\r\n" else after[:1] in (b"\n", b"\r")
        _copy(read, file, offset, length + line_end)


def _copy(read: ReadRange, file: BinaryIO, offset: int, length: int) -> None:
    for at in range(offset, offset + length, COPY_BYTES):
        file.write(read(at, min(COPY_BYTES, offset + length - at)))
