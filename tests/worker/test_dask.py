"""A worker whose Dask scheduler goes away: no job is lost, fails or hangs, whenever that happens."""

import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from assay.db import leases
from assay.jobs import Import, State
from services.callers import ages_csv, wait_until
from services.dask_cluster import DaskCluster, dask_cluster
from services.processes import ended_at_the_end, kill
from worker.bench import Bench


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    cluster = dask_cluster(tmp_path, {})
    with ended_at_the_end(cluster.scheduler), ended_at_the_end(*cluster.workers):
        start(cluster)
        yield cluster


@pytest.fixture(autouse=True)
def _waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.operations.LONGEST_WAIT", timedelta(seconds=0.2))
    monkeypatch.setattr("assay.dask_engine.CONNECT_SECONDS", 1)


def start(cluster: DaskCluster) -> None:
    for process in cluster.processes:
        process.start()
        process.wait_until_ready()


def lose_scheduler(cluster: DaskCluster) -> None:
    kill(cluster.scheduler.id)
    cluster.scheduler.wait(10)
    for worker in cluster.workers:
        worker.end()


def lost_attempts(bench: Bench, job: Import) -> int:
    with bench.db.read() as tx:
        return leases.count_lost_attempts(tx, job.id)


def large_csv(number: int) -> bytes:
    return ages_csv(*range(number * 100_000 + 1, number * 100_000 + 20_000))


@pytest.mark.timeout(120)
def test_jobs_go_on_once_the_scheduler_is_back(bench: Bench, dask: DaskCluster) -> None:
    with bench.working(engine=dask.address) as worker:
        before = bench.upload(bench.make_dataset(), ages_csv(1, 2))
        worker.nudge()
        assert bench.ended(before).state is State.COMPLETE

        # Lost with jobs under way,
        under_way = [bench.upload(bench.make_dataset(), large_csv(number)) for number in range(4)]
        worker.nudge()
        wait_until(lambda: all(bench.now(job).counts.processed_offset for job in under_way), what="all are under way")
        lose_scheduler(dask)
        time.sleep(1)
        start(dask)
        for job in under_way:
            assert bench.ended(job).state is State.COMPLETE
            assert lost_attempts(bench, job) == 0

        # and while there is nothing to do, for longer than a client tries to connect again.
        lose_scheduler(dask)
        time.sleep(3)
        meanwhile = bench.upload(bench.make_dataset(), ages_csv(3))
        worker.nudge()
        wait_until(lambda: len(bench.history(meanwhile)) > 4, what="the worker has tried and given it back")
        start(dask)
        assert bench.ended(meanwhile).state is State.COMPLETE
        assert lost_attempts(bench, meanwhile) == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGSTOP"])
def test_worker_ends_in_good_order_without_its_scheduler(bench: Bench, dask: DaskCluster, signal_name: str) -> None:
    with bench.working(engine=dask.address) as worker:
        jobs = [bench.upload(bench.make_dataset(), large_csv(number)) for number in range(4)]
        worker.nudge()
        wait_until(lambda: all(bench.now(job).counts.processed_offset for job in jobs), what="all are under way")
        dask.scheduler.send(getattr(signal, signal_name))
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < 20
        for job in jobs:
            assert bench.now(job).state is State.QUEUED
            assert lost_attempts(bench, job) == 0
