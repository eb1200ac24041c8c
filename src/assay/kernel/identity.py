"""A record's identity: what makes two records of a dataset the same, and which ids were seen before.

The id is a stable hash of the record's content, mixed with its dataset and, for CSV, its header; never of the schema.
Ids are rows of 16 bytes, as UUIDs are written.
"""

from collections.abc import Iterable
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

BLOCK_IDS = 32_768


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
    column = pq.read_table(source, columns=["datapoint_id"], page_checksum_verification=True).column(0)
    return np.concatenate([_ids_of_array(chunk) for chunk in column.chunks] or [np.empty((0, 16), np.uint8)])


def _ids_of_array(array: pa.Array) -> Ids:
    storage = array.storage
    values = np.frombuffer(storage.buffers()[1], np.uint8).reshape(-1, 16)
    return values[storage.offset : storage.offset + len(storage)]


class SeenIds:
    """A set of ids that tells which of many are new, all at once: 16 bytes an id, and some 8 for finding it.

    Each level is a table of places in `_firsts` and `_seconds`, the halves of the ids. An id has one slot in each
    level and stands in the first level where its slot was free, so a search ends at a free slot.
    """

    def __init__(self, known: Iterable[Ids]) -> None:
        arrays = [np.ascontiguousarray(ids).view(np.uint64) for ids in known]
        nothing = np.empty(0, np.uint64)
        self._firsts = np.concatenate([nothing, *(array[:, 0] for array in arrays)])
        self._seconds = np.concatenate([nothing, *(array[:, 1] for array in arrays)])
        self._count = 0
        self._levels: list[NDArray[np.int32]] = []
        self._enter_all(len(self._firsts))

    def add(self, ids: Ids) -> NDArray[np.int64]:
        """The rows of `ids`, ascending, that were seen before, earlier rows included. Remembers the others."""
        first, count = self._count, self._count + len(ids)
        if count > len(self._firsts):
            self._firsts = _grown(self._firsts, count)
            self._seconds = _grown(self._seconds, count)
        pairs = np.ascontiguousarray(ids).view(np.uint64)
        self._firsts[first:count], self._seconds[first:count] = pairs[:, 0], pairs[:, 1]
        if count > len(self._levels[0]):
            self._enter_all(first)
        self._count = count
        return self._enter(np.arange(first, count, dtype=np.int32)) - first

    def _enter_all(self, count: int) -> None:
        """Enters the first `count` ids into new tables, in blocks whose temporaries stay in cache."""
        self._count = count
        self._levels = [_empty_level(count + count // 2)]
        for at in range(0, count, BLOCK_IDS):
            self._enter(np.arange(at, min(at + BLOCK_IDS, count), dtype=np.int32))

    def _enter(self, places: NDArray[np.int32]) -> NDArray[np.int64]:
        """Enters the ids at these places, and gives back those places whose ids stand there before."""
        repeated = [np.empty(0, np.int32)]
        level = 0
        while len(places):
            if level == len(self._levels):
                self._levels.append(_empty_level(len(self._levels[0]) >> level))
            table = self._levels[level]
            firsts, seconds = self._firsts[places], self._seconds[places]
            slots = _slots(seconds if level % 2 else firsts, level, len(table))
            free = table[slots] < 0
            # Of several that want one slot the last one written stays: backwards, so that it is the earliest.
            table[slots[free][::-1]] = places[free][::-1]
            holders = table[slots]
            differs = (self._firsts[holders] != firsts) | (self._seconds[holders] != seconds)
            repeated.append(places[~differs & (holders != places)])
            places = places[differs]
            level += 1
        return np.sort(np.concatenate(repeated)).astype(np.int64)


def _grown(halves: NDArray[np.uint64], needed: int) -> NDArray[np.uint64]:
    grown = np.empty(max(needed, len(halves) * 3 // 2), np.uint64)
    grown[: len(halves)] = halves
    return grown


def _empty_level(expected: int) -> NDArray[np.int32]:
    return np.full(1 << max(12, (expected - 1).bit_length()), -1, np.int32)


def _slots(halves: NDArray[np.uint64], level: int, size: int) -> NDArray[np.int64]:
    """Another slot for each level, by multiplicative hashing; a power of an odd number is odd."""
    multiplier = np.uint64(pow(0x9E3779B97F4A7C15, level + 1, 1 << 64))
    return ((halves * multiplier) >> np.uint64(65 - size.bit_length())).view(np.int64)
