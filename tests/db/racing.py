"""What the tests let several threads and processes do at once. A process opens a database of its own, by its URL."""

import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import timedelta
from multiprocessing import get_context
from uuid import UUID

from sqlalchemy import func, select

from assay.db import datasets, leases, tables, tokens
from assay.db.engine import Database, open_database
from assay.errors import Conflict
from assay.jobs import Counts, State
from db.making import complete

LEASE = timedelta(seconds=60)
OPEN_STATES = [State.QUEUED.value, State.PROCESSING.value]


def start_processes(count: int) -> ProcessPoolExecutor:
    # A forked child would share its parent's connections; a spawned one is what a second service is.
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def wait_for(start_at: float) -> None:
    """All racers start at one moment, which the time since 1970 says in every process."""
    time.sleep(max(0.0, start_at - time.time()))


def drain(db: Database, running_limit: int) -> list[UUID]:
    """Claim and finish jobs until all have ended, as a worker does; the jobs that this one got, in order."""
    claimed: list[UUID] = []
    give_up_at = time.monotonic() + 40  # where another racer failed, its job never ends
    while time.monotonic() < give_up_at:
        with db.write() as tx:
            lease = leases.claim_next(tx, lease=LEASE, running_limit=running_limit)
        if lease is None:
            with db.read() as tx:
                still_open = select(func.count()).where(tables.jobs.c.state.in_(OPEN_STATES))
                if tx.connection.execute(still_open).scalar_one() == 0:
                    return claimed
            time.sleep(0.002)
            continue
        claimed.append(lease.job.id)
        with db.write() as tx:
            leases.record_progress(tx, lease, Counts(accepted=1))
        complete(db, lease, 2, 3)
    raise TimeoutError("some jobs never ended")


def drain_in_process(url: str, running_limit: int, start_at: float) -> list[UUID]:
    with closing(open_database(url)) as db:
        wait_for(start_at)
        return drain(db, running_limit)


def migrate_in_process(url: str, start_at: float) -> bool:
    with closing(open_database(url)) as db:
        wait_for(start_at)
        db.migrate()
        return db.is_migrated()


def write_in_process(url: str, name: str, count: int, start_at: float) -> int:
    """So many small write transactions, one straight after the other."""
    with closing(open_database(url)) as db:
        wait_for(start_at)
        for number in range(count):
            with db.write() as tx:
                tokens.insert_workspace(tx, f"{name}-{number}")
    return count


def make_secret_in_process(url: str, start_at: float) -> bytes:
    with closing(open_database(url)) as db:
        wait_for(start_at)
        with db.write() as tx:
            return tokens.get_or_make_secret(tx, "key")


def publish(db: Database, dataset_id: UUID, version: int) -> bool:
    """Set a schema version; False when somebody else did."""
    try:
        with db.write() as tx:
            datasets.insert_schema(tx, dataset_id, version=version, body={"strict": True, "fields": {}})
    except Conflict:
        return False
    return True
