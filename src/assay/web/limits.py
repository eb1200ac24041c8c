"""What one caller may ask of the service, so that there is enough for the others; counted in this process."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, Lock, to_thread
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from assay.errors import ErrorCode, Unavailable

MOST_STREAMS = 100
RETRY_STREAM_SECONDS = 10
LONG_THREADS = 4

Result = TypeVar("Result")


class RateLimitExceeded(Unavailable):
    """The caller must wait: `retry_after_seconds` says how long."""

    def __init__(self, what: str, *, retry_after_seconds: int) -> None:
        message = f"This token has {what}, which is all it may; try again in {retry_after_seconds} s."
        super().__init__(message, code=ErrorCode.RATE_LIMITED)
        self.retry_after_seconds = retry_after_seconds


class RateLimiter:
    """Holds the counts. `per_minute` of 0 lets everything through."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._item = RateLimitItemPerMinute(max(1, per_minute))
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, caller: str) -> None:
        """Raises `RateLimitExceeded` when the caller has used up the minute."""
        if self._per_minute and not self._limiter.hit(self._item, caller):
            reset_time = self._limiter.get_window_stats(self._item, caller).reset_time
            wait = max(1, math.ceil(reset_time - time.time()))
            raise RateLimitExceeded(f"made {self._per_minute:,} requests within a minute", retry_after_seconds=wait)


class LongWork:
    """Runs what may take minutes, on threads of its own: a few at once, and one of each workspace."""

    def __init__(self) -> None:
        self._threads = CapacityLimiter(LONG_THREADS)
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    async def run(self, workspace_id: str, work: Callable[[], Result]) -> Result:
        turn = self._turns.get(workspace_id) or Lock()
        self._turns[workspace_id] = turn
        async with turn:
            return await to_thread.run_sync(work, limiter=self._threads)


class OpenStreams:
    """Holds how many are open, of each token and of all."""

    def __init__(self) -> None:
        self._of_caller: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return self._of_caller.total()

    def check(self, caller: str) -> None:
        """Raises `RateLimitExceeded` when the caller has as many as it may."""
        if self._of_caller[caller] >= MOST_STREAMS:
            raise RateLimitExceeded(f"{MOST_STREAMS} streams open", retry_after_seconds=RETRY_STREAM_SECONDS)

    @contextmanager
    def one_more(self, caller: str) -> Iterator[None]:
        self._of_caller[caller] += 1
        try:
            yield
        finally:
            self._of_caller[caller] -= 1
            self._of_caller += Counter()  # without those that have none
