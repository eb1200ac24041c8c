"""The set of ids says the same as a set of Python's, however the ids come."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernel.identity import Ids
from assay.kernel.seen_ids import SeenIds

# Few different halves, so that ids are repeated, and some share one half only.
halves = st.sampled_from([bytes([first, *bytes(6), last]) for first in (0, 1, 255) for last in range(6)])
batches = st.lists(st.lists(st.tuples(halves, halves).map(b"".join), max_size=60), max_size=8)


def as_rows(ids: list[bytes]) -> Ids:
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16)


@settings(max_examples=200, deadline=None)
@given(added=batches)
def test_rows_seen_before_are_those_that_a_set_has(added: list[list[bytes]]) -> None:
    seen_ids = SeenIds()
    seen: set[bytes] = set()
    for ids in added:
        expected = []
        for row, each in enumerate(ids):
            if each in seen:
                expected.append(row)
            seen.add(each)
        assert seen_ids.add(as_rows(ids)).tolist() == expected
    assert len(seen_ids) == len(seen)


@settings(max_examples=200, deadline=None)
@given(added=batches, known=batches)
def test_ids_among_those_seen_are_those_that_a_set_has(added: list[list[bytes]], known: list[list[bytes]]) -> None:
    seen_ids = SeenIds()
    for ids in added:
        seen_ids.add(as_rows(ids))
    seen = {each for ids in added for each in ids}
    for ids, rows in zip(known, map(seen_ids.matcher(), map(as_rows, known)), strict=True):
        candidates = {row.tobytes() for row in rows}
        assert seen & set(ids) <= candidates <= set(ids)
    marked: set[bytes] = set()
    for ids in known:
        seen_ids.mark(as_rows(ids))
        marked |= seen & set(ids)
        assert seen_ids.marked_count == len(marked)
        for asked in known:
            assert seen_ids.is_marked(as_rows(asked)).tolist() == [each in marked for each in asked]


def test_many_random_ids_are_new_once_and_known_ever_after() -> None:
    random = np.random.default_rng(1)
    seen_ids = SeenIds()
    batches = [random.integers(0, 256, (20_000, 16), np.uint8) for _ in range(8)]
    for ids in batches:
        assert len(seen_ids.add(ids)) == 0
    others = [random.integers(0, 256, (20_000, 16), np.uint8) for _ in range(8)]
    candidates = seen_ids.matcher()
    assert all((candidates(ids) == ids).all() for ids in batches)
    assert all(len(candidates(ids)) < 1000 for ids in others)
    for ids in batches:
        assert len(seen_ids.add(ids)) == len(ids)
