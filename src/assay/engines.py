"""What runs chunks: any `concurrent.futures.Executor`. On one machine, a pool of processes."""

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor

from assay.chunk_runs import prepare_child, warm_up


def open_engine(processes: int) -> Executor:
    """A pool of `processes` children: a native crash on hostile input breaks the pool, not the service.

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
