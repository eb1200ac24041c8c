"""What a commit makes visible: all of it or nothing, in order, and the history that each move leaves."""

from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import select

from assay.db import datasets, jobs, leases, tables, tokens
from assay.db.engine import Database
from assay.errors import Conflict
from assay.jobs import Counts, Lease, RecordError, State
from db.making import claim_surely, complete, make_dataset, make_import, outcome_of, queue_job
from moving_clock import Clock


class PowerCut(Exception):
    """Raised in mid-transaction."""


def _rows_of(db: Database) -> dict[str, list[tuple[object, ...]]]:
    with db.read() as tx:
        return {
            table.name: sorted(map(tuple, tx.connection.execute(select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }


def _parts_of(db: Database, dataset_id: UUID, *, from_row: int = 0, limit: int = 1000) -> list[tuple[int, int]]:
    with db.read() as tx:
        found = datasets.list_parts(tx, dataset_id, from_row=from_row, limit=limit)
    return [(part.first_row, part.record_count) for part in found]


def _commit_and_break_off(db: Database, lease: Lease) -> None:
    with db.write() as tx:
        jobs.commit_outcome(tx, lease, outcome_of(lease, 3, 4, faults=(2, 2)), to=State.PARTIAL, reason=None)
        raise PowerCut


def test_a_commit_that_breaks_off_leaves_nothing_behind(database: Database) -> None:
    queue_job(database, make_dataset(database))
    lease = claim_surely(database)
    before = _rows_of(database)
    with pytest.raises(PowerCut):
        _commit_and_break_off(database, lease)
    assert _rows_of(database) == before
    complete(database, lease)


def test_nothing_of_a_commit_is_seen_before_it_and_all_of_it_after(database: Database) -> None:
    dataset_id = make_dataset(database)
    job = queue_job(database, dataset_id)
    lease = claim_surely(database)
    with database.write() as tx:
        errors = (RecordError(4, "age", "Value must be positive"), RecordError(7, "_raw", 'Say "no"\u0000 – ✗'))
        outcome = replace(outcome_of(lease, 3, 4, faults=(1, 1)), counts=Counts(7, 2, 1, 99), errors=errors)
        jobs.commit_outcome(tx, lease, outcome, to=State.PARTIAL, reason="why not")
        # Another connection looks while the transaction is open.
        assert _parts_of(database, dataset_id) == []
        with database.read() as reader:
            seen = jobs.get_import(reader, dataset_id, job.id)
            assert seen == lease.job
    with database.read() as tx:
        ended = jobs.get_import(tx, dataset_id, job.id)
        assert ended is not None
        assert (ended.state, ended.counts, ended.errors) == (State.PARTIAL, outcome.counts, errors)
        assert ended.reason == "why not"
        dataset = datasets.get_dataset(tx, dataset_id)
        assert dataset is not None
        assert dataset.record_count == 7
        assert len(jobs.list_output_keys(tx, job.id)) == 4


def test_parts_lie_one_after_the_other_over_many_commits(database: Database) -> None:
    dataset_id, other = make_dataset(database), make_dataset(database)
    for counts in [(3, 1), (2,), (5, 5, 5), (1,)]:
        for each in (dataset_id, other):
            queue_job(database, each)
            complete(database, claim_surely(database), *counts)
    expected = [(0, 3), (3, 1), (4, 2), (6, 5), (11, 5), (16, 5), (21, 1)]
    assert _parts_of(database, dataset_id) == _parts_of(database, other) == expected


@pytest.mark.parametrize(
    ("from_row", "limit", "expected"),
    [
        (0, 2, [(0, 3), (3, 1)]),
        (2, 1, [(0, 3)]),
        (3, 1, [(3, 1)]),
        (5, 9, [(4, 2)]),
        (6, 9, []),
        (1000, 9, []),
    ],
)
def test_parts_are_found_from_a_row_on(
    database: Database, from_row: int, limit: int, expected: list[tuple[int, int]]
) -> None:
    dataset_id = make_dataset(database)
    assert _parts_of(database, dataset_id, from_row=from_row) == []
    queue_job(database, dataset_id)
    complete(database, claim_surely(database), 3, 1, 2)
    assert _parts_of(database, dataset_id, from_row=from_row, limit=limit) == expected


def test_a_reader_sees_one_state_while_others_commit(database: Database) -> None:
    dataset_id = make_dataset(database)
    job = queue_job(database, dataset_id)
    lease = claim_surely(database)
    with database.read() as tx:
        before = jobs.get_import(tx, dataset_id, job.id)
        complete(database, lease, 5)
        dataset = datasets.get_dataset(tx, dataset_id)
        assert dataset is not None
        assert dataset.record_count == 0
        assert datasets.list_parts(tx, dataset_id, from_row=0, limit=10) == []
        assert jobs.get_import(tx, dataset_id, job.id) == before
    assert _parts_of(database, dataset_id) == [(0, 5)]


def test_every_move_leaves_an_event(database: Database, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    with database.write() as tx:
        job = make_import(tx, dataset_id)
    clock.advance(1)
    with database.write() as tx:
        job = jobs.move(tx, job, State.PENDING_SCHEMA, uploaded_at=tx.now(), size_bytes=3)
        job = jobs.move(tx, job, State.QUEUED)
    clock.advance(1)
    lost = claim_surely(database)
    with database.write() as tx:
        leases.give_back(tx, lost, reason="The worker fell silent.", was_lost=True)
    complete(database, claim_surely(database), 1, faults=(1,))
    with database.read() as tx:
        events = jobs.list_events(tx, job.id)
    assert [(event.from_state, event.to_state, event.attempt, event.reason) for event in events] == [
        (None, State.UNINITIALISED, 0, None),
        (State.UNINITIALISED, State.PENDING_SCHEMA, 0, None),
        (State.PENDING_SCHEMA, State.QUEUED, 0, None),
        (State.QUEUED, State.PROCESSING, 1, None),
        (State.PROCESSING, State.QUEUED, 1, "The worker fell silent."),
        (State.QUEUED, State.PROCESSING, 2, None),
        (State.PROCESSING, State.PARTIAL, 2, None),
    ]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[-1].at == clock()


def test_a_refused_move_leaves_no_event(database: Database) -> None:
    job = queue_job(database, make_dataset(database))
    complete(database, claim_surely(database))
    with pytest.raises(Conflict), database.write() as tx:
        jobs.move(tx, job, State.FAILED, reason="too late")
    with database.read() as tx:
        assert jobs.list_events(tx, job.id)[-1].to_state is State.COMPLETE


def test_sweeping_looks_at_ended_jobs_once(database: Database) -> None:
    dataset_id = make_dataset(database)
    queue_job(database, dataset_id)
    queue_job(database, dataset_id)
    ended = complete(database, claim_surely(database))
    with database.write() as tx:
        assert [job.id for job in jobs.list_unswept(tx, limit=10)] == [ended.id]
        jobs.mark_swept(tx, ended.id)
    with database.read() as tx:
        assert jobs.list_unswept(tx, limit=10) == []


def test_an_upload_url_expires_unless_a_body_is_coming_in(database: Database, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    with database.write() as tx:
        quiet, busy, moved = (make_import(tx, dataset_id) for _ in range(3))
        jobs.move(tx, moved, State.QUEUED, uploaded_at=tx.now(), size_bytes=1)
    clock.advance(3601)
    with database.write() as tx:
        assert jobs.note_upload_activity(tx, busy.id, until=clock.time.replace(year=2027))
        assert not jobs.note_upload_activity(tx, moved.id, until=clock())
        assert [job.id for job in jobs.list_expired(tx, before=tx.now(), limit=10)] == [quiet.id]
        assert [job.id for job in jobs.list_quiet(tx, limit=10)] == [quiet.id]


def test_each_of_many_waiting_uploads_is_looked_at_in_time(database: Database) -> None:
    dataset_id = make_dataset(database)
    with database.write() as tx:
        made = [make_import(tx, dataset_id).id for _ in range(12)]
    seen = set()
    for _ in range(200):
        with database.read() as tx:
            looked = [job.id for job in jobs.list_quiet(tx, limit=6)]
        assert len(set(looked)) == 6
        assert looked[:3] == made[:-4:-1]
        assert looked == sorted(looked, reverse=True)
        seen |= {*looked}
    assert seen == {*made}


def test_first_of_many_expired_urls_are_listed_first(database: Database, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    made = []
    for _ in range(6):
        with database.write() as tx:
            made.append(make_import(tx, dataset_id).id)
        clock.advance(1)
    clock.advance(3601)
    with database.read() as tx:
        assert [job.id for job in jobs.list_expired(tx, before=tx.now(), limit=4)] == made[:4]


def test_waiting_uploads_of_a_workspace_are_looked_at_however_many_another_has(database: Database) -> None:
    few, many = (make_dataset(database, workspace_id=name) for name in ("few", "many"))
    with database.write() as tx:
        mine = {make_import(tx, few, workspace_id="few").id for _ in range(2)}
        for _ in range(50):
            make_import(tx, many, workspace_id="many")
    with database.read() as tx:
        for _ in range(20):
            looked = [job.id for job in jobs.list_quiet(tx, limit=8)]
            assert len(set(looked)) == 8
            assert mine <= {*looked}


def test_pages_of_imports_and_datasets_are_newest_first_and_whole(database: Database) -> None:
    made = [make_dataset(database) for _ in range(5)]
    make_dataset(database, workspace_id="other")
    queued = [queue_job(database, made[0]).id for _ in range(5)]
    with database.read() as tx:
        first = jobs.list_imports(tx, made[0], limit=3, before=None)
        rest = jobs.list_imports(tx, made[0], limit=3, before=first[-1].id)
        assert [job.id for job in first + rest] == queued[::-1]
        page = datasets.list_datasets(tx, "default", limit=3, before=None)
        more = datasets.list_datasets(tx, "default", limit=3, before=page[-1].id)
        assert [dataset.id for dataset in page + more] == made[::-1]


def test_states_are_counted_without_uploads_that_never_came(database: Database) -> None:
    dataset_id = make_dataset(database)
    with database.write() as tx:
        expired = make_import(tx, dataset_id)
        jobs.move(tx, expired, State.FAILED, reason="expired")
        bad = make_import(tx, dataset_id)
        jobs.move(tx, bad, State.FAILED, reason="a bad file", uploaded_at=tx.now())
        tokens.insert_workspace(tx, "default")  # it is there, and stays
    queue_job(database, dataset_id)
    with database.read() as tx:
        assert datasets.count_states(tx, dataset_id) == {State.FAILED: 1, State.QUEUED: 1}
