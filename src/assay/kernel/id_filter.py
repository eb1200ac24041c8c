"""A filter of many ids: tells of most others, at a glance, that they are not among them."""

import numpy as np
from numpy.typing import NDArray

from assay.kernel.sorted_ids import Halves, SortedIds

# Blocked Bloom filters (Putze, Sanders, Singler 2007): an id's first half tells its word, its second half some bits of
# that word. With so many places an id, each table that is full takes some 0.5% of others for ids.
PLACES_AN_ID = 16
BITS_AN_ID = 4
WORD_BITS = 64
ONE, LAST_BITS = np.uint64(1), np.uint64(WORD_BITS - 1)  # a bit; of a number, to be that of a bit
# A table that is full stays, and a larger one takes what comes then.
FIRST_TABLE_WORDS, MOST_TABLE_WORDS = 1 << 19, 1 << 23
GROWTH = 2


class IdFilter:
    """Holds the tables, and how many ids the last one has room for."""

    def __init__(self) -> None:
        self._tables: list[Halves] = []
        self._room = 0

    def add(self, ids: SortedIds) -> None:
        if len(ids) > self._room:
            size = min(len(self._tables[-1]) * GROWTH, MOST_TABLE_WORDS) if self._tables else FIRST_TABLE_WORDS
            while size * WORD_BITS < len(ids) * PLACES_AN_ID:
                size *= GROWTH
            self._tables.append(np.zeros(size, np.uint64))
            self._room = size * WORD_BITS // PLACES_AN_ID
        table = self._tables[-1]
        words, bits = _words(table, ids.firsts), _bits(ids.seconds)
        table[words] = table.take(words) | bits
        # Of ids that share a word, and are neighbours, only the last is there yet. To add all of them as these few are
        # takes three times as long.
        shared = np.flatnonzero(words[1:] == words[:-1])
        np.bitwise_or.at(table, words[shared], bits[shared])
        self._room -= len(ids)

    def may_have(self, firsts: Halves, seconds: Halves) -> NDArray[np.bool_]:
        """False for each that was surely never added."""
        found = np.zeros(len(firsts), np.bool_)
        for table in self._tables:
            words = table.take(_words(table, firsts))
            rows = np.flatnonzero(words >> (seconds & LAST_BITS) & ONE != 0)  # most others lack the first bit
            bits = _bits(seconds[rows])
            found[rows] |= words[rows] & bits == bits
        return found


def _words(table: Halves, firsts: Halves) -> NDArray[np.int64]:
    return (firsts >> np.uint64(65 - len(table).bit_length())).astype(np.int64)


def _bits(seconds: Halves) -> Halves:
    """By its last bits, which are as good as random; UUIDs fix some before them."""
    bits = np.zeros(len(seconds), np.uint64)
    for number in range(BITS_AN_ID):
        bits |= ONE << (seconds >> np.uint64(6 * number) & LAST_BITS)
    return bits
