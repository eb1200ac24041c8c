"""What is measured: each contender reads a file, does its work, and writes Parquet with zstd level 1, on two cores.

`python kernel_contenders.py NAME FILE SMALL_FILE FOLDER` runs one and prints what it counted and how long it took, from
a warm start: its packages are imported, its processes are up, and they have done the same with the small file, before
the clock runs. A package is imported where it is used.
"""

import csv
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from kernel_data import FIELDS, SCHEMA
from process_tree import cpu_seconds

CHUNK_BYTES = 16 * 1024 * 1024  # of the loops
PROCESSES = 2
SMALL_SHARE = 50

Counts = tuple[int, int]
"""Accepted and rejected; -1 where the contender doesn't tell."""


# Assay


def prepare_assay() -> Executor:
    from assay.children import prepare_environment
    from assay.kernel import chunks, seen_ids
    from assay.kernel.memory import keep_freed_memory
    from assay.kernel.pipelines import process_pool

    assert chunks
    assert seen_ids
    prepare_environment()
    keep_freed_memory()
    pool = process_pool(PROCESSES, keep_freed_memory)
    for _ in pool.map(_warm_assay, range(PROCESSES * 2)):
        pass
    return pool


def _warm_assay(_: int) -> None:
    from assay.kernel import fast_pass
    from assay.storage import direct

    assert fast_pass
    assert direct
    time.sleep(0.5)  # so that each process of the pool takes its share of these tasks


def run_assay(pool: Executor, path: Path, folder: Path) -> Counts:
    from uuid import UUID

    from assay.kernel.chunks import ChunkTask, plan_chunks
    from assay.kernel.pipelines import in_order
    from assay.kernel.seen_ids import SeenIds
    from assay.schema import parse_schema

    schema = parse_schema(SCHEMA)
    format = path.suffix[1:]
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        plan = plan_chunks(read, size_bytes=path.stat().st_size, format=format, schema=schema)
        seen = SeenIds()
        accepted = rejected = 0
        tasks = (ChunkTask(chunk, format, schema, UUID(int=0)) for chunk in plan)
        pieces = ((task, pool.submit(_assay_chunk, path, folder, task)) for task in tasks)
        for _, (ids, rejected_here) in in_order(pieces, at_once=PROCESSES + 2):
            seen.add(ids)
            accepted, rejected = accepted + len(ids), rejected + rejected_here
    return accepted, rejected


def _assay_chunk(path: Path, folder: Path, task: Any) -> tuple[Any, int]:
    from assay.kernel.chunks import check_chunk
    from assay.kernel.write import parquet_bytes
    from assay.storage.direct import write_new_file

    with path.open("rb") as file:
        file.seek(task.chunk.offset)
        result = check_chunk(file.read(task.chunk.length), task)
    for name, table in (("part", result.table), ("rejections", result.rejections)):
        if not len(table):
            continue
        with (folder / f"{name}-{task.chunk.index}.parquet").open("xb", buffering=0) as file:
            write_new_file(file.fileno(), parquet_bytes(table))
    return result.ids, result.rejected_count


# The floor, and engines that don't judge


def run_floor(_: None, path: Path, folder: Path) -> Counts:
    lines = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
    return lines, -1


def prepare_duckdb() -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {PROCESSES}")
    return connection


def run_duckdb(connection: Any, path: Path, folder: Path) -> Counts:
    reader = "read_json" if path.suffix == ".jsonl" else "read_csv"
    to = f"'{folder / 'out.parquet'}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    rows = connection.execute(f"COPY (FROM {reader}('{path}', ignore_errors = true)) TO {to}").fetchone()
    return rows[0], -1


# Loops over records with a library that judges one at a time


def prepare_loop() -> Executor:
    pool = ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn"))
    for _ in pool.map(_warm_loop, range(PROCESSES * 2)):
        pass
    return pool


def _warm_loop(_: int) -> None:
    import jsonschema_rs
    import msgspec
    import orjson
    import pyarrow.parquet
    import pydantic

    assert all((jsonschema_rs, msgspec, orjson, pyarrow.parquet, pydantic))
    time.sleep(0.5)


def loop(name: str, *, with_ids: bool = False) -> Callable[[Executor, Path, Path], Counts]:
    """`with_ids`: each record gets an id of its content and its place in the file, and repeats are found by a set, as
    Assay does and as whoever loads files again and again has to."""

    def run(pool: Executor, path: Path, folder: Path) -> Counts:
        ranges = _ranges(path)
        jobs = [pool.submit(_loop_range, name, path, folder, *bounds, with_ids) for bounds in ranges]
        accepted = rejected = 0
        seen: set[bytes] = set()
        for job in jobs:
            accepted_here, rejected_here, ids = job.result()
            seen.update(ids)
            accepted, rejected = accepted + accepted_here, rejected + rejected_here
        assert len(seen) == (accepted if with_ids else 0), "the bench's records are all different"
        return accepted, rejected

    return run


def _ranges(path: Path) -> list[tuple[int, int]]:
    """Byte ranges of whole lines. (The CSV's quoted line breaks: a cut never falls into one, as it looks for `ok.`.)"""
    size = path.stat().st_size
    cuts = [0]
    with path.open("rb") as file:
        while cuts[-1] + CHUNK_BYTES < size:
            file.seek(cuts[-1] + CHUNK_BYTES)
            window = file.read(1 << 16)
            mark = window.find(b'"}\n') + 2 if path.suffix == ".jsonl" else _end_of_row(window)
            cuts.append(cuts[-1] + CHUNK_BYTES + mark + 1)
    return list(zip(cuts, [*cuts[1:], size], strict=True))


def _end_of_row(window: bytes) -> int:
    import re

    found = re.search(rb",g-\d+\n", window)
    assert found is not None
    return found.end() - 1


def _loop_range(
    name: str, path: Path, folder: Path, start: int, end: int, with_ids: bool
) -> tuple[int, int, list[bytes]]:
    from xxhash import xxh3_128_digest

    with path.open("rb") as file:
        file.seek(start)
        data = file.read(end - start)
    is_csv = path.suffix == ".csv"
    judge = JUDGES[name](is_csv)
    columns: list[list[object]] = [[] for _ in FIELDS]
    faults: list[tuple[int, str]] = []
    ids: list[bytes] = []
    places: list[int] = []
    for number, record in enumerate(_csv_records(data, start) if is_csv else data.splitlines()):
        try:
            values = judge(record)
        except Exception as error:  # noqa: BLE001  # each library has its own
            faults.append((start + number, str(error)[:200]))
            continue
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        if with_ids:
            ids.append(xxh3_128_digest("\0".join(record.values()).encode() if isinstance(record, dict) else record))
            places.append(start + number)
    accepted = dict(zip(FIELDS, columns, strict=True))
    _write(folder, start, {"id": ids, "place": places, **accepted} if with_ids else accepted, faults)
    return len(columns[0]), len(faults), ids


def _csv_records(data: bytes, start: int) -> Iterator[dict[str, str]]:
    text = io.StringIO(data.decode(), newline="")
    if start == 0:
        text.readline()
    return csv.DictReader(text, FIELDS)


def _write(folder: Path, start: int, accepted: Mapping[str, Sequence[object]], faults: list[tuple[int, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, table in (
        ("part", pa.table(dict(accepted))),
        ("rejections", pa.table({"at": [at for at, _ in faults], "reason": [reason for _, reason in faults]})),
    ):
        path = folder / f"{name}-{start}.parquet"
        if len(table):
            pq.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=False)


def pydantic_judge(is_csv: bool) -> Callable[[Any], Any]:
    from typing import Annotated

    import pydantic

    text = Annotated[str, pydantic.StringConstraints(min_length=1)]
    model: Any = pydantic.create_model(
        "Record",
        prompt=(str, ...),
        response_a=(str, ...),
        response_b=(str, ...),
        notes=(str, ...),
        image=(Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[^/\s]+")], ...),
        age=(Annotated[int, pydantic.Field(gt=0)], ...),
        score=(float, ...),
        group=(text, ...),
    )
    read = model.model_validate if is_csv else model.model_validate_json
    return lambda record: list(read(record).__dict__.values())


def jsonschema_judge(is_csv: bool) -> Callable[[Any], Any]:
    import jsonschema_rs
    import orjson

    properties: dict[str, Any] = {key: {"type": "string"} for key in FIELDS}
    properties["image"]["pattern"] = r"^https?://[^/\s]+"
    properties["age"] = {"type": "integer", "exclusiveMinimum": 0}
    properties["score"] = {"type": "number"}
    properties["group"]["minLength"] = 1
    validator = jsonschema_rs.validator_for({"type": "object", "properties": properties, "required": FIELDS})

    def judge(record: Any) -> list[object]:
        if is_csv:
            record = {**record, "age": int(record["age"]), "score": float(record["score"])}
        else:
            record = orjson.loads(record)
        validator.validate(record)
        return [record[key] for key in FIELDS]

    return judge


def msgspec_judge(is_csv: bool) -> Callable[[Any], Any]:
    from typing import Annotated

    import msgspec

    kinds: dict[str, Any] = dict.fromkeys(FIELDS, str)
    kinds["image"] = Annotated[str, msgspec.Meta(pattern=r"^https?://[^/\s]+")]
    kinds["age"] = Annotated[int, msgspec.Meta(gt=0)]
    kinds["score"] = float
    kinds["group"] = Annotated[str, msgspec.Meta(min_length=1)]
    record_type = msgspec.defstruct("Record", list(kinds.items()))
    decode = msgspec.json.Decoder(record_type).decode
    if is_csv:
        return lambda record: msgspec.structs.astuple(msgspec.convert(record, record_type, strict=False))
    return lambda record: msgspec.structs.astuple(decode(record))


JUDGES: dict[str, Callable[[bool], Callable[[Any], Any]]] = {
    "pydantic": pydantic_judge,
    "orjson + jsonschema-rs": jsonschema_judge,
    "msgspec": msgspec_judge,
}


# Frameworks


def prepare_polars() -> None:
    import pandera.polars

    assert pandera.polars


def run_pandera(_: None, path: Path, folder: Path) -> Counts:
    """A JSONL file must be clean: Polars refuses it whole for one malformed line. Ragged CSV rows are cut silently."""
    import pandera.polars as pandera
    import polars

    types: dict[str, Any] = dict.fromkeys(FIELDS, polars.String) | {"age": polars.Int64, "score": polars.Float64}
    checks = {
        "image": pandera.Check.str_matches(r"^https?://[^/\s]+"),
        "age": pandera.Check.gt(0),
        "group": pandera.Check.str_length(min_value=1),
    }
    schema = pandera.DataFrameSchema(
        {key: pandera.Column(types[key], checks.get(key), nullable=False) for key in FIELDS}, drop_invalid_rows=True
    )
    if path.suffix == ".jsonl":
        frame = polars.read_ndjson(path, schema=types)
    else:
        frame = polars.read_csv(path, schema=types, ignore_errors=True, truncate_ragged_lines=True)
    valid = schema.validate(frame, lazy=True)
    valid.write_parquet(folder / "out.parquet", compression="zstd", compression_level=1)
    return len(valid), len(frame) - len(valid)


def prepare_frictionless() -> None:
    import frictionless

    assert frictionless


def run_frictionless(_: None, path: Path, folder: Path) -> Counts:
    """Judges, and writes nothing. Given a fiftieth of the file, and its time taken fifty times: it is that slow."""
    import frictionless

    start = folder / f"start{path.suffix}"
    with path.open("rb") as file:
        start.write_bytes(file.read(path.stat().st_size // SMALL_SHARE).rpartition(b"\n")[0] + b"\n")
    kinds: dict[str, Any] = {key: {"name": key, "type": "string", "constraints": {"required": True}} for key in FIELDS}
    kinds["image"]["constraints"]["pattern"] = r"https?://[^/\s]+.*"
    kinds["age"].update(type="integer", constraints={"required": True, "minimum": 1})
    kinds["score"]["type"] = "number"
    schema = frictionless.Schema.from_descriptor({"fields": list(kinds.values())})
    format = "ndjson" if path.suffix == ".jsonl" else "csv"
    resource = frictionless.Resource(path=start.name, basepath=str(folder), format=format, schema=schema)
    report = resource.validate(limit_errors=1_000_000)
    unread = [note for row, note in report.flatten(["rowNumber", "note"]) if row is None]
    if unread:
        raise ValueError(unread[0])
    bad_rows = {row for (row,) in report.flatten(["rowNumber"])}
    return report.tasks[0].stats["rows"] - len(bad_rows), len(bad_rows)


CONTENDERS: dict[str, tuple[Callable[[], Any], Callable[[Any, Path, Path], Counts]]] = {
    "floor": (lambda: None, run_floor),
    "DuckDB COPY": (prepare_duckdb, run_duckdb),
    "Assay": (prepare_assay, run_assay),
    "msgspec": (prepare_loop, loop("msgspec")),
    "msgspec with ids": (prepare_loop, loop("msgspec", with_ids=True)),
    "orjson + jsonschema-rs": (prepare_loop, loop("orjson + jsonschema-rs")),
    "pydantic": (prepare_loop, loop("pydantic")),
    "pandera on Polars": (prepare_polars, run_pandera),
    "Frictionless": (prepare_frictionless, run_frictionless),
}


def main() -> None:
    name, (path, small_path, folder) = sys.argv[1], map(Path, sys.argv[2:])
    prepare, run = CONTENDERS[name]
    prepared = prepare()
    with tempfile.TemporaryDirectory(dir=folder) as small_folder:
        run(prepared, small_path, Path(small_folder))
    used, started = cpu_seconds(os.getpid()), time.perf_counter()
    accepted, rejected = run(prepared, path, folder)
    seconds, used = time.perf_counter() - started, cpu_seconds(os.getpid()) - used
    print(json.dumps({"seconds": seconds, "cpu_seconds": used, "accepted": accepted, "rejected": rejected}), flush=True)
    if isinstance(prepared, Executor):
        prepared.shutdown()


if __name__ == "__main__":
    main()
