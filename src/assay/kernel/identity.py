"""A record's identity: what makes two records of a dataset the same.

The id is a stable hash of the record's content, mixed with its dataset and, for CSV, its header; never of the schema.
Ids are rows of 16 bytes, as UUIDs are written.
"""

from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from assay.kernel.framing import Offsets

Ids = NDArray[np.uint8]
"""Shape (n, 16)."""


def content_hashes(data: bytes, starts: Offsets, stops: Offsets) -> Ids:
    """The 128-bit xxh3 of each span."""
    view = memoryview(data)
    digest = xxhash.xxh3_128_digest
    digests = [digest(view[start:stop]) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def datapoint_ids(hashes: Ids, dataset_id: UUID, header: tuple[str, ...] | None) -> Ids:
    """Version 8 UUIDs: the hashes with the dataset and the header mixed in."""
    context = dataset_id.bytes + (b"" if header is None else msgspec.json.encode(header))
    ids: Ids = hashes ^ np.frombuffer(xxhash.xxh3_128_digest(context), np.uint8)
    ids[:, 6] = ids[:, 6] & 0x0F | 0x80
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids


def ids_to_arrow(ids: Ids) -> pa.Array:
    storage = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids))]
    )
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)


def ids_of_parquet(source: object) -> Ids:
    """The `datapoint_id` column of accepted records, in their order, from anything that PyArrow takes for a file."""
    return ids_of_open_parquet(pq.ParquetFile(source, page_checksum_verification=True))


def ids_of_open_parquet(file: pq.ParquetFile) -> Ids:
    column = file.read(columns=["datapoint_id"], use_threads=False).column(0)
    if column.num_chunks == 1:
        return _ids_of_array(column.chunk(0))
    return np.concatenate([_ids_of_array(chunk) for chunk in column.chunks] or [np.empty((0, 16), np.uint8)])


def _ids_of_array(array: pa.Array) -> Ids:
    storage = array.storage
    values = np.frombuffer(storage.buffers()[1], np.uint8).reshape(-1, 16)
    return values[storage.offset : storage.offset + len(storage)]
