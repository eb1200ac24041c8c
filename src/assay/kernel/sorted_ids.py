"""Ids in order, 16 bytes each, quick to make and to ask: a set that does not change, and what `SeenIds` is built of."""

import mmap
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from assay.kernel.identity import Ids

# What is looked at in a file, and all around it, counts as this process's memory until it is given back. Where so many
# are found at once more will be, and it would take time to map it all again.
FEW = 256

HEAD_BITS, AFTER_HEAD = np.uint64(32), np.uint64(0xFFFF_FFFF)

Halves = NDArray[np.uint64]
Keys = Halves | NDArray[np.uint32]


@dataclass(frozen=True)
class SortedIds:
    """The halves of the ids as numbers, in the order of the first."""

    firsts: Halves
    seconds: Halves

    def __len__(self) -> int:
        return len(self.firsts)

    @property
    def size_bytes(self) -> int:
        return self.firsts.nbytes + self.seconds.nbytes

    def cut(self, starts: Halves) -> Iterator["SortedIds"]:
        """Copies of the ids from each of these first halves to the next one; the first of them is 0."""
        bounds = [*np.searchsorted(self.firsts, starts).tolist(), len(self)]
        for start, stop in pairwise(bounds):
            yield SortedIds(self.firsts[start:stop].copy(), self.seconds[start:stop].copy())

    def range_in(self, firsts: Halves) -> slice:
        """The part of other first halves, in order, that lies in the range of those here, of which there is one."""
        lowest, highest = self._ends()
        return slice(*np.searchsorted(firsts, lowest, "left"), *np.searchsorted(firsts, highest, "right"))

    def _ends(self) -> tuple[Halves, Halves]:
        return self.firsts[:1], self.firsts[-1:]

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of the ids are in the set; quickest when they are in order."""
        return self.places_of(*halves_of(ids)) >= 0

    def places_of(self, firsts: Halves, seconds: Halves) -> NDArray[np.int64]:
        """Where in the set each id stands; -1 for one that is not there."""
        return self._places(self.firsts, firsts, firsts, seconds)

    def _places(self, keys: Keys, asked: Keys, firsts: Halves, seconds: Halves) -> NDArray[np.int64]:
        """By keys that are in order as the ids are, and the same for those that are asked for."""
        found = np.full(len(firsts), -1, np.int64)
        places = np.searchsorted(keys, asked)
        rows = np.arange(len(firsts))
        # One turn, but for ids with the same key, which lie side by side.
        while len(rows := rows[places[rows] < len(keys)]):
            rows = rows[keys[places[rows]] == asked[rows]]
            at = places[rows]
            is_same = (self.firsts[at] == firsts[rows]) & (self.seconds[at] == seconds[rows])
            found[rows[is_same]] = at[is_same]
            rows = rows[~is_same]
            places[rows] += 1
        return found


@dataclass(frozen=True)
class FiledIds(SortedIds):
    """The halves lie in a file; in memory are the first 32 bits of each id, which tell where to look in the file."""

    heads: NDArray[np.uint32]
    mapped: mmap.mmap

    def _ends(self) -> tuple[Halves, Halves]:
        lowest, highest = self.heads[:1].astype(np.uint64), self.heads[-1:].astype(np.uint64)
        return lowest << HEAD_BITS, highest << HEAD_BITS | AFTER_HEAD

    def cut(self, starts: Halves) -> Iterator[SortedIds]:
        for ids in super().cut(starts):
            self.mapped.madvise(mmap.MADV_DONTNEED)
            yield ids

    def places_of(self, firsts: Halves, seconds: Halves) -> NDArray[np.int64]:
        places = self._places(self.heads, _heads(firsts), firsts, seconds)
        if np.count_nonzero(places >= 0) < FEW:
            self.mapped.madvise(mmap.MADV_DONTNEED)
        return places


def sorted_ids(ids: Ids) -> SortedIds:
    firsts, seconds = halves_of(ids)
    order = np.argsort(firsts)
    return SortedIds(firsts[order], seconds[order])


def merged(runs: Sequence[SortedIds]) -> SortedIds:
    """The ids of all of them."""
    firsts = np.concatenate([run.firsts for run in runs])
    order = np.argsort(firsts, kind="stable")  # which makes use of the order in each
    firsts = firsts[order]
    return SortedIds(firsts, np.concatenate([run.seconds for run in runs])[order])


def filed(ids: SortedIds) -> FiledIds:
    """The same ids, in a temporary file that ends with them. Raises `OSError` if there is no room for it."""
    with tempfile.TemporaryFile() as file:
        file.write(ids.firsts.data)
        file.write(ids.seconds.data)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    firsts, seconds = np.frombuffer(mapped, np.uint64).reshape(2, -1)
    return FiledIds(firsts, seconds, _heads(ids.firsts), mapped)


def _heads(firsts: Halves) -> NDArray[np.uint32]:
    return (firsts >> HEAD_BITS).astype(np.uint32)


def first_of_each(ids: Ids) -> NDArray[np.int64]:
    """The rows, ascending, of the ids that no earlier row has."""
    whole = np.ascontiguousarray(ids).view("V16").reshape(-1)
    _, rows = np.unique(whole, return_index=True)
    return np.sort(rows)


def halves_of(ids: Ids) -> tuple[Halves, Halves]:
    """In the order of their bytes: so an id's first bits, which no version of UUIDs fixes, are its first half's."""
    pairs = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)
