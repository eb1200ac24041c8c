"""What a dataset's records cost the next import: `python benchmarks/known_ids.py [known millions] [thousand new]`.

Imports one file into an empty dataset and into one that has 10 million records, in turns; prints each turn's times and
the median of what the known ids added.
"""

import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from kernel_data import SCHEMA, made_file
from process_tree import cpu_seconds

from assay.config import Settings
from assay.engines import open_engine
from assay.importing import ImportPlan, import_file
from assay.jobs import StoredParquet
from assay.kernel.identity import ids_to_arrow
from assay.kernel.write import footer_hash, parquet_bytes
from assay.reading import read_ids
from assay.schema import parse_schema
from assay.storage.base import Storage, open_storage

IDS_A_PART = 100_000
ROUNDS = 5


def main(known_count: int, new_count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"file://{folder}"
        storage = open_storage(url, signing_key=b"benchmark", base_url="")
        path = made_file(Path(folder), format="jsonl", records=new_count, bad_percent=1)
        plan = plan_of(path, url, storage)
        parts = known_parts(storage, known_count)
        engine = open_engine(Settings(data_dir=Path(folder), workers=2))
        try:
            import_once(plan, storage, engine.executor, [])  # starts and warms the processes
            added: list[tuple[float, float]] = []
            for _ in range(ROUNDS):
                alone, beside = (import_once(plan, storage, engine.executor, known) for known in ([], parts))
                added.append((beside[0] / alone[0] - 1, beside[1] / alone[1] - 1))
                print(f"seconds {alone[0]:.2f} and {beside[0]:.2f}, of processors {alone[1]:.2f} and {beside[1]:.2f}")
            seconds, processors = (statistics.median(each) for each in zip(*added, strict=True))
            print(f"{known_count:,} known ids add {seconds:.1%} of time and {processors:.1%} of processor time")
        finally:
            engine.end()


def plan_of(path: Path, url: str, storage: Storage) -> ImportPlan:
    stored = storage.stat(path.name)
    assert stored is not None
    return ImportPlan(
        dataset_id=UUID(int=1),
        upload_key=path.name,
        size_bytes=stored.size_bytes,
        upload_version=stored.version,
        upload_hash=None,
        format="jsonl",
        schema=parse_schema(SCHEMA),
        parts_folder="new/parts",
        rejections_folder="new/rejections",
        storage_url=url,
        chunk_bytes=16 * 1024 * 1024,
        record_limit_bytes=16 * 1024 * 1024,
    )


def known_parts(storage: Storage, count: int) -> list[StoredParquet]:
    chance = np.random.default_rng(1)
    parts = []
    for number in range(0, count, IDS_A_PART):
        ids = chance.integers(0, 256, (min(IDS_A_PART, count - number), 16), np.uint8)
        data = parquet_bytes(pa.table({"datapoint_id": ids_to_arrow(ids)}))
        parts.append(StoredParquet(f"known/{number}.parquet", data.size, footer_hash(data)))
        storage.put(parts[-1].key, data)
    return parts


def import_once(plan: ImportPlan, storage: Storage, executor: Any, known: list[StoredParquet]) -> tuple[float, float]:
    reads = [partial(read_ids, storage, part) for part in known]
    used, started = cpu_seconds(os.getpid()), time.perf_counter()
    import_file(plan, storage=storage, engine=executor, chunks_at_once=3, known_ids=reads, on_progress=lambda _: None)
    return time.perf_counter() - started, cpu_seconds(os.getpid()) - used


if __name__ == "__main__":
    sys.argv += ["10", "1000"][len(sys.argv) - 1 :]
    main(int(float(sys.argv[1]) * 1e6), int(float(sys.argv[2]) * 1e3))
