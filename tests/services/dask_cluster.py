"""A real Dask cluster for tests: a scheduler and two worker processes on loopback, which can be killed and started."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.processes import HOST, Process, free_port

LONELY_SECONDS = 60  # a worker whose scheduler is gone ends by itself after this time


@dataclass(frozen=True)
class DaskCluster:
    address: str
    scheduler: Process
    workers: list[Process]

    @property
    def processes(self) -> list[Process]:
        return [self.scheduler, *self.workers]


def dask_cluster(folder: Path, environment: Mapping[str, str]) -> DaskCluster:
    """Not started yet. `environment` is what the workers reach the storage by."""
    port = free_port()
    scheduler = _command(
        *["scheduler", "--host", HOST, "--port", str(port), "--no-dashboard"],
        name="dask-scheduler",
        folder=folder,
        ready="Scheduler at:",
    )
    workers = [
        _command(
            *["worker", f"tcp://{HOST}:{port}", "--host", HOST, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
            *["--local-directory", str(folder / f"dask-worker-{number}"), "--death-timeout", str(LONELY_SECONDS)],
            name=f"dask-worker-{number}",
            folder=folder,
            ready="Registered to:",
            environment=environment,
        )
        for number in (1, 2)
    ]
    return DaskCluster(f"dask://{HOST}:{port}", scheduler, workers)


def _command(*words: str, name: str, folder: Path, ready: str, environment: Mapping[str, str] | None = None) -> Process:
    command = [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]]
    return Process(name, command, folder / f"{name}.log", environment or {}, ready)
