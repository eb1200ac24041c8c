"""What runs chunks: any `concurrent.futures.Executor`. A pool of processes here, or a Dask cluster elsewhere."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from assay.chunk_runs import prepare_child, warm_up
from assay.config import Settings
from assay.errors import ErrorCode, Invalid, Unavailable

CONNECT_SECONDS = 10
DASK_RETRIES = 3


@dataclass(frozen=True, eq=False)
class Engine:
    """An executor and how it ends. `end` returns at once: what has not begun never will, what has may yet finish.

    `kill` ends what is still running after that.
    """

    executor: Executor
    end: Callable[[], None]
    kill: Callable[[], None]


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
    """A native crash on hostile input breaks the pool, not the service.

    Children start from nothing: never as a fork of this process, whose threads may hold locks, nor of a server made
    for forking, which would take as much memory as a child does, for a quicker start of the few that there are.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=prepare_child)
    for _ in range(processes):  # children start as tasks come in: now, not when the first job waits for them
        pool.submit(warm_up)
    children = pool._processes  # the pool forgets them when it is shut down

    def kill() -> None:
        for child in list(children.values()):
            child.kill()

    return Engine(pool, end=lambda: pool.shutdown(wait=False, cancel_futures=True), kill=kill)


def _open_dask(address: str) -> Engine:
    try:
        from distributed import Client
    except ImportError as error:
        message = "A Dask engine needs the extra package: pip install 'assay[dask]'."
        raise Invalid(message, code=ErrorCode.MISSING_PACKAGE) from error
    try:
        client: Any = Client(  # type: ignore[no-untyped-call]  # the package is typed in parts only
            address.replace("dask://", "tcp://", 1), timeout=CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, TimeoutError) as error:
        message = f"The Dask scheduler at {address} can't be reached. Is it running, and is --engine right?"
        raise Unavailable(message, code=ErrorCode.ENGINE_UNAVAILABLE) from error
    # A task whose worker was lost is run again elsewhere; `pure` would take two equal chunks for one.
    executor: Any = client.get_executor(retries=DASK_RETRIES, pure=False)

    def end() -> None:
        # Its `shutdown` knows nothing of `cancel_futures`: without waiting, it cancels them all.
        executor.shutdown(wait=False)
        client.close(timeout=CONNECT_SECONDS)

    return Engine(executor, end=end, kill=_nothing_to_kill)


def _nothing_to_kill() -> None:
    """A cluster's processes are not ours."""
