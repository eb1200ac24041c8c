"""Whatever dies, whenever: nothing lost, nothing doubled. See docs/guarantees.md."""

import sys
from pathlib import Path

import pytest

from crash.harness import Load, run, seed_of_environment
from crash.set_ups import one_machine


@pytest.mark.timeout(240)
def test_twenty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    with one_machine(tmp_path) as set_up:
        report = run(set_up, kills=20, seed=seed_of_environment(), load=Load(4, 3, 300), say=sys.stdout.write)
    sys.stdout.write(f"\n{report}\n")
    assert report.kills.total() >= 20, str(report)
    assert (report.findings.lost, report.findings.doubled, report.findings.wrong) == (0, 0, []), str(report)
