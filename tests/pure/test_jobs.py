"""The table of transitions, held to by the one function that moves a job."""

from collections.abc import Iterator
from contextlib import closing
from itertools import product

import pytest
from sqlalchemy import update

from assay.db import jobs, tables
from assay.db.engine import Database, open_database
from assay.errors import Conflict, ErrorCode
from assay.jobs import SETTLED, TERMINAL, TRANSITIONS, Counts, Import, State, final_state
from db.making import make_dataset, make_import


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    with closing(open_database(sqlite_url)) as db:
        yield db


def _import_in(db: Database, state: State) -> Import:
    dataset_id = make_dataset(db)
    with db.write() as tx:
        job = make_import(tx, dataset_id)
        tx.connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(state=state.value))
        found = jobs.get_import(tx, dataset_id, job.id)
    assert found is not None
    return found


@pytest.mark.parametrize(("start", "to"), list(product(State, State)), ids=lambda state: state.value)
def test_a_move_is_made_if_the_table_has_it_and_is_a_conflict_if_not(sqlite: Database, start: State, to: State) -> None:
    job = _import_in(sqlite, start)
    if to in TRANSITIONS[start]:
        with sqlite.write() as tx:
            assert jobs.move(tx, job, to, reason="why").state is to
    else:
        with pytest.raises(Conflict) as raised, sqlite.write() as tx:
            jobs.move(tx, job, to, reason="why")
        assert raised.value.code is ErrorCode.STATE_CHANGED
    with sqlite.read() as tx:
        found = jobs.get_import(tx, job.dataset_id, job.id)
        last = jobs.list_events(tx, job.id)[-1]
    assert found is not None
    expected = to if to in TRANSITIONS[start] else start
    assert found.state is expected
    assert last.to_state is (to if to in TRANSITIONS[start] else State.UNINITIALISED)


@pytest.mark.parametrize("start", [state for state in State if TRANSITIONS[state]], ids=lambda state: state.value)
def test_a_job_that_was_moved_on_by_another_is_a_conflict(sqlite: Database, start: State) -> None:
    job = _import_in(sqlite, start)
    to = min(TRANSITIONS[start])
    with sqlite.write() as tx:
        jobs.move(tx, job, to)
    with pytest.raises(Conflict, match="someone else"), sqlite.write() as tx:
        jobs.move(tx, job, to)


def test_every_state_has_its_row_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {State.UNINITIALISED}
    while more := {to for state in reached for to in TRANSITIONS[state]} - reached:
        reached |= more
    assert reached == set(State)


def test_terminal_states_are_final_and_all_others_lead_to_one() -> None:
    assert {State.COMPLETE, State.PARTIAL, State.FAILED} == TERMINAL
    assert all(not TRANSITIONS[state] for state in TERMINAL)
    # Whatever happens to a job, it can be ended.
    assert all(State.FAILED in TRANSITIONS[state] for state in set(State) - TERMINAL)
    assert TERMINAL | {State.PENDING_SCHEMA} == SETTLED


def test_only_a_queued_job_starts_and_only_a_running_one_succeeds() -> None:
    into = {to: {state for state in State if to in TRANSITIONS[state]} for to in State}
    assert into[State.PROCESSING] == {State.QUEUED}
    assert into[State.COMPLETE] == into[State.PARTIAL] == {State.PROCESSING}
    assert into[State.UNINITIALISED] == set()


@pytest.mark.parametrize(
    ("accepted", "rejected", "expected"),
    [(3, 0, State.COMPLETE), (3, 1, State.PARTIAL), (0, 3, State.FAILED), (0, 0, State.FAILED)],
)
def test_the_counts_say_how_a_job_ends(accepted: int, rejected: int, expected: State) -> None:
    assert final_state(Counts(accepted=accepted, rejected=rejected)) is expected


def test_duplicates_are_accepted_and_not_written() -> None:
    assert Counts(accepted=10, duplicate=4).written == 6


def test_the_words_of_the_states_are_the_apis() -> None:
    words = "uninitialised pending_schema queued processing complete partial failed"
    assert [state.value for state in State] == words.split()
