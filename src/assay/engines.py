"""What runs chunks: any `concurrent.futures.Executor`. A pool of processes here, or a Dask cluster elsewhere."""

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

from assay.chunk_runs import prepare_child, warm_up
from assay.config import Settings
from assay.errors import ErrorCode, Invalid, Unavailable

CONNECT_SECONDS = 10
DASK_RETRIES = 3


def open_engine(settings: Settings) -> Executor:
    """The engine that the settings name. Raises `Unavailable` when a cluster can't be reached."""
    if settings.engine:
        return _open_dask(settings.engine)
    return _open_pool(settings.workers)


def open_own_engine(settings: Settings) -> Executor:
    """An engine for one suspicious job alone: what it kills must be nobody else's. A cluster sees to that by itself."""
    if settings.engine:
        return _open_dask(settings.engine)
    return _open_pool(1)


def _open_pool(processes: int) -> Executor:
    """A native crash on hostile input breaks the pool, not the service.

    Children start from a clean server process that has the kernel loaded: never a fork of this one, whose threads
    may hold locks.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(["assay.chunk_runs"])
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=prepare_child)
    for _ in range(processes):  # children start as tasks come in: now, not when the first job waits for them
        pool.submit(warm_up)
    return pool


def _open_dask(address: str) -> Executor:
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
    executor: Executor = client.get_executor(retries=DASK_RETRIES, pure=False)
    return executor
