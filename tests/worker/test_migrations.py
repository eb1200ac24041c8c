"""Schema migrations: all records again from their uploads, order and ids unchanged, and nobody sees a mixture."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay import migrating
from assay.config import Settings
from assay.db import tokens
from assay.db.engine import open_database
from assay.jobs import State
from assay.migration_runs import GroupOutcome, MigrationGroup, run_group
from assay.operations import return_lapsed
from assay.reading import OLD_FILES_STAY_FOR, read_datapoints
from assay.storage.local import open_local
from assay.sweeping import sweep_files
from moving_clock import Clock
from worker.bench import Bench, csv_of, jsonl_of
from worker.migrations import (
    append,
    data_of,
    ended,
    migrate,
    migration,
    places_of,
    publish,
    schema_of,
    threads_as_engine,
)


@pytest.fixture
def bench(database_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """As the other one, on both engines and the test's clock."""
    monkeypatch.setattr("assay.worker.open_engine", threads_as_engine)
    monkeypatch.setattr("assay.worker.open_own_engine", threads_as_engine)
    db = open_database(database_url, clock=clock)
    with db.write() as tx:
        tokens.insert_workspace(tx, "default")
    settings = Settings(data_dir=tmp_path, workers=2, chunk_bytes=1024, poll_seconds=0.05)
    yield Bench(db, open_local(tmp_path / "storage", signing_key=b"a key", base_url=""), settings)
    db.close()


def test_wider_type_takes_every_value_again(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(bench.upload(dataset_id, csv_of(range(700))))
    before = bench.records(dataset_id)
    found = migrate(bench, dataset_id, schema_of(age="text"))
    assert (found.state, found.record_count, found.nulled_count) == (State.COMPLETE, 700, 0)
    after = bench.records(dataset_id)
    assert [record.data for record in after] == [{"age": str(age)} for age in range(700)]
    assert places_of(after) == places_of(before)
    assert bench.dataset(dataset_id).schema_version == 2


def test_file_without_a_column_of_the_new_schema_keeps_its_records(bench: Bench) -> None:
    """As a new upload it would be turned away."""
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(bench.upload(dataset_id, csv_of(range(3))))
    found = migrate(bench, dataset_id, schema_of(years={"type": "integer", "required": True}))
    assert (found.state, found.record_count, found.nulled_count) == (State.PARTIAL, 3, 3)
    assert data_of(bench.records(dataset_id)) == [{"years": None}] * 3


def test_values_that_a_narrower_schema_refuses_become_null_and_are_told(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age="text", name="text"))
    lines = [b'{"age": "x", "name": "a"}', b'{"age": 7, "name": "b"}', b'{"name": "c"}', b'{"age": 5}']
    bench.done(bench.upload(dataset_id, b"\n".join(lines), "a.jsonl"))
    before = bench.records(dataset_id)
    narrow = schema_of(strict=True, age={"type": "integer", "minimum": 6}, name={"type": "text", "required": False})
    found = migrate(bench, dataset_id, narrow)
    assert (found.state, found.record_count, found.nulled_count) == (State.PARTIAL, 4, 3)
    assert [(value.datapoint_id, value.field, value.reason) for value in found.first_nulled] == [
        (before[0].id, "age", "Value must be an integer"),
        (before[2].id, "age", "Field is required"),
        (before[3].id, "age", "Value must be at least 6"),
    ]
    assert data_of(bench.records(dataset_id)) == [
        {"age": None, "name": "a"},
        {"age": 7, "name": "b"},
        {"age": None, "name": "c"},
        {"age": None, "name": None},
    ]
    assert places_of(bench.records(dataset_id)) == places_of(before)


def test_fields_that_were_ignored_appear_when_a_schema_names_them(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(a="text"))
    bench.done(
        bench.upload(dataset_id, b"a,b,c\n1,2,3\n4,,6\n", "a.csv"),
        bench.upload(dataset_id, b'{"a": "x", "b": 8, "c": true}\n{"a": "y"}\n', "b.jsonl"),
    )
    append(bench, dataset_id, b'{"a": "z", "b": 9}')
    found = migrate(bench, dataset_id, schema_of(c="text", b="integer", a="text"))
    assert found.state is State.COMPLETE
    records = data_of(bench.records(dataset_id))
    assert tuple(records[0].items()) == (("c", "3"), ("b", 2), ("a", "1"))
    assert [tuple(record.values()) for record in records] == [
        ("3", 2, "1"),
        ("6", None, "4"),
        ("true", 8, "x"),
        (None, None, "y"),
        (None, 9, "z"),
    ]


def test_column_that_no_header_has_is_absence_and_fails_nothing(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(bench.upload(dataset_id, csv_of([1, 2])))
    found = migrate(bench, dataset_id, schema_of(strict=True, age="integer", city="text"))
    assert (found.state, found.nulled_count) == (State.PARTIAL, 2)
    assert {(value.field, value.reason) for value in found.first_nulled} == {("city", "Field is required")}
    assert data_of(bench.records(dataset_id)) == [{"age": 1, "city": None}, {"age": 2, "city": None}]


def test_rejected_records_stay_out_and_duplicates_stay_one(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age={"type": "integer", "maximum": 500}))
    first = bench.upload(dataset_id, jsonl_of([*range(400, 700), 450, "x"]), "a.jsonl")
    second = bench.upload(dataset_id, jsonl_of([600, 499, *range(300, 420)]), "b.jsonl")
    bench.done(first, second)
    before = bench.records(dataset_id)
    migrate(bench, dataset_id, schema_of(age="text"))
    after = bench.records(dataset_id)
    assert places_of(after) == places_of(before)
    assert [record.data["age"] for record in after] == [str(record.data["age"]) for record in before]


def test_many_appends_come_out_as_few_files(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    for first in range(0, 60, 3):
        append(bench, dataset_id, jsonl_of(range(first, first + 3)))
    bench.done(bench.upload(dataset_id, csv_of(range(100, 104))))
    append(bench, dataset_id, jsonl_of([200]))
    before = bench.records(dataset_id)
    found = migrate(bench, dataset_id, schema_of(age="number"))
    assert len(bench.files(dataset_id, f"parts/{found.id}")) <= 2
    assert places_of(bench.records(dataset_id)) == places_of(before)
    assert bench.ages(dataset_id) == [*range(60), *range(100, 104), 200]


def test_migration_takes_its_turn_between_imports(bench: Bench, clock: Clock) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    first = bench.upload(dataset_id, csv_of([1, 2]))
    clock.advance(1)
    migration_id = publish(bench, dataset_id, schema_of(age={"type": "integer", "minimum": 2}))
    clock.advance(1)
    second = bench.upload(dataset_id, csv_of([-1, 3]))
    done = bench.done(first, second)
    found = migration(bench, dataset_id, migration_id)
    assert [(job.state, job.schema_version) for job in done] == [(State.COMPLETE, 1), (State.PARTIAL, 2)]
    assert (found.state, found.record_count, found.nulled_count) == (State.PARTIAL, 2, 1)
    assert bench.ages(dataset_id) == [None, 2, 3]


def test_migration_of_a_migrated_dataset_starts_from_the_uploads(bench: Bench) -> None:
    """What one schema made null is there again under the next."""
    dataset_id = bench.make_dataset(schema_of(age="text"))
    bench.done(bench.upload(dataset_id, csv_of(["x", 1, "y"])))
    migrate(bench, dataset_id, schema_of(age="integer"))
    assert bench.ages(dataset_id) == [None, 1, None]
    assert migrate(bench, dataset_id, schema_of(age="text")).state is State.COMPLETE
    assert bench.ages(dataset_id) == ["x", "1", "y"]


def test_more_lost_values_than_are_told_are_all_counted(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age="text"))
    bench.done(bench.upload(dataset_id, csv_of(f"x{n}" for n in range(1500))))
    found = migrate(bench, dataset_id, schema_of(age="integer"))
    assert (found.nulled_count, len(found.first_nulled)) == (1500, 1000)
    records = bench.records(dataset_id)
    assert [value.datapoint_id for value in found.first_nulled] == [record.id for record in records[:1000]]


@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_damaged_upload_fails_the_migration_and_leaves_the_records(bench: Bench, damage: str) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    data = csv_of(range(500))
    bench.done(job := bench.upload(dataset_id, data))
    before = bench.records(dataset_id)
    if damage == "gone":
        bench.storage.delete(job.file_key)
    else:
        bench.storage.put(job.file_key, data[:900] if damage == "cut" else data.replace(b"\n42\n", b"\n43\n"))
    found = migrate(bench, dataset_id, schema_of(age="text"))
    assert found.state is State.FAILED
    assert str(job.id) in (found.reason or "")
    assert bench.records(dataset_id) == before
    assert bench.dataset(dataset_id).schema == schema_of(age="integer")


class Stops:
    """In the place of a group's run: holds the first attempt after some groups, until it is told to go on."""

    def __init__(self, *, after: int) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._left = after

    def __call__(self, group: MigrationGroup) -> GroupOutcome:
        self._left -= 1
        if self._left < 0 and not self.go_on.is_set():
            self.reached.set()
            self.go_on.wait(20)
        return run_group(group)


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stops]:
    stops = Stops(after=2)
    monkeypatch.setattr(migrating, "run_group", stops)
    yield stops
    stops.go_on.set()


def test_readers_see_the_old_records_until_all_are_new(bench: Bench, stops: Stops) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(bench.upload(dataset_id, csv_of(range(900))))
    migration_id = publish(bench, dataset_id, schema_of(age="text"))
    with bench.working():
        assert stops.reached.wait(20)
        assert bench.ages(dataset_id) == list(range(900))
        assert bench.dataset(dataset_id).schema_version == 1
        stops.go_on.set()
        kinds = set()
        while migration(bench, dataset_id, migration_id).state is State.PROCESSING:
            kinds.add(frozenset(type(age) for age in bench.ages(dataset_id)))
        assert kinds <= {frozenset({int}), frozenset({str})}
    assert bench.ages(dataset_id) == [str(age) for age in range(900)]


def test_migration_whose_worker_falls_silent_is_done_by_another(bench: Bench, stops: Stops, clock: Clock) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(bench.upload(dataset_id, csv_of(range(900))))
    before = bench.records(dataset_id)
    migration_id = publish(bench, dataset_id, schema_of(age="text"))
    with bench.working(lease_seconds=10_000):  # its heartbeat comes never
        assert stops.reached.wait(20)
        clock.advance(20_000)
        assert return_lapsed(bench.db) == 1
        with bench.working() as other:
            stops.go_on.set()
            other.nudge()
            found = ended(bench, dataset_id, migration_id)
    assert (found.state, found.record_count) == (State.COMPLETE, 900)
    after = bench.records(dataset_id)
    assert places_of(after) == places_of(before)
    sweep_files(bench.db, bench.storage)
    assert bench.records(dataset_id) == after
    attempts = {key.split("/")[4] for key in bench.files(dataset_id, f"parts/{migration_id}")}
    assert attempts == {"2"}


def test_stopped_worker_gives_the_migration_back(bench: Bench, stops: Stops) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(bench.upload(dataset_id, csv_of(range(900))))
    migration_id = publish(bench, dataset_id, schema_of(age="text"))
    with bench.working():
        assert stops.reached.wait(20)
        threading.Timer(0.2, stops.go_on.set).start()
    assert migration(bench, dataset_id, migration_id).state is State.QUEUED
    assert bench.files(dataset_id, f"parts/{migration_id}") == []
    with bench.working():
        assert ended(bench, dataset_id, migration_id).state is State.COMPLETE


def test_old_files_stay_for_those_who_read_them_and_then_go(bench: Bench, clock: Clock) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(job := bench.upload(dataset_id, csv_of(range(300))))
    old = bench.files(dataset_id, f"parts/{job.id}")
    migrate(bench, dataset_id, schema_of(age="text"))
    clock.advance(OLD_FILES_STAY_FOR.total_seconds() - 1)
    sweep_files(bench.db, bench.storage)
    assert bench.files(dataset_id, f"parts/{job.id}") == old
    clock.advance(2)
    sweep_files(bench.db, bench.storage)
    assert bench.files(dataset_id, f"parts/{job.id}") == []
    assert len(bench.records(dataset_id)) == 300
    assert bench.files(dataset_id, f"uploads/{job.id}") != []


def test_pages_go_on_across_a_migration(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    bench.done(bench.upload(dataset_id, csv_of(range(300))))
    first = read_datapoints(bench.db, bench.storage, dataset_id, from_row=0, limit=100)
    migrate(bench, dataset_id, schema_of(age="text"))
    rest = read_datapoints(bench.db, bench.storage, dataset_id, from_row=first.next_row or 0, limit=1000)
    assert [record.data["age"] for record in first.datapoints] == list(range(100))
    assert [record.data["age"] for record in rest.datapoints] == [str(age) for age in range(100, 300)]


def test_appends_and_imports_know_migrated_records(bench: Bench) -> None:
    dataset_id = bench.make_dataset(schema_of(age="integer"))
    append(bench, dataset_id, jsonl_of([1, 2]))
    bench.done(bench.upload(dataset_id, jsonl_of([2, 3]), "a.jsonl"))
    migrate(bench, dataset_id, schema_of(age="text"))
    assert append(bench, dataset_id, jsonl_of([1, 2, 3, 4])).accepted == 4
    bench.done(job := bench.upload(dataset_id, jsonl_of([4, 5]), "b.jsonl"))
    assert bench.now(job).counts.duplicate == 1
    assert bench.ages(dataset_id) == ["1", "2", "3", "4", "5"]
