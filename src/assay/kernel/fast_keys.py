"""Sets of short texts for the fast pass: an object's keys, and the values of an enum."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from assay.kernel.fast_bytes import Bytes, as_integer, copy_bytes, same_bytes
from assay.kernel.fast_compile import compiled, inlined
from assay.kernel.fast_spans import Numbers

MAX_TRIES = 64


class Keys(NamedTuple):
    """Each text has a slot, in order of arrival. The last two arrays serve keys of objects only."""

    text: Bytes  # the texts, one after another
    starts: Numbers  # [slot], and one more
    table: Numbers  # open addressing: slot + 1, or 0
    used: Numbers  # [0]: how many slots are in use
    follow: Numbers  # [slot + 1]: the key that came after this one last time; [0] for the first of an object
    seen: Numbers  # [slot]: the number of the record that had this key last


def new_keys(texts: Iterable[str], spare_slots: int, spare_bytes: int) -> Keys:
    known = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    slots = len(known) + spare_slots
    keys = Keys(
        text=np.zeros(sum(map(len, known)) + spare_bytes, np.uint8),
        starts=np.zeros(slots + 1, np.int64),
        table=np.zeros(1 << (2 * slots + 2).bit_length(), np.int64),
        used=np.zeros(1, np.int64),
        follow=np.full(slots + 1, -1, np.int64),
        seen=np.full(slots, -1, np.int64),
    )
    for text in known:
        intern(text, 0, len(text), keys)
    return keys


@compiled
def home_of(data: Bytes, i: int, end: int, keys: Keys) -> int:
    """The place in the table of the text from `i` to `end`, or the empty place where it belongs. -1 after many tries:
    keys made to collide must not cost more than others."""
    digest = np.uint64(14695981039346656037)
    for k in range(i, end):
        digest = (digest ^ np.uint64(data[k])) * np.uint64(1099511628211)
    last = keys.table.size - 1
    at = as_integer(digest >> np.uint64(32)) & last  # type: ignore[arg-type]  # it has no sign
    for _ in range(MAX_TRIES):
        slot = keys.table[at] - 1
        if slot < 0:
            return at
        start = keys.starts[slot]
        if keys.starts[slot + 1] - start == end - i and same_bytes(data, i, keys.text, start, end - i):
            return at
        at = (at + 1) & last
    return -1


@compiled
def lookup(data: Bytes, i: int, end: int, keys: Keys) -> int:
    """The slot of a text, or -1."""
    at = home_of(data, i, end, keys)
    slot: int = keys.table[at] - 1
    return slot if at >= 0 else -1


@compiled
def intern(data: Bytes, i: int, end: int, keys: Keys) -> int:
    """The slot of a text, a new one if need be; -1 if there is no room."""
    at = home_of(data, i, end, keys)
    if at < 0:
        return -1
    slot: int = keys.table[at] - 1
    if slot >= 0:
        return slot
    slot = keys.used[0]
    start = keys.starts[slot]
    if slot >= keys.seen.size or start + end - i > keys.text.size:
        return -1
    copy_bytes(keys.text, start, data, i, end - i)
    keys.starts[slot + 1] = start + end - i
    keys.table[at] = slot + 1
    keys.used[0] = slot + 1
    return slot


@inlined
def key_is(data: Bytes, i: int, keys: Keys, slot: int) -> bool:
    """Whether the key that begins at `i` and ends with a quote is that of a slot."""
    start = keys.starts[slot]
    length = keys.starts[slot + 1] - start
    return i + length < data.size and data[i + length] == 0x22 and same_bytes(data, i, keys.text, start, length)
