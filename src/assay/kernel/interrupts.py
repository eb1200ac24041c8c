"""Ctrl-C, which reaches a command and its children at once: the command alone answers to it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """For starting a child: an interrupt in the block counts at its end, so that no child is left half started.

    A child that is started in the block is not interrupted until `leave_interrupts_to_parent` has run there.
    """
    with _signal_noted_for_later(), _signal_blocked():
        yield


@contextmanager
def _signal_noted_for_later() -> Iterator[None]:
    """Blocking alone doesn't do: another thread may take the signal, and Python then interrupts the main one."""
    answer = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or answer is None:
        yield
        return
    noted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        noted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, answer)
        if noted:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _signal_blocked() -> Iterator[None]:
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
