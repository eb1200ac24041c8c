"""What the harness kills: one service as a set of processes, each with a role and a way to start it again."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from assay import crash_points
from services.processes import HOST, Process, assay, descendants, ended_at_the_end, free_port, kill, pool_children

TOKEN = "crash-test-token-0123456789abcdef"
# So small that a file has many chunks, and a lost worker is noticed within a second or two.
SETTINGS = {
    "ASSAY_BOOTSTRAP_TOKEN": TOKEN,
    "ASSAY_CHUNK_BYTES": "4096",
    "ASSAY_LEASE_SECONDS": "1",
    "ASSAY_POLL_SECONDS": "0.05",
    "ASSAY_UPLOAD_URL_SECONDS": "3600",
}


KINDS = ["server", "worker", "tree", "engine process"]


@dataclass
class SetUp:
    """`servers` answer requests; `workers` claim jobs, and a server may be one too; `others` are an engine's."""

    name: str
    database_url: str
    addresses: list[str]
    servers: list[Process]
    workers: list[Process]
    others: list[Process] = field(default_factory=list)
    steps: Sequence[str] = crash_points.STEPS
    scheduler: Process | None = None

    @property
    def processes(self) -> list[Process]:
        return list(dict.fromkeys([*self.servers, *self.workers, *self.others]))

    def start_all(self) -> None:
        """Start what is not running."""
        started = [process for process in self.processes if not process.is_running]
        for process in started:
            process.start()
        for process in started:
            process.wait_until_ready()

    def kill(self, kind: str, random: Random) -> bool:
        """Kill one process, or all of them at once; False when there was none of that kind."""
        victims = self._victims(kind, random)
        for process_id in victims:
            kill(process_id)
        for process in self.processes:
            if process.popen is not None and process.id in victims:
                process.wait(10)
        return bool(victims)

    def _victims(self, kind: str, random: Random) -> list[int]:
        if kind == "tree":
            running = [process for process in self.processes if process.is_running]
            return [each for process in running for each in (process.id, *descendants(process.id))]
        if kind == "engine process":
            found = [process.id for process in self.others if process.is_running]
            for worker in self.workers:
                if worker.is_running:
                    found += pool_children(worker.id)
        else:
            of_kind = self.servers if kind == "server" else [each for each in self.workers if each not in self.servers]
            found = [process.id for process in of_kind if process.is_running]
        return [random.choice(found)] if found else []


@contextmanager
def one_machine(folder: Path) -> Iterator[SetUp]:
    """`assay serve` with its worker inside, and an `assay worker` beside it, on SQLite and a directory."""
    port = free_port()
    settings = {**SETTINGS, "ASSAY_DATA_DIR": str(folder / "data"), "ASSAY_WORKERS": "2"}
    server = assay("server", "serve", "--port", str(port), folder=folder, environment=settings)
    worker = assay("worker", "worker", "--workers", "1", folder=folder, environment=settings)
    with ended_at_the_end(server, worker):
        for process in (server, worker):
            process.start()
        for process in (server, worker):
            process.wait_until_ready()
        yield SetUp(
            "SQLite + directory",
            f"sqlite:///{folder / 'data' / 'assay.db'}",
            [f"http://{HOST}:{port}"],
            servers=[server],
            workers=[server, worker],
        )


def was_killed(process: Process) -> bool:
    """Whether it died by the step that it was armed with."""
    return process.popen is not None and process.popen.poll() == -signal.SIGKILL


def ended_badly(processes: Sequence[Process]) -> list[str]:
    """Processes that ended by themselves, for another reason than a kill, with the end of what they said."""
    return [
        f"{process.name} ended with {process.popen.returncode}:\n{process.output()[-2000:]}"
        for process in processes
        if process.popen is not None and process.popen.poll() not in (None, 0, -signal.SIGKILL)
    ]
