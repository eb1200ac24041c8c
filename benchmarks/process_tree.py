"""A process and all that it started, as the system tells of them."""

import os
from pathlib import Path


def cpu_seconds(root: int) -> float:
    """The processor time that a process and its descendants, all still alive, have used."""
    ticks = 0
    for process in (root, *descendants(root)):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def descendants(root: int) -> list[int]:
    found = [root]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found[1:]


def tree_bytes(root: int) -> int:
    """The memory of a process and its descendants; pages that they share are counted once."""
    total = 0
    try:
        for process in (root, *descendants(root)):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass  # one of them has just ended
    return total
