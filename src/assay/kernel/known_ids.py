"""A set of ids that does not change, for few questions at a time: sorted, 16 bytes an id, quick to make and to ask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.kernel.identity import Ids


@dataclass(frozen=True)
class SortedIds:
    """The halves of the ids as numbers, in the order of the first."""

    firsts: NDArray[np.uint64]
    seconds: NDArray[np.uint64]

    @property
    def size_bytes(self) -> int:
        return self.firsts.nbytes + self.seconds.nbytes

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of the ids are in the set."""
        firsts, seconds = _halves(ids)
        start = np.searchsorted(self.firsts, firsts, side="left")
        stop = np.searchsorted(self.firsts, firsts, side="right")
        found = np.zeros(len(ids), np.bool_)
        # Ids that share their first half, as good as never two different ones, lie side by side.
        for step in range(int((stop - start).max(initial=0))):
            open_rows = np.flatnonzero(start + step < stop)
            found[open_rows] |= self.seconds[start[open_rows] + step] == seconds[open_rows]
        return found


def sorted_ids(ids: Ids) -> SortedIds:
    firsts, seconds = _halves(ids)
    order = np.argsort(firsts)
    return SortedIds(firsts[order], seconds[order])


def first_of_each(ids: Ids) -> NDArray[np.int64]:
    """The rows, ascending, of the ids that no earlier row has."""
    whole = np.ascontiguousarray(ids).view("V16").reshape(-1)
    _, rows = np.unique(whole, return_index=True)
    return np.sort(rows)


def _halves(ids: Ids) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    pairs = np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
