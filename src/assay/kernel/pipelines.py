"""Work for an engine, piece after piece: a bounded number under way, results in the order of the pieces."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import suppress
from typing import Any, TypeVar

# A chunk's line ends go to a process through a pipe, and its ids come back through one. Where they don't fit into it
# (Linux gives it 64 KiB), the process waits until this one gets round to reading.
# Not more than it takes: past 64 MiB in all, Linux gives the user's other programs smaller pipes.
PIPE_BYTES = 512 * 1024

Label = TypeVar("Label")
Result = TypeVar("Result")


def process_pool(processes: int, initializer: Callable[[], None]) -> ProcessPoolExecutor:
    """A pool whose children start from nothing.

    Never as a fork of this process, whose threads may hold locks, nor of a server made for forking, which would take as
    much memory as a child does, for a quicker start of the few that there are.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=initializer)
    inside: Any = pool  # what is of no type
    # Linux alone can do it, and may refuse.
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        for queue in (inside._call_queue, inside._result_queue):
            fcntl.fcntl(queue._writer.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pool


def in_order(pieces: Iterable[tuple[Label, Future[Result]]], *, at_once: int) -> Iterator[tuple[Label, Result]]:
    """The labels and results of pieces that are submitted as they are asked for: `at_once` of them are under way.

    When it ends, however it ends, nothing of it goes on: what has not begun is called off, and what has is waited for.
    """
    under_way: deque[tuple[Label, Future[Result]]] = deque()
    try:
        for piece in pieces:
            under_way.append(piece)
            if len(under_way) == at_once:
                yield _first_of(under_way)
        while under_way:
            yield _first_of(under_way)
    finally:
        wait([future for _, future in under_way if not future.cancel()])


def _first_of(under_way: deque[tuple[Label, Future[Result]]]) -> tuple[Label, Result]:
    label, future = under_way.popleft()
    return label, future.result()
