"""Ctrl-C while a child is being started: it counts when the child stands."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from assay.kernel.interrupts import interrupts_held_back


@pytest.fixture
def other_thread() -> Iterator[threading.Thread]:
    """One that takes signals, as that of a progress bar does, whatever the main thread blocks."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    yield thread
    ended.set()
    thread.join()


@pytest.mark.usefixtures("other_thread")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_counts_at_the_end_of_the_block(number: signal.Signals) -> None:
    reached = []

    def interrupted() -> None:
        with interrupts_held_back():
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            reached.append("the end")

    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert reached == ["the end"]
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    with interrupts_held_back():
        pass  # and it counts once


def test_a_child_that_was_started_in_the_block_is_not_interrupted() -> None:
    code = "import time; print('up', flush=True); time.sleep(0.2); print('well')"
    with interrupts_held_back():
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == b"well\n"
    assert child.returncode == 0


def test_threads_beside_the_main_one_may_start_children_too() -> None:
    ended = []

    def run() -> None:
        with interrupts_held_back():
            ended.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ended == [signal.default_int_handler]
