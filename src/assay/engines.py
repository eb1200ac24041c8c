"""What runs chunks: any `concurrent.futures.Executor`. A pool of processes here, or a Dask cluster elsewhere."""

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass

from assay.chunk_runs import prepare_child, warm_up
from assay.config import Settings
from assay.dask_engine import DaskExecutor
from assay.kernel.interrupts import interrupts_held_back
from assay.kernel.pipelines import process_pool


@dataclass(frozen=True, eq=False)
class Engine:
    """An executor and how it ends. `end`, as often as one likes, returns soon: what has not begun never will, what has
    may yet finish. `kill` ends what is still running after that. An engine that `is_lost` takes nothing any more.
    """

    executor: Executor
    end: Callable[[], None]
    kill: Callable[[], None]
    is_lost: Callable[[], bool]


def open_engine(settings: Settings) -> Engine:
    """The engine that the settings name. Raises `Unavailable` when a cluster can't be reached."""
    if settings.engine:
        return _open_dask(settings.engine)
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

    return Engine(pool, end=end, kill=kill, is_lost=lambda: bool(pool._broken))


def _open_dask(address: str) -> Engine:
    executor = DaskExecutor(address)
    return Engine(executor, end=executor.end, kill=_nothing_to_kill, is_lost=executor.is_over)


def _nothing_to_kill() -> None:
    """A cluster's processes are not ours."""
