"""Whatever dies, whenever: nothing lost, nothing doubled. See docs/guarantees.md."""

import sys
from pathlib import Path

import pytest

from crash.harness import Load, kills_of_environment, run, seed_of_environment
from crash.set_ups import one_machine


@pytest.mark.timeout(3600)
def test_kills_at_any_moment_and_at_each_step_lose_and_double_nothing(tmp_path: Path) -> None:
    kills = kills_of_environment()
    with one_machine(tmp_path) as set_up:
        report = run(set_up, kills=kills, seed=seed_of_environment(), load=Load(4, 2, 250), say=sys.stdout.write)
    sys.stdout.write(f"\n{report}\n")
    assert report.kills.total() >= kills, str(report)
    assert (report.findings.lost, report.findings.doubled, report.findings.wrong) == (0, 0, []), str(report)
