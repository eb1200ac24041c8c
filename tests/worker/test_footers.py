"""What a worker writes has the hashes of its footers in the database, and whoever reads it compares them."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from assay.errors import ErrorCode, Unavailable
from assay.jobs import Import, State
from assay.rejected import read_errors, read_rejected
from worker import migrations
from worker.bench import Bench, csv_of


def change_footers(bench: Bench, job: Import, kind: str) -> list[str]:
    """Flip a bit of each file's footer that changes nothing Arrow looks at; the keys of the files."""
    changed = bench.files(job.dataset_id, kind)
    for key in changed:
        data = bench.storage.read_range(key, 0, 10**9)
        bench.storage.put(key, data.replace(b"parquet-cpp-arrow", b"parquet-cqp-arrow"))
        assert bench.storage.read_range(key, 0, 10**9) != data
    return changed


def test_parts_of_an_import_are_compared(bench: Bench) -> None:
    (job,) = bench.done(bench.upload(bench.make_dataset(), csv_of(range(1, 500))))
    assert bench.ages(job.dataset_id) == [*range(1, 500)]
    changed = change_footers(bench, job, "parts")
    with pytest.raises(Unavailable) as caught:
        bench.records(job.dataset_id)
    assert caught.value.code is ErrorCode.STORAGE_DAMAGED
    assert f"The stored file {changed[0]} is damaged" in caught.value.message


def test_an_import_into_a_dataset_with_a_changed_footer_fails_and_says_so(bench: Bench) -> None:
    (job,) = bench.done(bench.upload(bench.make_dataset(), csv_of([1, 2, 3])))
    change_footers(bench, job, "parts")
    (other,) = bench.done(bench.upload(job.dataset_id, csv_of([3, 4])))
    assert (other.state, other.attempt) == (State.FAILED, 1)
    assert "is damaged: restore it from a backup" in (other.reason or "")


def test_parts_that_were_written_again_without_duplicates_are_compared(bench: Bench) -> None:
    (job,) = bench.done(bench.upload(bench.make_dataset(), csv_of([1, 2, 2, 3, 1])))
    assert bench.ages(job.dataset_id) == [1, 2, 3]
    change_footers(bench, job, "parts")
    with pytest.raises(Unavailable, match="damaged"):
        bench.records(job.dataset_id)


READERS: dict[str, Callable[[Bench, Import], object]] = {
    "errors": lambda bench, job: read_errors(bench.db, bench.storage, job, from_fault=0, limit=10).errors,
    "rejected": lambda bench, job: rejected(bench, job),
}


def rejected(bench: Bench, job: Import) -> bytes:
    with closing(read_rejected(bench.db, bench.storage, job, record_limit_bytes=1024)) as blocks:
        return b"".join(blocks)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_files_of_faults_are_compared(bench: Bench, read: Callable[[Bench, Import], Any]) -> None:
    (job,) = bench.done(bench.upload(bench.make_dataset(), csv_of([1, "x", 2, -1])))
    assert job.counts.rejected
    assert read(bench, job)
    change_footers(bench, job, "rejections")
    with pytest.raises(Unavailable, match="is damaged: restore it from a backup") as caught:
        read(bench, job)
    assert caught.value.code is ErrorCode.STORAGE_DAMAGED


def test_parts_of_a_migration_are_compared(bench: Bench) -> None:
    (job,) = bench.done(bench.upload(bench.make_dataset(), csv_of([1, 2, 3])))
    migrations.migrate(bench, job.dataset_id, migrations.schema_of(age="text"))
    assert bench.ages(job.dataset_id) == ["1", "2", "3"]
    change_footers(bench, job, "parts")
    with pytest.raises(Unavailable, match="damaged"):
        bench.records(job.dataset_id)


def test_a_migration_of_changed_footers_fails_and_leaves_the_records(bench: Bench) -> None:
    (job,) = bench.done(bench.upload(bench.make_dataset(), csv_of([1, 2, 3])))
    change_footers(bench, job, "parts")
    ended = migrations.migrate(bench, job.dataset_id, migrations.schema_of(age="text"))
    assert ended.state is State.FAILED
    assert "is damaged: restore it from a backup" in (ended.reason or "")
