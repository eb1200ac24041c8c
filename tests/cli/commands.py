"""`assay` as a person or a script runs it: a process of its own, in pipes or on a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-W", "error", "-m", "assay"]
SECONDS = 60
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

Ran = subprocess.CompletedProcess[str]


def environ_of(**environment: str) -> dict[str, str]:
    given = {name: text for name, text in os.environ.items() if not name.startswith(("ASSAY_", "AWS_"))}
    return {**given, "TERM": "xterm-256color", **environment}


def run(*words: Any, stdin: str | None = None, cwd: Path | None = None, **environment: str) -> Ran:
    """In pipes."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        input="" if stdin is None else stdin,
        env=environ_of(**environment),
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


class Terminal:
    """A process on a terminal of its own; `text` is all that it has shown, escapes included."""

    def __init__(self, popen: subprocess.Popen[bytes], screen: int) -> None:
        self.popen = popen
        self._screen = screen
        self.text = ""

    def look(self, seconds: float = 0.05) -> bool:
        """Reads what is there; False at the end."""
        if not select.select([self._screen], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # how Linux says that nobody holds the other side any more
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, is_there: Callable[[str], bool], *, what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not is_there(self.text):
            assert self.look() or is_there(self.text), f"ended before {what}: {self.text}"
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.text}"

    def type(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def press_ctrl_c(self) -> None:
        os.killpg(self.popen.pid, signal.SIGINT)

    def end(self) -> int:
        """Reads on to the end; the exit code."""
        deadline = time.monotonic() + SECONDS
        while self.look():
            assert time.monotonic() < deadline, self.text
        return self.popen.wait(SECONDS)

    @property
    def plain(self) -> str:
        return ESCAPES.sub("", self.text)


@contextmanager
def on_terminal(*words: Any, **environment: str) -> Iterator[Terminal]:
    """Standard output and error on a terminal of 100 columns."""
    screen, side = pty.openpty()
    popen = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdin=side,
        stdout=side,
        stderr=side,
        env=environ_of(COLUMNS="100", **environment),
        start_new_session=True,
    )
    os.close(side)
    try:
        yield Terminal(popen, screen)
    finally:
        if popen.poll() is None:
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        os.close(screen)
