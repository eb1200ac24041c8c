"""Opens what one server process needs, serves until a signal, and closes it all again in good order."""

import asyncio
import errno
import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import HANDLED_SIGNALS

from assay.config import Settings, option_of, variable_of
from assay.errors import ErrorCode, Invalid
from assay.kernel.memory import return_freed_memory
from assay.opening import open_migrated
from assay.operations import bootstrap, upload_signing_key
from assay.storage.base import open_storage
from assay.web.app import create_app
from assay.web.errors import error_response
from assay.web.services import Services
from assay.webhooks import WebhookSender
from assay.worker import Worker

log = logging.getLogger("assay")

GRACE_SECONDS = 5
HEAD_SECONDS = 30
EXIT_SECONDS = 25  # what systems wait for before they kill is 30 or more
LEAST_TOKEN_CHARACTERS = 16
SIGNAL_SECONDS = 0.2


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Database, storage and, unless `workers` is 0, a running worker; all ended when the block ends."""
    return_freed_memory()
    _raise_file_limit()
    db = open_migrated(settings)
    try:
        db.try_write()  # the first write would tell less of what is wrong
        # The routes know the address that uploads go to; the storage only signs the path.
        storage = open_storage(settings.resolved_storage_url(), signing_key=upload_signing_key(db), base_url="")
        worker = Worker(db, storage, settings) if settings.workers else None
        sender = WebhookSender(db, private_networks=settings.webhook_private_networks)
        if worker is not None:
            worker.start()
            sender.start()
        try:
            wake = worker.nudge if worker is not None else _nobody_to_wake
            yield Services(settings=settings, db=db, storage=storage, wake_worker=wake)
        finally:
            if worker is not None:
                worker.stop()
            sender.stop()
    finally:
        db.close()


def work(settings: Settings, *, say: Callable[[str], None]) -> None:
    """Work on jobs until SIGTERM or Ctrl-C, without serving the API."""
    _at_first_signal(_exit_in_order)
    with open_services(settings):
        say("Assay's worker is ready.")
        # Not for ever: a signal that the system hands to another thread is acted on when this one wakes next.
        while True:
            time.sleep(SIGNAL_SECONDS)


def _at_first_signal(act: Callable[[], None]) -> None:
    """What SIGTERM or Ctrl-C does. Whoever sends another wants the end at once, whatever is still being put away: it
    comes as by a power cut, while an exception in the midst of that would be told of as a fault of the service.
    """

    def answer(_signal: int, _frame: object) -> None:
        for number in HANDLED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        act()

    for number in HANDLED_SIGNALS:
        signal.signal(number, answer)


def _exit_in_order() -> None:
    """As an exception, so that what is open gets closed."""
    raise SystemExit(0)


def _nobody_to_wake() -> None:
    """Workers elsewhere look for jobs by themselves."""


class _Protocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # whichever parser is installed
    """Answers bytes that are no HTTP with the envelope, too, as the application never sees them; and ends a connection
    by which no whole head of a request comes, as the library does only between requests."""

    _end_of_patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def _wait_for_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._end_of_patience is None:
            loop = asyncio.get_running_loop()
            self._end_of_patience = loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._end_of_patience is not None:
            self._end_of_patience.cancel()
            self._end_of_patience = None

    def send_400_response(self, msg: str) -> None:
        detail = "This is no HTTP request: send one with a valid request line and headers, and a URL of ASCII alone."
        answer = error_response(400, ErrorCode.INVALID_REQUEST, detail, headers={"Connection": "close"})
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + answer.body)
        self.transport.close()


class _Server(uvicorn.Server):
    """Says when it accepts connections and when it stops to: the library has no other hooks for that.

    Nor does it raise the signal that ended it again, as the library does, which at times makes an error of it.
    """

    on_ready: Callable[[], None]
    on_stopping: Callable[[], None]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        _at_first_signal(self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.on_stopping()
        await super().shutdown(sockets)


def serve(settings: Settings, *, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. `say` gets what the person who started it must see: the token, the address."""
    _check_bootstrap_token(settings)
    listener = _listen(settings)
    _at_first_signal(_exit_in_order)
    with listener, open_services(settings) as services:
        first_token = bootstrap(services.db, token_text=settings.bootstrap_token)
        if first_token is not None and not settings.bootstrap_token:
            say(f"First start: your token is {first_token} (workspace 'default', writer). It is not shown again.")
        config = uvicorn.Config(
            create_app(services),
            http=_Protocol,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            proxy_headers=False,
        )
        server = _Server(config)
        host, port = listener.getsockname()[:2]
        shown_host = f"[{host}]" if ":" in host else host
        server.on_ready = lambda: say(f"Assay is ready at http://{shown_host}:{port}")
        server.on_stopping = lambda: _stop_within(EXIT_SECONDS, services)
        server.run(sockets=[listener])


def _stop_within(seconds: float, services: Services) -> None:
    """Has what waits answer, and ends the process even if a call to a storage or a database never comes back: else the
    interpreter waits for its thread."""
    services.is_stopping.set()

    def end() -> None:
        log.warning("calls were under way that did not come back in %d s; the process ends without them", seconds)
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _check_bootstrap_token(settings: Settings) -> None:
    """One that can be guessed is good enough for this machine alone."""
    if 0 < len(settings.bootstrap_token) < LEAST_TOKEN_CHARACTERS and not _is_of_this_machine(settings.host):
        message = (
            f"{variable_of('bootstrap_token')} must have at least {LEAST_TOKEN_CHARACTERS} characters where others "
            f"can reach the service, as at {settings.host}; leave it empty for a random one, which is printed."
        )
        raise Invalid(message, code=ErrorCode.INVALID_SETTING)


def _is_of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _raise_file_limit() -> None:
    """To all the open files that the system allows this process: each connection is one, and the usual limit is low."""
    with suppress(ImportError, OSError, ValueError):  # not every system has such limits, or as many
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (UnicodeError, TypeError) as error:
        listener.close()
        message = f"{settings.host!r} is no name of a host. Choose another with {option_of('host')}."
        raise Invalid(message, code=ErrorCode.INVALID_SETTING) from error
    except OSError as error:
        listener.close()
        wrong = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
        message = (
            f"Can't listen on {settings.host} port {settings.port}: {error.strerror}. "
            f"Choose another with {option_of(wrong)} or {variable_of(wrong)}."
        )
        raise Invalid(message, code=ErrorCode.INVALID_SETTING) from error
    listener.set_inheritable(False)
    return listener
