"""What runs chunks: any `concurrent.futures.Executor`. A pool of processes here, or a Dask cluster elsewhere."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import BinaryIO

from assay.chunk_runs import prepare_child, warm_up
from assay.config import Settings
from assay.dask_engine import DaskExecutor
from assay.kernel import rehearsal
from assay.kernel.interrupts import interrupts_held_back
from assay.kernel.pipelines import process_pool

# A piece is a few seconds' work at most. While it hangs, its job, and all that wait for the process, would for ever.
STUCK_SECONDS = 600.0


@dataclass(frozen=True, eq=False)
class Engine:
    """An executor and how it ends. `end`, as often as one likes, returns soon: what has not begun never will, what has
    may yet finish. `kill` ends what is still running. An engine that `is_lost` takes nothing any more. `is_stuck` is to
    be asked every few seconds: whether it has been at one piece for so long that a process of it must hang. (A cluster
    may have other work, so of one nobody can tell.)
    """

    executor: Executor
    end: Callable[[], None]
    kill: Callable[[], None]
    is_lost: Callable[[], bool]
    is_stuck: Callable[[], bool] = lambda: False


def open_engine(settings: Settings) -> Engine:
    """The engine that the settings name. Raises `Unavailable` when a cluster can't be reached."""
    if settings.engine:
        return _open_dask(settings.engine)
    _compile_ahead()
    return _open_pool(settings.workers)


def open_own_engine(settings: Settings) -> Engine | None:
    """An engine for one suspicious job alone: what it kills must be nobody else's.

    None where the shared one sees to that by itself, as a cluster does.
    """
    return None if settings.engine else _open_pool(1)


def has_lost_process(error: Exception) -> bool:
    """Whether a process died under a chunk, and the engine gave it up: the chunk may be what kills."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"


def _open_pool(processes: int) -> Engine:
    """A native crash on hostile input breaks the pool, not the service."""
    pool = process_pool(processes, prepare_child)
    with interrupts_held_back():
        for _ in range(processes):  # children start as tasks come in: now, not when the first job waits for them
            pool.submit(warm_up)
    children = pool._processes  # the pool forgets them when it is shut down

    def kill() -> None:
        for child in list(children.values()):
            child.kill()

    def end() -> None:
        pool.shutdown(wait=False, cancel_futures=True)

    return Engine(pool, end=end, kill=kill, is_lost=lambda: bool(pool._broken), is_stuck=_Watch(pool).is_stuck)


def _compile_ahead() -> None:
    """By a process beside the pool, that gives way to it, and ends with this one."""
    lock = rehearsal.begin()
    if lock is None:
        return
    process = multiprocessing.get_context("spawn").Process(target=_rehearse, daemon=True)
    with interrupts_held_back():
        process.start()
    threading.Thread(target=_hold, args=(lock, process.sentinel), name="assay-rehearsal", daemon=True).start()


def _rehearse() -> None:
    prepare_child()
    os.nice(10)
    rehearsal.rehearse()


def _hold(lock: BinaryIO, sentinel: int) -> None:
    with lock:
        wait([sentinel])


class _Watch:
    """Sees for how long a pool, which takes what comes in its order, has been at the piece that it is at longest."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pending = pool._pending_work_items  # by ascending number
        self._oldest: int | None = None
        self._seconds = 0.0
        self._asked_at = time.monotonic()

    def is_stuck(self) -> bool:
        now = time.monotonic()
        # Time in which nobody asked, as when all of this was paused, tells nothing.
        passed, self._asked_at = min(now - self._asked_at, STUCK_SECONDS / 10), now
        oldest = next(iter(list(self._pending)), None)
        self._seconds = self._seconds + passed if oldest is not None and oldest == self._oldest else 0.0
        self._oldest = oldest
        return self._seconds > STUCK_SECONDS


def _open_dask(address: str) -> Engine:
    executor = DaskExecutor(address)
    return Engine(executor, end=executor.end, kill=_nothing_to_kill, is_lost=executor.is_over)


def _nothing_to_kill() -> None:
    """A cluster's processes are not ours."""
