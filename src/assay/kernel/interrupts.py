"""Ctrl-C, which reaches a command and its children at once: the command alone answers to it. And SIGTERM."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """For starting a child: an interrupt in the block counts at its end, so that no child is left half started, and so
    does SIGTERM.

    A child that is started in the block is not interrupted until `leave_interrupts_to_parent` has run there.
    """
    with _noted_for_later(signal.SIGINT, signal.SIGTERM), _interrupts_blocked():
        yield


@contextmanager
def _noted_for_later(*numbers: signal.Signals) -> Iterator[None]:
    """Blocking alone doesn't do: another thread may take the signal, and Python then interrupts the main one."""
    answers = {number: signal.getsignal(number) for number in numbers}
    if threading.current_thread() is not threading.main_thread() or None in answers.values():
        yield
        return
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, answer in answers.items():
            signal.signal(number, answer)
        if noted:
            signal.raise_signal(noted[0])


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A child inherits what is blocked."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_interrupts_to_parent() -> None:
    """For a child: the parent ends its children in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
