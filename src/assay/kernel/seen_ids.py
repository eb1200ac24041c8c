"""The ids of a file's records: a set that tells which of many are new, and marks those that a dataset has already.

What is added at once becomes a sorted run. Small runs are merged when they are many; large ones lie in temporary files,
but for 4 bytes an id that tell where to look there. A filter, of 4 MiB at least and 2 to 5 bytes an id where there are
millions, tells of nearly every new id that no run has it: the runs are hardly ever asked, the files only for an id that
is there.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from assay.kernel.id_filter import IdFilter
from assay.kernel.identity import Ids
from assay.kernel.sorted_ids import Halves, SortedIds, filed, halves_of, merged

# To merge runs takes twice their memory for a moment, so large ones are left alone. Each takes one of the files that a
# process may have open, so what counts as large doubles with so many of them.
LARGE_RUN_IDS = 1 << 19
RUNS_TILL_LARGER = 16
MOST_RANGES = 64
MOST_SMALL_RUNS = 32
BLOCK_IDS = 1 << 14  # what is made of so many stays in a core's cache, and in memory that is not given back
MANY_IDS = 1 << 17
"""So many looked for at once take half the time that a tenth of them, one after the other, would take together."""


class SeenIds:
    """Holds the runs."""

    def __init__(self) -> None:
        self._large: list[SortedIds] = []
        self._small: list[SortedIds] = []
        self._marks: list[NDArray[np.bool_]] = []
        self._to_mark: list[Ids] = []
        self._filter = IdFilter()

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    @property
    def _runs(self) -> list[SortedIds]:
        return self._large + self._small

    def add(self, ids: Ids) -> NDArray[np.int64]:
        """The rows of `ids`, ascending, that were seen before, earlier rows included. Remembers the others."""
        firsts, seconds = halves_of(ids)
        order = _in_order(firsts, seconds)
        firsts, seconds = firsts[order], seconds[order]
        is_repeated = np.zeros(len(order), np.bool_)
        # Rows of one id lie side by side, the earliest first.
        is_repeated[1:] = (firsts[1:] == firsts[:-1]) & (seconds[1:] == seconds[:-1])
        is_candidate = self._filter.may_have(firsts, seconds) & ~is_repeated
        for rows, _, _ in self._found(firsts, seconds, np.flatnonzero(is_candidate)):
            is_repeated[rows] = True
        self._remember(SortedIds(firsts[~is_repeated], seconds[~is_repeated]))
        return np.sort(order[is_repeated])

    def _remember(self, run: SortedIds) -> None:
        """A run of ids that are in no other."""
        if not len(run):
            return
        self._filter.add(run)
        self._small.append(run)
        large = LARGE_RUN_IDS << len(self._large) // RUNS_TILL_LARGER
        if len(self._small) == MOST_SMALL_RUNS or sum(map(len, self._small)) >= large:
            whole = merged(self._small)
            self._small.clear()
            if len(whole) < large:
                self._small.append(whole)
            else:
                self._put_away(whole)

    def _put_away(self, run: SortedIds) -> None:
        """Into a temporary file, if there can be one; else it stays in memory."""
        with suppress(OSError):
            run = filed(run)
        self._large.append(run)

    def matcher(self) -> Callable[[Ids], Ids]:
        """Tells of many ids those that may be here, at a glance, until more are added: all that are, and few others."""

        def candidates(ids: Ids) -> Ids:
            found = [ids[:0]]
            for at in range(0, len(ids), BLOCK_IDS):
                block = ids[at : at + BLOCK_IDS]
                found.append(block.take(np.flatnonzero(self._filter.may_have(*halves_of(block))), axis=0))
            return np.concatenate(found)

        return candidates

    def mark(self, ids: Ids) -> None:
        """Mark those of the ids that are here. Nothing is added any more from then on."""
        self._to_mark.append(ids)
        if sum(map(len, self._to_mark)) >= MANY_IDS:
            self._mark_all()

    def _mark_all(self) -> None:
        """Those that wait: few at a time would take as long as many."""
        ids = np.concatenate([np.empty((0, 16), np.uint8), *self._to_mark])
        self._to_mark.clear()
        if not self._marks:
            if not any(len(rows) for rows, _, _ in self._found_among(ids)):
                return
            self._arrange()
            self._marks = [np.zeros(len(run), np.bool_) for run in self._runs]
        for _, at, places in self._found_among(ids):
            self._marks[at][places] = True

    def marked_count(self) -> int:
        self._mark_all()
        return sum(int(np.count_nonzero(marks)) for marks in self._marks)

    def is_marked(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of the ids are here and marked; best asked of `MANY_IDS`."""
        self._mark_all()
        found = np.zeros(len(ids), np.bool_)
        if self._marks:
            for rows, at, places in self._found_among(ids):
                found[rows] = self._marks[at][places]
        return found

    def _found_among(self, ids: Ids) -> Iterator["Found"]:
        firsts, seconds = halves_of(ids)
        return self._found(firsts, seconds, np.argsort(firsts))

    def _arrange(self) -> None:
        """Makes the runs anew, each of the ids of another range, so that an id has to be looked for in one only."""
        count = min(-(-len(self) // LARGE_RUN_IDS), MOST_RANGES)
        starts = np.arange(count, dtype=np.uint64) * np.uint64((2**64 - 1) // count)
        ranges = zip(*(run.cut(starts) for run in self._runs), strict=True)
        self._large, self._small = [], []
        for run in filter(len, map(merged, ranges)):
            if count > 1:
                self._put_away(run)
            else:
                self._small.append(run)

    def _found(self, firsts: Halves, seconds: Halves, rows: NDArray[np.int64]) -> Iterator["Found"]:
        """Those of the rows, which lead through the halves in order, whose ids are here."""
        for at, run in enumerate(self._runs):
            if not len(rows):
                return
            within = run.range_in(firsts[rows])
            asked = rows[within]
            if len(asked):
                places = run.places_of(firsts[asked], seconds[asked])
                is_here = places >= 0
                yield asked[is_here], at, places[is_here]
                rows = np.concatenate([rows[: within.start], asked[~is_here], rows[within.stop :]])


Found = tuple[NDArray[np.int64], int, NDArray[np.int64]]
"""Rows of ids that a run has, the run's number, and their places in it."""


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
