"""Who runs when, read from the table of events after a run in which several workers wanted the same jobs."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from assay.db import tables
from assay.db.engine import open_database
from crash.known_files import SCHEMA, make_files
from crash.place import Place

DATASETS, FILES, LIMIT = 4, 3, 2


@pytest.fixture
def moves(place: Place) -> list[Any]:
    """All moves of a contended run, in their order: (dataset, job, state moved to)."""
    place.settings["ASSAY_RUNNING_JOBS_PER_WORKSPACE"] = str(LIMIT)
    place.settings["ASSAY_LEASE_SECONDS"] = "30"
    place.server()
    client = place.client()
    dataset_ids = [client.make_dataset(SCHEMA) for _ in range(DATASETS)]
    files = make_files(Random(3), files=FILES, records=120)
    imports = [
        (dataset_id, client.upload(dataset_id, file.name, file.data)) for dataset_id in dataset_ids for file in files
    ]
    for name in ("one", "two"):
        place.worker(name)
    assert {client.wait_for_end(*each)["status"] for each in imports} <= {"complete", "partial"}
    database = open_database(f"sqlite:///{place.folder / 'data' / 'assay.db'}")
    events, jobs = tables.job_events, tables.jobs
    statement = select(jobs.c.dataset_id, events.c.job_id, events.c.to_state).join(jobs, jobs.c.id == events.c.job_id)
    with database.read() as tx:
        rows = list(tx.connection.execute(statement.order_by(events.c.id)))
    database.close()
    return rows


def test_workers_never_overlap_take_turns_and_keep_the_limit(moves: list[Any]) -> None:
    running: Counter[Any] = Counter()
    claims = []
    for dataset_id, job_id, state in moves:
        if state == "processing":
            running[dataset_id] += 1
            claims.append((dataset_id, job_id))
        elif state in ("complete", "partial"):
            running[dataset_id] -= 1
        assert max(running.values(), default=0) <= 1, "two jobs of a dataset ran at once"
        assert running.total() <= LIMIT, "more jobs of the workspace ran than its limit"
    assert len(claims) == DATASETS * FILES
    # With all jobs waiting from the start, each dataset is served once before any is served again.
    turns = [len({dataset for dataset, _ in claims[at : at + DATASETS]}) for at in range(0, len(claims), DATASETS)]
    assert turns == [DATASETS] * FILES
    # Within a dataset the order is that of upload, which the ids have too.
    for dataset_id in running:
        jobs = [job for dataset, job in claims if dataset == dataset_id]
        assert jobs == sorted(jobs)
