"""The packed set says the same as a set of Python's, however the ids come."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernel.identity import Ids
from assay.kernel.packed_ids import PackedIds

# Few different halves, so that ids are repeated, and some share one half only.
halves = st.sampled_from([bytes([first, *bytes(6), last]) for first in (0, 1, 255) for last in range(6)])
batches = st.lists(st.lists(st.tuples(halves, halves).map(b"".join), max_size=60), max_size=8)


def as_rows(ids: list[bytes]) -> Ids:
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16)


@settings(max_examples=200, deadline=None)
@given(known=batches, added=batches)
def test_rows_seen_before_are_those_that_a_set_has(known: list[list[bytes]], added: list[list[bytes]]) -> None:
    packed = PackedIds(as_rows(ids) for ids in known)
    seen = {each for ids in known for each in ids}
    for ids in added:
        expected = []
        for row, each in enumerate(ids):
            if each in seen:
                expected.append(row)
            seen.add(each)
        assert packed.add(as_rows(ids)).tolist() == expected


def test_many_random_ids_are_new_once_and_known_ever_after() -> None:
    random = np.random.default_rng(1)
    packed = PackedIds([])
    batches = [random.integers(0, 256, (20_000, 16), np.uint8) for _ in range(8)]
    for ids in batches:
        assert len(packed.add(ids)) == 0
    for ids in batches:
        assert len(packed.add(ids)) == len(ids)
