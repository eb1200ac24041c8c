"""How much memory and time an export of a large dataset takes: `python benchmarks/export_memory.py [RECORDS]`.

Makes a dataset of small records, 10 million by default, directly as parts in a temporary folder; then streams it in
each format in a process of its own, as the web route does, and prints the peak of its resident memory.
"""

import json
import multiprocessing
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa

from assay.exporting import EXPORT_FORMATS, Snapshot, export_records
from assay.jobs import Part
from assay.kernel.columns import accepted_arrow_schema
from assay.kernel.write import footer_hash, parquet_bytes
from assay.schema import DatasetSchema, parse_schema
from assay.storage.base import open_storage

RECORDS = 10_000_000
RECORDS_A_PART = 75_000  # what a chunk of 8 MiB has of such records
IMPORT_ID = UUID("0190a5d0-7c3e-7c3e-8c3e-0123456789ab")
SCHEMA = {
    "strict": True,
    "fields": {
        "participant": {"type": "text"},
        "age": {"type": "integer"},
        "score": {"type": "number"},
        "answered_at": {"type": "datetime"},
        "comment": {"type": "text"},
    },
}


def make_part(schema: DatasetSchema, first: int, count: int) -> pa.Buffer:
    rows = np.arange(first, first + count)
    ids = np.random.default_rng(first).integers(0, 256, (count, 16), np.uint8).tobytes()
    storage = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(ids)])
    text = pa.array(rows).cast(pa.string())
    columns = [
        pa.ExtensionArray.from_storage(pa.uuid(), storage),
        pa.array(rows),
        text,
        pa.array(rows % 90 + 10),
        pa.array(rows / 7),
        pa.array(rows * 1_000_000 + int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000).cast(
            pa.timestamp("us", tz="UTC")
        ),
        pa.compute.binary_join_element_wise("All was well, ", text, "-", ""),
    ]
    return parquet_bytes(pa.Table.from_arrays(columns, schema=accepted_arrow_schema(schema)))


def make_parts(url: str, schema: DatasetSchema, records: int) -> tuple[Part, ...]:
    storage = open_storage(url, signing_key=b"", base_url="")
    parts = []
    for first in range(0, records, RECORDS_A_PART):
        count = min(RECORDS_A_PART, records - first)
        data = make_part(schema, first, count)
        key = f"parts/part-{first:010}.parquet"
        storage.put(key, data)
        parts.append(
            Part(
                key=key,
                row_in_file=0,
                import_id=IMPORT_ID,
                record_count=count,
                size_bytes=data.size,
                footer_hash=footer_hash(data),
                first_row=first,
            )
        )
    return tuple(parts)


def peak_kib() -> int:
    """As Linux counts it for this program; `getrusage` counts what the process was before it became this program."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def export(url: str, snapshot: Snapshot, name: str) -> None:
    """In a process of its own: what it prints is of this format alone."""
    storage = open_storage(url, signing_key=b"", base_url="")
    before = peak_kib()
    started = time.perf_counter()
    size = largest = 0
    for block in export_records(storage, snapshot, EXPORT_FORMATS[name]):
        size += len(block)
        largest = max(largest, len(block))
    seconds = time.perf_counter() - started
    print(
        f"{name:8} {size / 1e6:8,.0f} MB in {seconds:5.1f} s, peak {peak_kib() / 1024:4.0f} MiB resident "
        f"({before / 1024:.0f} MiB of it before the export), largest block {largest / 2**20:.1f} MiB",
        flush=True,
    )


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    schema = parse_schema(json.loads(json.dumps(SCHEMA)))
    ours = accepted_arrow_schema(schema).insert(1, pa.field("import_id", pa.uuid(), nullable=False))
    with tempfile.TemporaryDirectory() as folder:
        url = Path(folder).as_uri()
        started = time.perf_counter()
        snapshot = Snapshot(schema=ours, json_fields=frozenset(), parts=make_parts(url, schema, records))
        print(f"{records:,} records in {len(snapshot.parts)} parts, made in {time.perf_counter() - started:.1f} s")
        for name in EXPORT_FORMATS:
            child = multiprocessing.get_context("spawn").Process(target=export, args=(url, snapshot, name))
            child.start()
            child.join()


if __name__ == "__main__":
    main()
