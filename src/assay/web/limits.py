"""How often one token may call: counted in this process, over a sliding minute."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from assay.errors import ErrorCode, Unavailable


class RateLimitExceeded(Unavailable):
    """The caller must wait: `retry_after_seconds` says how long."""

    def __init__(self, *, retry_after_seconds: int, limit: int) -> None:
        super().__init__(
            f"This token has made {limit:,} requests within a minute, which is all it may; "
            f"try again in {retry_after_seconds} s.",
            code=ErrorCode.RATE_LIMITED,
        )
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
            raise RateLimitExceeded(retry_after_seconds=wait, limit=self._per_minute)
