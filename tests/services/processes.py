"""Commands of Assay as real processes on loopback: started, watched through /proc, ended by their ids."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
READY_SECONDS = 60
END_SECONDS = 20


@dataclass(eq=False)
class Process:
    """One command; what it prints goes to a file, and it is started again with the same words by `start`."""

    name: str
    command: list[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str = "ready"
    popen: subprocess.Popen[bytes] | None = None
    _log_start: int = 0

    @property
    def id(self) -> int:
        assert self.popen is not None, f"{self.name} was never started"
        return self.popen.pid

    @property
    def is_running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def state(self) -> str:
        """As the kernel has it: `T` for one that was stopped."""
        stat = _stat(self.id)
        return "" if stat is None else stat[0]

    def start(self, **environment: str) -> None:
        """Does not wait until it is ready."""
        given = {name: text for name, text in os.environ.items() if not name.startswith(("ASSAY_", "AWS_"))}
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.popen = subprocess.Popen(
                self.command,
                env={**given, **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.ready not in self.output():
            if not self.is_running:
                assert self.popen is not None
                # One that was armed may die before anybody sees it ready.
                assert self.popen.returncode == -signal.SIGKILL, f"{self.name} did not start:\n{self.output()}"
                return
            assert time.monotonic() < deadline, f"{self.name} is not ready:\n{self.output()}"
            time.sleep(0.02)

    def output(self) -> str:
        """What it has printed since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def send(self, number: signal.Signals) -> None:
        os.kill(self.id, number)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        assert self.popen is not None
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """In good order if it can, else at once."""
        end_together(self)


def assay(
    name: str,
    *words: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """`assay <words>`, by this interpreter."""
    command = [sys.executable, "-m", "assay", *words]
    return Process(name, command, folder / f"{name}.log", environment or {})


def end_together(*processes: Process) -> None:
    """Each in good order if it can, else at once; none waits for another."""
    running = [process for process in processes if process.is_running]
    families = [member for process in running for member in descendants(process.id)]
    for process in running:
        for number in (signal.SIGCONT, signal.SIGTERM):
            process.send(number)
    for process in running:
        if not process.wait(END_SECONDS):
            process.send(signal.SIGKILL)
            process.wait(END_SECONDS)
    for process_id in families:  # of a process that ended in good order none is left
        kill(process_id)


@contextmanager
def ended_at_the_end(*processes: Process) -> Iterator[None]:
    try:
        yield
    finally:
        end_together(*processes)


def kill(process_id: int) -> None:
    """Ending what has ended already is fine."""
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def is_alive(process_id: int) -> bool:
    """A zombie is not."""
    stat = _stat(process_id)
    return stat is not None and stat[0] != "Z"


def descendants(process_id: int) -> list[int]:
    """All processes below that one, parents before their children."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (stat := _stat(int(folder.name))) is not None:
            children.setdefault(stat[1], []).append(int(folder.name))
    found: list[int] = []
    waiting = [process_id]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def pool_children(process_id: int) -> list[int]:
    """The processes that check chunks."""
    found: list[int] = []
    for child in descendants(process_id):
        with suppress(OSError):
            if b"multiprocessing.spawn" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _stat(process_id: int) -> tuple[str, int] | None:
    """A process's state and its parent."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return None
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)
