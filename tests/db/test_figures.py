"""What the job rows add up to, on both engines."""

from assay.db import leases
from assay.db.engine import Database
from assay.db.figures import read_figures
from assay.jobs import Counts, Kind, State
from db.making import claim_surely, complete, make_dataset, make_import, queue_job
from moving_clock import Clock


def test_empty_database_has_empty_figures(database: Database) -> None:
    with database.read() as tx:
        figures = read_figures(tx)
    assert figures.jobs == {}
    assert figures.records_by_outcome == {"accepted": 0, "duplicate": 0, "rejected": 0}
    assert figures.queue_age_seconds == 0
    assert figures.recent_seconds == []
    assert figures.deliveries == {}


def test_figures_add_up(database: Database, clock: Clock) -> None:
    dataset_id = make_dataset(database)
    for faults, seconds in (((), 2), ((3, 4), 8)):
        queue_job(database, dataset_id)
        lease = claim_surely(database)
        clock.advance(seconds)
        complete(database, lease, 10, 20, faults=faults)
    queue_job(database, dataset_id)
    clock.advance(30.5)
    with database.write() as tx:
        make_import(tx, dataset_id)
    with database.read() as tx:
        figures = read_figures(tx)
    assert figures.jobs == {
        (Kind.IMPORT, State.COMPLETE): 1,
        (Kind.IMPORT, State.PARTIAL): 1,
        (Kind.IMPORT, State.QUEUED): 1,
        (Kind.IMPORT, State.UNINITIALISED): 1,
    }
    assert figures.records_by_outcome == {"accepted": 60, "duplicate": 0, "rejected": 7}
    assert figures.queue_age_seconds == 30.5
    assert figures.recent_seconds == [2, 8]


def test_what_runs_is_not_counted_before_it_has_ended(database: Database) -> None:
    queue_job(database, make_dataset(database))
    lease = claim_surely(database)
    with database.write() as tx:
        leases.record_progress(tx, lease, Counts(accepted=5, rejected=2, duplicate=1))
    with database.read() as tx:
        figures = read_figures(tx)
    assert figures.records_by_outcome == {"accepted": 0, "duplicate": 0, "rejected": 0}
    assert figures.recent_seconds == []


def test_imports_that_ended_long_ago_are_not_recent(database: Database, clock: Clock) -> None:
    queue_job(database, make_dataset(database))
    complete(database, claim_surely(database))
    clock.advance(3601)
    with database.read() as tx:
        assert read_figures(tx).recent_seconds == []
