"""The ids of a file's records: a set that tells which of many are new, and marks those that a dataset has already.

Ids are hashes, so their first bits spread them evenly over shards. A shard is two sorted runs, a long one and a short
one that takes what is new and is merged into the other when it has grown: 16 bytes an id, and hardly more.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from assay.kernel.identity import Ids
from assay.kernel.sorted_ids import NO_IDS, Halves, SortedIds, halves_of

SHARD_BITS = 5
MERGE_SHARE = 4  # a short run longer than this part of the long one is merged into it

# A filter has at least eight places an id, a byte each, of which an id takes two: by these factors, odd and well mixed,
# all bits of a half count, also where some, as a UUID's version, never change.
FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
FILTER_BITS_MORE = 3
MIN_FILTER_BITS, MAX_FILTER_BITS = 12, 25


class SeenIds:
    """Holds the shards."""

    def __init__(self) -> None:
        self._shards = [(NO_IDS, NO_IDS)] * (1 << SHARD_BITS)
        self._marks: list[list[NDArray[np.bool_]]] = []
        self._starts = np.arange(1 << SHARD_BITS, dtype=np.uint64) << np.uint64(64 - SHARD_BITS)

    def __len__(self) -> int:
        return sum(len(run.firsts) for shard in self._shards for run in shard)

    def add(self, ids: Ids) -> NDArray[np.int64]:
        """The rows of `ids`, ascending, that were seen before, earlier rows included. Remembers the others."""
        firsts, seconds = halves_of(ids)
        order = _in_order(firsts, seconds)
        firsts, seconds = firsts[order], seconds[order]
        is_repeated = np.zeros(len(order), np.bool_)
        # Rows of one id lie side by side, the earliest first.
        is_repeated[1:] = (firsts[1:] == firsts[:-1]) & (seconds[1:] == seconds[:-1])
        for at, part in self._parts(firsts):
            long, short = self._shards[at]
            of_part = firsts[part], seconds[part]
            is_repeated[part] |= long.has_halves(*of_part) | short.has_halves(*of_part)
            is_new = ~is_repeated[part]
            self._shards[at] = _grown(long, short.with_halves(of_part[0][is_new], of_part[1][is_new]))
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
            firsts, _ = halves_of(ids)
            rows = np.flatnonzero(is_taken[firsts * FACTORS[0] >> shift])
            found: Ids = ids[rows[is_taken[firsts[rows] * FACTORS[1] >> shift]]]
            return found

        return candidates

    def mark(self, ids: Ids) -> None:
        """Mark those of the ids that are here. Nothing is added any more from then on."""
        if not self._marks:
            self._marks = [[np.zeros(len(run.firsts), np.bool_) for run in shard] for shard in self._shards]
        for _, places, marks in self._found(ids):
            marks[places] = True

    @property
    def marked_count(self) -> int:
        return sum(int(np.count_nonzero(marks)) for shard in self._marks for marks in shard)

    def is_marked(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of the ids are here and marked."""
        found = np.zeros(len(ids), np.bool_)
        if self._marks:
            for rows, places, marks in self._found(ids):
                found[rows] = marks[places]
        return found

    def _found(self, ids: Ids) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
        """The rows of the ids that are here by run, with their places in it and the run's marks."""
        firsts, seconds = halves_of(ids)
        order = np.argsort(firsts)
        firsts, seconds = firsts[order], seconds[order]
        for at, part in self._parts(firsts):
            for run, marks in zip(self._shards[at], self._marks[at], strict=True):
                places = run.places_of(firsts[part], seconds[part])
                is_here = places >= 0
                yield order[part][is_here], places[is_here], marks

    def _parts(self, firsts: Halves) -> Iterator[tuple[int, slice]]:
        """The shards that these halves, in their order, fall into, and which of them do."""
        bounds = np.append(np.searchsorted(firsts, self._starts), len(firsts)).tolist()
        for at, (start, stop) in enumerate(pairwise(bounds)):
            if start < stop:
                yield at, slice(start, stop)


def _grown(long: SortedIds, short: SortedIds) -> tuple[SortedIds, SortedIds]:
    if len(short.firsts) * MERGE_SHARE > len(long.firsts):
        return long.with_halves(short.firsts, short.seconds), NO_IDS
    return long, short


def _in_order(firsts: Halves, seconds: Halves) -> NDArray[np.int64]:
    """The rows by their ids, those of one id in their own order; sorted by one half where that is enough."""
    order = np.argsort(firsts)
    in_order = firsts[order]
    is_tied = np.zeros(len(order), np.bool_)
    is_tied[1:] = in_order[1:] == in_order[:-1]
    is_tied[:-1] |= is_tied[1:]
    tied = order[is_tied]
    order[is_tied] = tied[np.lexsort((tied, seconds[tied], firsts[tied]))]
    return order
