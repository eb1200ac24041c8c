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

Words = NDArray[np.uint64]

BLOCK_IDS = 65_536
_LOWER_COUNT = np.uint64(1 << 32)
_LOWER = np.uint64((1 << 32) - 1)
_UPPER = ~_LOWER


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
    column = pq.ParquetFile(source, page_checksum_verification=True).read(columns=["datapoint_id"]).column(0)
    return np.concatenate([_ids_of_array(chunk) for chunk in column.chunks] or [np.empty((0, 16), np.uint8)])


def _ids_of_array(array: pa.Array) -> Ids:
    storage = array.storage
    values = np.frombuffer(storage.buffers()[1], np.uint8).reshape(-1, 16)
    return values[storage.offset : storage.offset + len(storage)]


class SeenIds:
    """A set of ids that tells which of many are new, all at once: 16 bytes an id, and some 26 for finding it.

    Each level is a table of entries: half of an id's second half, which tells nearly all ids apart without looking
    them up, and the id's number. An id has one slot in each level and stands in the first level where its slot was
    free, so a search ends at a free slot.
    """

    def __init__(self, known: Iterable[Ids]) -> None:
        arrays = [np.ascontiguousarray(ids).view(np.uint64) for ids in known]
        nothing = np.empty(0, np.uint64)
        self._firsts = np.concatenate([nothing, *(array[:, 0] for array in arrays)])
        self._seconds = np.concatenate([nothing, *(array[:, 1] for array in arrays)])
        self._levels: list[Words] = []
        self._count = len(self._firsts)
        self._enter_all()

    def add(self, ids: Ids) -> NDArray[np.int64]:
        """The rows of `ids`, ascending, that were seen before, earlier rows included. Remembers the others."""
        first, self._count = self._count, self._count + len(ids)
        if self._count > len(self._firsts):
            self._firsts = _grown(self._firsts, self._count)
            self._seconds = _grown(self._seconds, self._count)
        pairs = np.ascontiguousarray(ids).view(np.uint64)
        self._firsts[first : self._count], self._seconds[first : self._count] = pairs[:, 0], pairs[:, 1]
        if self._count > len(self._levels[0]):
            repeated = self._enter_all()
            return repeated[np.searchsorted(repeated, first) :] - first
        return self._enter_range(first, self._count) - first

    def _enter_all(self) -> NDArray[np.int64]:
        self._levels = [_empty_level(self._count + self._count // 2)]
        return self._enter_range(0, self._count)

    def _enter_range(self, start: int, stop: int) -> NDArray[np.int64]:
        """Enters these ids, in blocks whose temporaries stay in cache. Gives the numbers of those that stand there."""
        blocks = [self._enter(at, min(at + BLOCK_IDS, stop)) for at in range(start, stop, BLOCK_IDS)]
        return np.concatenate([np.empty(0, np.int64), *blocks])

    def _enter(self, start: int, stop: int) -> NDArray[np.int64]:
        firsts, seconds = self._firsts[start:stop], self._seconds[start:stop]
        entries = (seconds & _UPPER) | np.arange(start + 1, stop + 1, dtype=np.uint64)
        repeated = [np.empty(0, np.int64)]
        level = 0
        while len(entries):
            if level == len(self._levels):
                self._levels.append(_empty_level(len(self._levels[0]) >> level))
            table = self._levels[level]
            slots = _slots(seconds if level % 2 else firsts, level, len(table))
            held = table[slots]
            # Of several that want one slot the last one written stays: backwards, so that it is the earliest.
            free = np.flatnonzero(held == 0)[::-1]
            table[slots[free]] = entries[free]
            held[free] = table[slots[free]]
            differs = held ^ entries
            alike = np.flatnonzero((differs < _LOWER_COUNT) & (differs != 0))
            if len(alike):
                holders = (held[alike] & _LOWER).astype(np.int64) - 1
                same = (self._firsts[holders] == firsts[alike]) & (self._seconds[holders] == seconds[alike])
                repeated.append((entries[alike[same]] & _LOWER).astype(np.int64) - 1)
                differs[alike[same]] = 0
            rest = np.flatnonzero(differs)
            firsts, seconds, entries = firsts[rest], seconds[rest], entries[rest]
            level += 1
        return np.sort(np.concatenate(repeated))


def _grown(halves: Words, needed: int) -> Words:
    grown = np.empty(max(needed, len(halves) * 3 // 2), np.uint64)
    grown[: len(halves)] = halves
    return grown


def _empty_level(expected: int) -> Words:
    return np.zeros(1 << max(12, (expected - 1).bit_length()), np.uint64)


def _slots(halves: Words, level: int, size: int) -> NDArray[np.int64]:
    """Another slot for each level, by multiplicative hashing; a power of an odd number is odd."""
    multiplier = np.uint64(pow(0x9E3779B97F4A7C15, level + 1, 1 << 64))
    return ((halves * multiplier) >> np.uint64(65 - size.bit_length())).view(np.int64)
