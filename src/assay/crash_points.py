"""Named steps at which a process can be told to die, so that tests can show that nothing is lost there.

Nothing is armed unless whoever starts the process asks for it in its environment; then the process sends itself a
signal, which is all that it can do. The one state of a module in this code base: a step lies deep in the work, and
what leads there shall not know of it.
"""

import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from assay.errors import ErrorCode, Invalid

VARIABLE = "ASSAY_CRASH_AT"
STEPS = ("upload_stored", "job_claimed", "chunk_done", "before_commit", "after_commit", "file_swept")
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}


@dataclass(frozen=True)
class _Armed:
    step: str
    count: int
    signal: signal.Signals
    numbers: Iterator[int]


_armed: _Armed | None = None


def arm(text: str) -> None:
    """Arm one step, written `STEP`, `STEP:COUNT` or `STEP:COUNT:SIGSTOP`; the empty text arms none."""
    global _armed
    step, _, rest = text.partition(":")
    count, _, name = rest.partition(":")
    count, name = count or "1", name or "SIGKILL"
    if not text:
        _armed = None
    elif step in STEPS and count.isdecimal() and name in SIGNALS:
        _armed = _Armed(step, int(count), SIGNALS[name], itertools.count(1))
    else:
        message = f"{VARIABLE} must be STEP:COUNT:SIGNAL with a step of {', '.join(STEPS)}, not {text!r}."
        raise Invalid(message, code=ErrorCode.INVALID_SETTING)


def reached(step: str) -> None:
    """Called where the step is; the armed number of times it is reached, the process ends here."""
    if _armed is not None and _armed.step == step and next(_armed.numbers) == _armed.count:
        os.kill(os.getpid(), _armed.signal)
