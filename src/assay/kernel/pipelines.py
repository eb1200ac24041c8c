"""Work for an engine, piece after piece: a bounded number under way, results in the order of the pieces."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar

Label = TypeVar("Label")
Result = TypeVar("Result")


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
