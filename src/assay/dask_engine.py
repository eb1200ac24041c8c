"""A Dask cluster's executor, for as long as one connection to the scheduler holds.

Dask's client connects again by itself, but it may forget what was submitted while the connection broke, whose future
then never ends; and after a longer outage it is closed for good. So what was under way ends as cancelled when the
connection is lost, and the next engine begins with a client of its own.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from assay.errors import ErrorCode, Invalid, Unavailable

log = logging.getLogger("assay.engines")

CONNECT_SECONDS = 5
WATCH_SECONDS = 0.25
CLOSE_SECONDS = 3
RETRIES = 3
"""How often a task is run again elsewhere when its Dask worker was lost."""

P = ParamSpec("P")
T = TypeVar("T")


class DaskExecutor(Executor):
    """Raises `Unavailable` when the scheduler can't be reached, and for what is submitted once it is lost."""

    def __init__(self, address: str) -> None:
        self._client, self._client_errors = _connected(address)
        self._connection = self._client.scheduler_comm
        # `pure` would take two equal chunks for one.
        self._inner = self._client.get_executor(retries=RETRIES, pure=False)
        self._under_way: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._closing = threading.Thread(target=self._close_at_the_end, name="assay-dask", daemon=True)
        self._closing.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._is_over.is_set():
                raise _lost()
            try:
                inner = self._inner.submit(fn, *args, **kwargs)
            except self._client_errors as error:
                raise _lost() from error
            self._under_way.add(future)
        future.add_done_callback(partial(self._forget, inner))
        inner.add_done_callback(partial(_pass_on, future))
        return future

    def is_over(self) -> bool:
        """Whether the connection was lost, or `end` was called."""
        return self._is_over.is_set()

    def end(self) -> None:
        """Cancel what is under way and leave the cluster; what a Dask worker has begun may yet finish there."""
        self._give_up()
        self._closing.join(CLOSE_SECONDS)

    def _close_at_the_end(self) -> None:
        while self._has_connection() and not self._is_over.wait(WATCH_SECONDS):
            pass
        try:
            if self._has_connection():
                # It knows nothing of `cancel_futures`: without waiting, it cancels them all.
                self._inner.shutdown(wait=False)
            else:
                log.warning("the connection to the Dask scheduler was lost")
            self._give_up()
            self._client.close(timeout=CONNECT_SECONDS)
        except Exception as error:  # noqa: BLE001  # whatever a client raises that has lost its scheduler
            log.info("the Dask client did not close in order: %s", error)

    def _has_connection(self) -> bool:
        """A client that connects again has another connection."""
        return self._client.status == "running" and self._client.scheduler_comm is self._connection

    def _give_up(self) -> None:
        with self._lock:
            self._is_over.set()
            futures = list(self._under_way)
        for future in futures:
            future.cancel()

    def _forget(self, inner: Future[T], future: Future[T]) -> None:
        with self._lock:
            self._under_way.discard(future)
        # To cancel a task waits for the scheduler, which may be what was lost; at the end all of them are cancelled.
        if future.cancelled() and not self._is_over.is_set():
            inner.cancel()


def _connected(address: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """A client, and what it raises when it is not connected any more."""
    try:
        from distributed.client import Client, ClosedClientError
    except ImportError as error:
        message = "A Dask engine needs a package that is not installed: install Assay with its extra 'dask'."
        raise Invalid(message, code=ErrorCode.MISSING_PACKAGE) from error
    url = address.replace("dask://", "tcp://", 1)
    try:
        client: Any = Client(url, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        message = f"The Dask scheduler at {address} can't be reached. Is it running, and is --engine right?"
        raise Unavailable(message, code=ErrorCode.ENGINE_UNAVAILABLE) from error
    return client, (ClosedClientError, OSError)


def _pass_on(future: Future[T], inner: Future[T]) -> None:
    """Give a future the end of another one, unless it has ended before."""
    if inner.cancelled():
        future.cancel()
    elif future.set_running_or_notify_cancel():
        error = inner.exception()
        if error is None:
            future.set_result(inner.result())
        else:
            future.set_exception(error)


def _lost() -> Unavailable:
    return Unavailable("The connection to the Dask scheduler was lost.", code=ErrorCode.ENGINE_UNAVAILABLE)
