"""When a call that failed is tried again, and after how long. Shared by both clients; sleeps nowhere itself."""

import logging
import random
import time
from collections.abc import Callable

import httpx

from assay.client_calls import Call
from assay.client_faults import ApiError

# Below what Python prints where nobody has set up logging: a library is silent unless it is asked.
log = logging.getLogger("assay.client")

MOST_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LIMITED = 429
BUSY = {502, 503, 504}
# What fails before the service can have received the call.
NEVER_RECEIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# What may be otherwise the next time. Other faults of the transport are the caller's, such as an address without http.
PASSING = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)


class Patience:
    """How long one call is tried: a number of attempts, and a time after which no other begins.

    An attempt that was cut while a file was on its way, after however long, starts the time anew; one that hung until
    its own time was over doesn't. `has_moved` is for who makes the attempts to set.
    """

    def __init__(self, call: Call, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._clock = clock
        self._deadline = clock() + MOST_SECONDS
        self._attempts = 0
        self.has_moved = False
        # Of an attempt that may have been carried out.
        self.has_lost_an_answer = False

    def pause_after(self, error: httpx.TransportError | ApiError) -> float:
        """Seconds until the next attempt. Raises the error when there shall be none."""
        self._attempts += 1
        if self.has_moved and not isinstance(error, httpx.TimeoutException):
            self._deadline = self._clock() + MOST_SECONDS
        self.has_moved = False
        pause = _asked_pause(error)
        if pause is None:
            longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._attempts)
            pause = random.uniform(longest / 2, longest)
        if isinstance(error, ApiError):
            error.follows_lost_answer = self.has_lost_an_answer
        now = self._clock()
        is_late = self._call.deadline is not None and now >= self._call.deadline
        if self._call.deadline is not None:
            pause = max(0.0, min(pause, self._call.deadline - now))
        is_last = is_late or self._attempts >= self._call.attempts or now + pause > self._deadline
        if is_last or not self._may_repeat_after(error):
            raise error
        self.has_lost_an_answer |= _may_have_been_done(error)
        log.info("%s: trying again in %.1f s, after attempt %d", error, pause, self._attempts)
        return pause

    def _may_repeat_after(self, error: httpx.TransportError | ApiError) -> bool:
        if isinstance(error, ApiError):
            return error.status == LIMITED or (self._call.is_repeatable and error.status in BUSY)
        return isinstance(error, NEVER_RECEIVED) or (self._call.is_repeatable and isinstance(error, PASSING))


def _asked_pause(error: httpx.TransportError | ApiError) -> float | None:
    return error.retry_after_seconds if isinstance(error, ApiError) else None


def _may_have_been_done(error: httpx.TransportError | ApiError) -> bool:
    if isinstance(error, ApiError):
        return error.status in BUSY
    return not isinstance(error, NEVER_RECEIVED)
