"""Whole imports by a real worker: many chunks, duplicates, order; with what one pass by hand would find."""

import itertools
from collections.abc import Callable

import pytest

from assay import importing
from assay.jobs import Counts, Import, State
from worker.bench import Bench, csv_of, jsonl_of
from worker.faults import wait_for_the_gate

WRITERS = {"a.csv": csv_of, "a.jsonl": jsonl_of}


@pytest.mark.parametrize("filename", WRITERS)
@pytest.mark.parametrize("workers", [1, 2])
def test_indices_and_order_are_right_across_many_chunks(bench: Bench, filename: str, workers: int) -> None:
    ages = [-index if index % 7 == 3 else index for index in range(1, 1001)]
    dataset_id = bench.make_dataset()
    job = bench.upload(dataset_id, WRITERS[filename](ages), filename)
    with bench.working(workers=workers):
        ended = bench.ended(job)
    bad = [place for place, age in enumerate(ages) if age < 0]
    assert ended.state is State.PARTIAL
    assert [error.record_index for error in ended.errors] == bad
    assert {(error.field, error.reason) for error in ended.errors} == {("age", "Value must be a positive integer")}
    assert ended.counts.accepted + ended.counts.rejected == len(ages)
    assert ended.counts.processed_offset == ended.size_bytes
    found = [(record.record_index, record.data["age"]) for record in bench.records(dataset_id)]
    assert found == [(place, age) for place, age in enumerate(ages) if age > 0]
    assert len(bench.files(dataset_id, "parts")) > 3


def test_record_longer_than_a_chunk_is_taken_whole(bench: Bench) -> None:
    dataset_id = bench.make_dataset({"fields": {"text": {"type": "text"}}})
    texts = ["short", "long\n" * 1000, "", "end"]
    data = "text,n\n" + "".join(f'"{text}",{number}\n' for number, text in enumerate(texts))
    (ended,) = bench.done(bench.upload(dataset_id, data.encode()))
    assert ended.state is State.COMPLETE
    assert [record.data["text"] for record in bench.records(dataset_id)] == [text or None for text in texts]


def test_duplicates_within_a_file_are_accepted_counted_and_not_written(bench: Bench) -> None:
    dataset_id = bench.make_dataset()
    ages = [1, 2, 1, *range(10, 900), 2, 10, 899]  # within a chunk, and between the first and the last
    (ended,) = bench.done(bench.upload(dataset_id, csv_of(ages)))
    assert ended.state is State.COMPLETE
    assert (ended.counts.accepted, ended.counts.duplicate) == (len(ages), 4)
    assert bench.ages(dataset_id) == [1, 2, *range(10, 900)]


@pytest.mark.parametrize("many", [importing.MANY_IDS, 60], ids=["of all parts at once", "of a part or two at a time"])
def test_duplicates_across_files_are_accepted_counted_and_not_written(
    bench: Bench, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MANY_IDS", many)
    dataset_id = bench.make_dataset()
    first, second = [bench.upload(dataset_id, csv_of(ages)) for ages in (range(1, 400), range(300, 500))]
    ends = bench.done(first, second)
    assert [(end.counts.accepted, end.counts.duplicate) for end in ends] == [(399, 0), (200, 100)]
    assert bench.ages(dataset_id) == [*range(1, 500)]
    assert bench.dataset(dataset_id).record_count == 499


def test_same_file_again_adds_nothing(bench: Bench) -> None:
    dataset_id = bench.make_dataset()
    data = jsonl_of([*range(1, 300), "x"])
    bench.done(bench.upload(dataset_id, data, "a.jsonl"))
    before = bench.records(dataset_id)
    (again,) = bench.done(bench.upload(dataset_id, data, "b.jsonl"))
    assert again.state is State.PARTIAL
    assert again.counts == Counts(accepted=299, rejected=1, duplicate=299, processed_offset=len(data))
    assert bench.records(dataset_id) == before


def test_same_record_in_another_dataset_is_no_duplicate(bench: Bench) -> None:
    datasets = [bench.make_dataset() for _ in range(2)]
    ends = bench.done(*[bench.upload(dataset_id, csv_of([5])) for dataset_id in datasets])
    assert [end.counts.duplicate for end in ends] == [0, 0]
    one, other = [bench.records(dataset_id)[0].id for dataset_id in datasets]
    assert one != other


def test_identical_content_has_one_id_whatever_became_of_its_import(bench: Bench) -> None:
    dataset_id = bench.make_dataset()
    bench.done(bench.upload(dataset_id, jsonl_of([7]), "a.jsonl"))
    (record,) = bench.records(dataset_id)
    assert record.id.version == 8


def test_all_rejected_is_failed_with_its_faults_kept(bench: Bench) -> None:
    dataset_id = bench.make_dataset()
    (ended,) = bench.done(bench.upload(dataset_id, csv_of(range(-500, 1))))
    assert ended.state is State.FAILED
    assert ended.counts.rejected == 501
    assert "501 records were rejected" in (ended.reason or "")
    assert len(ended.errors) == 501
    assert bench.files(dataset_id, "parts") == []
    assert bench.files(dataset_id, "rejections") != []


def test_only_record_that_was_rejected_is_no_plural(bench: Bench) -> None:
    (ended,) = bench.done(bench.upload(bench.make_dataset(), csv_of([0])))
    assert (ended.reason or "").startswith("The only record was rejected, so nothing was ingested.")


@pytest.mark.parametrize("data", [b"", b"age\n", b"\n\n", b"name\nx\n", b'age\n1\n"2', "age\n1\n".encode("utf-16")])
def test_unusable_file_is_failed_with_nothing_left_behind(bench: Bench, data: bytes) -> None:
    dataset_id = bench.make_dataset()
    (ended,) = bench.done(bench.upload(dataset_id, data))
    assert (ended.state, ended.counts) == (State.FAILED, Counts())
    assert bench.dataset(dataset_id).record_count == 0
    assert bench.files(dataset_id, "parts") == []


def assert_one_at_a_time(bench: Bench, jobs: list[Import]) -> None:
    """Each started no sooner than the one before it had ended."""
    for before, after in itertools.pairwise(jobs):
        assert bench.times(after, State.PROCESSING)[0] >= bench.history(before)[-1].at


def test_imports_of_a_dataset_run_one_at_a_time_in_upload_order(bench: Bench) -> None:
    dataset_id = bench.make_dataset()
    jobs = [bench.upload(dataset_id, csv_of([number])) for number in range(1, 7)]
    bench.done(*jobs)
    assert_one_at_a_time(bench, jobs)
    assert bench.ages(dataset_id) == [1, 2, 3, 4, 5, 6]


def test_long_line_of_one_dataset_does_not_starve_another(bench: Bench) -> None:
    long, short = bench.make_dataset(), bench.make_dataset()
    waiting = [bench.upload(long, csv_of([number])) for number in range(1, 7)]
    late = bench.upload(short, csv_of([1]))
    bench.done(*waiting, late)
    assert bench.times(late, State.PROCESSING)[0] <= bench.times(waiting[1], State.PROCESSING)[0]


def test_dataset_that_is_stuck_holds_up_its_own_line_alone(bench: Bench, check_with: Callable[..., None]) -> None:
    check_with(wait_for_the_gate)
    stuck_dataset, free_dataset = bench.make_dataset(), bench.make_dataset()
    stuck = bench.upload(stuck_dataset, csv_of([1]), "gated.csv")
    behind = bench.upload(stuck_dataset, csv_of([2]))
    with bench.working(workers=2):
        free = bench.upload(free_dataset, csv_of([3]))
        assert bench.ended(free).state is State.COMPLETE
        assert bench.now(stuck).state is State.PROCESSING
        assert bench.now(behind).state is State.QUEUED
        (bench.settings.data_dir / "open").touch()
        assert bench.ended(behind).state is State.COMPLETE
    assert bench.ages(stuck_dataset) == [1, 2]
