"""Processes that race: started once, for that takes longer than what they do."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from db.racing import start_processes

RACERS = 4


@pytest.fixture(scope="session")
def racers() -> Iterator[ProcessPoolExecutor]:
    with start_processes(RACERS) as processes:
        yield processes
