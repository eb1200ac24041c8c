"""The set of ids says the same as a set of Python's, however the ids come."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernel import id_filter, seen_ids
from assay.kernel.id_filter import IdFilter
from assay.kernel.identity import Ids
from assay.kernel.seen_ids import SeenIds
from assay.kernel.sorted_ids import SortedIds

# Few different halves, so that ids are repeated, and some share one half only.
halves = st.sampled_from([bytes([first, *bytes(6), last]) for first in (0, 1, 255) for last in range(6)])
Limits = Callable[[], AbstractContextManager[None]]
batches = st.lists(st.lists(st.tuples(halves, halves).map(b"".join), max_size=60), max_size=8)


def as_rows(ids: list[bytes]) -> Ids:
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16)


def no_file() -> None:
    raise FileNotFoundError("No usable temporary directory")


@contextmanager
def small_limits(*, with_files: bool) -> Iterator[None]:
    """So small that few ids make runs be merged and lie in files, and the filter grow."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(seen_ids, "LARGE_RUN_IDS", 20)
        monkeypatch.setattr(seen_ids, "MOST_SMALL_RUNS", 3)
        monkeypatch.setattr(seen_ids, "RUNS_TILL_LARGER", 2)
        monkeypatch.setattr(seen_ids, "MOST_RANGES", 4)
        monkeypatch.setattr(id_filter, "FIRST_TABLE_WORDS", 2)
        monkeypatch.setattr(id_filter, "MOST_TABLE_WORDS", 8)
        if not with_files:
            monkeypatch.setattr(tempfile, "TemporaryFile", no_file)
        yield


each_limits = pytest.mark.parametrize(
    "limits",
    [nullcontext, partial(small_limits, with_files=True), partial(small_limits, with_files=False)],
    ids=["as they are", "small", "small, and no files"],
)


@each_limits
@settings(max_examples=200, deadline=None)
@given(added=batches)
def test_rows_seen_before_are_those_that_a_set_has(limits: Limits, added: list[list[bytes]]) -> None:
    with limits():
        ids_seen = SeenIds()
        seen: set[bytes] = set()
        for ids in added:
            expected = []
            for row, each in enumerate(ids):
                if each in seen:
                    expected.append(row)
                seen.add(each)
            assert ids_seen.add(as_rows(ids)).tolist() == expected
        assert len(ids_seen) == len(seen)


@each_limits
@settings(max_examples=200, deadline=None)
@given(added=batches, known=batches)
def test_ids_among_those_seen_are_those_that_a_set_has(
    limits: Limits, added: list[list[bytes]], known: list[list[bytes]]
) -> None:
    with limits():
        ids_seen = SeenIds()
        for ids in added:
            ids_seen.add(as_rows(ids))
        seen = {each for ids in added for each in ids}
        for ids, rows in zip(known, map(ids_seen.matcher(), map(as_rows, known)), strict=True):
            candidates = {row.tobytes() for row in rows}
            assert seen & set(ids) <= candidates <= set(ids)
        marked: set[bytes] = set()
        for ids in known:
            ids_seen.mark(as_rows(ids))
            marked |= seen & set(ids)
            assert ids_seen.marked_count() == len(marked)
            for asked in known:
                assert ids_seen.is_marked(as_rows(asked)).tolist() == [each in marked for each in asked]


@each_limits
def test_many_random_ids_are_new_once_and_known_ever_after(limits: Limits) -> None:
    with limits():
        random = np.random.default_rng(1)
        ids_seen = SeenIds()
        batches = [random.integers(0, 256, (20_000, 16), np.uint8) for _ in range(8)]
        for ids in batches:
            assert len(ids_seen.add(ids)) == 0
        others = [random.integers(0, 256, (20_000, 16), np.uint8) for _ in range(8)]
        candidates = ids_seen.matcher()
        assert all((candidates(ids) == ids).all() for ids in batches)
        assert all(len(candidates(ids)) < 1000 for ids in others)
        for ids in batches:
            assert len(ids_seen.add(ids)) == len(ids)


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_large_set_of_ids_lies_in_files_that_nobody_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(seen_ids, "LARGE_RUN_IDS", 10_000)
    random = np.random.default_rng(1)
    ids_seen = SeenIds()
    batches = [random.integers(0, 256, (20_000, 16), np.uint8) for _ in range(3)]
    open_before = open_files()
    for ids in batches:
        assert len(ids_seen.add(ids)) == 0
    assert list(tmp_path.iterdir()) == []
    assert open_files() == open_before + 3
    for ids in batches:
        assert ids_seen.add(ids).tolist() == list(range(20_000))
    del ids_seen
    assert open_files() == open_before


def test_many_ids_take_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_ids, "LARGE_RUN_IDS", 100)
    random = np.random.default_rng(1)
    ids_seen = SeenIds()
    open_before = open_files()
    batches = [random.integers(0, 256, (400, 16), np.uint8) for _ in range(1000)]
    for ids in batches:
        ids_seen.add(ids)
    assert 40 < open_files() - open_before < 128
    ids_seen.mark(batches[0])
    assert ids_seen.marked_count() == 400
    assert 1 < open_files() - open_before <= 64
    assert ids_seen.is_marked(batches[0]).all()
    assert not ids_seen.is_marked(batches[1]).any()


def test_filter_tells_of_what_was_never_added() -> None:
    random = np.random.default_rng(1)
    filled = IdFilter()
    added = random.integers(0, 2**64, (10, 2, 100_000), np.uint64)
    for ids in added:
        filled.add(SortedIds(np.sort(ids[0]), ids[1]))
        others = random.integers(0, 2**64, (2, 100_000), np.uint64)
        assert np.count_nonzero(filled.may_have(*others)) < 2000
    for firsts, seconds in added:
        assert filled.may_have(np.sort(firsts), seconds).all()
