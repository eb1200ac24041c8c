"""The ids of a file's records: a set that tells which of many are new, and which of a dataset's ids are in it.

Ids are hashes, so their first bits spread them evenly over shards. A shard is two sorted runs, a long one and a short
one that takes what is new and is merged into the other when it has grown: 16 bytes an id, and hardly more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assay.kernel.identity import Ids

Halves = NDArray[np.uint64]

SHARD_BITS = 5
MERGE_SHARE = 4  # a short run longer than this part of the long one is merged into it

# A filter has at least eight places an id, a byte each, of which an id takes two: by these factors, odd and well mixed,
# all bits of a half count, also where some, as a UUID's version, never change.
FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
FILTER_BITS_MORE = 3
MIN_FILTER_BITS, MAX_FILTER_BITS = 12, 25


@dataclass
class _Run:
    """Ids by their halves, in the order of the first ones."""

    firsts: Halves = field(default_factory=lambda: np.empty(0, np.uint64))
    seconds: Halves = field(default_factory=lambda: np.empty(0, np.uint64))

    def has(self, firsts: Halves, seconds: Halves) -> NDArray[np.bool_]:
        found = np.zeros(len(firsts), np.bool_)
        places = np.searchsorted(self.firsts, firsts)
        rows = np.arange(len(firsts))
        # One turn, but for ids that share their first half and differ in the second, which lie side by side.
        while len(rows := rows[places[rows] < len(self.firsts)]):
            rows = rows[self.firsts[places[rows]] == firsts[rows]]
            is_same = self.seconds[places[rows]] == seconds[rows]
            found[rows[is_same]] = True
            rows = rows[~is_same]
            places[rows] += 1
        return found

    def merge(self, firsts: Halves, seconds: Halves) -> None:
        both = np.concatenate([self.firsts, firsts])
        order = np.argsort(both, kind="stable")
        self.firsts = both[order]
        self.seconds = np.concatenate([self.seconds, seconds])[order]


class SeenIds:
    """Holds the shards."""

    def __init__(self) -> None:
        self._shards = [(_Run(), _Run()) for _ in range(1 << SHARD_BITS)]
        self._starts = np.arange(1 << SHARD_BITS, dtype=np.uint64) << np.uint64(64 - SHARD_BITS)

    def __len__(self) -> int:
        return sum(len(run.firsts) for shard in self._shards for run in shard)

    def add(self, ids: Ids) -> NDArray[np.int64]:
        """The rows of `ids`, ascending, that were seen before, earlier rows included. Remembers the others."""
        pairs = _pairs(ids)
        order = _in_order(pairs)
        firsts, seconds = pairs[order, 0], pairs[order, 1]
        is_repeated = np.zeros(len(order), np.bool_)
        # Rows of one id lie side by side, the earliest first.
        is_repeated[1:] = (firsts[1:] == firsts[:-1]) & (seconds[1:] == seconds[:-1])
        for shard, part in self._parts(firsts):
            is_repeated[part] |= _enter(shard, firsts[part], seconds[part], is_repeated[part])
        return np.sort(order[is_repeated])

    def matcher(self) -> Callable[[Ids], Ids]:
        """Tells of many ids those that may be here, at a glance, until more are added: all that are, and few others."""
        bits = min(max(len(self).bit_length() + FILTER_BITS_MORE, MIN_FILTER_BITS), MAX_FILTER_BITS)
        shift = np.uint64(64 - bits)
        is_taken = np.zeros(1 << bits, np.bool_)
        for shard in self._shards:
            for run in shard:
                for factor in FACTORS:
                    is_taken[run.firsts * factor >> shift] = True

        def candidates(ids: Ids) -> Ids:
            firsts = _pairs(ids)[:, 0]
            rows = np.flatnonzero(is_taken[firsts * FACTORS[0] >> shift])
            found: Ids = ids[rows[is_taken[firsts[rows] * FACTORS[1] >> shift]]]
            return found

        return candidates

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of the ids are here."""
        pairs = _pairs(ids)
        order = np.argsort(pairs[:, 0])
        firsts, seconds = pairs[order, 0], pairs[order, 1]
        found = np.zeros(len(order), np.bool_)
        for (long, short), part in self._parts(firsts):
            found[order[part]] = long.has(firsts[part], seconds[part]) | short.has(firsts[part], seconds[part])
        return found

    def _parts(self, firsts: Halves) -> Iterator[tuple[tuple[_Run, _Run], slice]]:
        """The shards that these halves, in their order, fall into, and which of them do."""
        bounds = np.append(np.searchsorted(firsts, self._starts), len(firsts)).tolist()
        for shard, start, stop in zip(self._shards, bounds[:-1], bounds[1:], strict=True):
            if start < stop:
                yield shard, slice(start, stop)


def _pairs(ids: Ids) -> Halves:
    return np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)


def _in_order(pairs: Halves) -> NDArray[np.int64]:
    """The rows by their ids, those of one id in their own order; sorted by one half where that is enough."""
    order = np.argsort(pairs[:, 0])
    firsts = pairs[order, 0]
    is_tied = np.zeros(len(order), np.bool_)
    is_tied[1:] = firsts[1:] == firsts[:-1]
    is_tied[:-1] |= is_tied[1:]
    tied = order[is_tied]
    order[is_tied] = tied[np.lexsort((tied, pairs[tied, 1], pairs[tied, 0]))]
    return order


def _enter(
    shard: tuple[_Run, _Run], firsts: Halves, seconds: Halves, is_repeated: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Enters what is new, and gives back which rows are not."""
    long, short = shard
    is_known = is_repeated | long.has(firsts, seconds) | short.has(firsts, seconds)
    short.merge(firsts[~is_known], seconds[~is_known])
    if len(short.firsts) * MERGE_SHARE > len(long.firsts):
        long.merge(short.firsts, short.seconds)
        short.firsts, short.seconds = np.empty(0, np.uint64), np.empty(0, np.uint64)
    return is_known
