"""A crash point does nothing unless it is armed, and refuses what it does not know."""

import os
from collections.abc import Iterator

import pytest

from assay import crash_points
from assay.errors import Invalid


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The signals that this process would have sent to itself."""
    signals: list[str] = []
    monkeypatch.setattr(os, "kill", lambda _process_id, number: signals.append(number.name))
    yield signals
    crash_points.arm("")


def test_an_armed_step_ends_the_process_the_named_time_it_is_reached_and_no_other(sent: list[str]) -> None:
    crash_points.reached("chunk_done")
    crash_points.arm("chunk_done:2")
    crash_points.reached("before_commit")
    crash_points.reached("chunk_done")
    assert sent == []
    crash_points.reached("chunk_done")
    assert sent == ["SIGKILL"]
    crash_points.reached("chunk_done")
    assert sent == ["SIGKILL"]


def test_a_step_may_stop_the_process_instead(sent: list[str]) -> None:
    crash_points.arm("after_commit:1:SIGSTOP")
    crash_points.reached("after_commit")
    assert sent == ["SIGSTOP"]


@pytest.mark.parametrize("text", ["lunch", "chunk_done:often", "chunk_done:1:SIGHUP"])
def test_a_step_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="ASSAY_CRASH_AT must be STEP:COUNT:SIGNAL"):
        crash_points.arm(text)
