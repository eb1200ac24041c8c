"""A place for one service, whose parts are started as processes one by one."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from assay.db import jobs
from assay.db.engine import open_database
from assay.jobs import JobEvent
from crash.patient_client import PatientClient
from crash.set_ups import SETTINGS, TOKEN
from services.processes import HOST, Process, assay, end_together, free_port


@dataclass
class Place:
    """A data directory, and the processes that were started on it: all are ended at the end."""

    folder: Path
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    _processes: list[Process] = field(default_factory=list)
    _starting: list[Process] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()

    def end_all(self) -> None:
        self._stack.close()
        end_together(*self._processes)

    def server(self, *, workers: int = 0, **environment: str) -> Process:
        process = self.start_server(workers=workers, **environment)
        self.wait_until_ready()
        return process

    def worker(self, name: str = "worker", *, workers: int = 1, **environment: str) -> Process:
        process = self.start_worker(name, workers=workers, **environment)
        self.wait_until_ready()
        return process

    def start_server(self, *, workers: int = 0, **environment: str) -> Process:
        """Does not wait: what is started so comes up beside the others."""
        return self._start("server", "serve", "--port", str(self.port), "--workers", str(workers), **environment)

    def start_worker(self, name: str = "worker", *, workers: int = 1, **environment: str) -> Process:
        """Does not wait either."""
        return self._start(name, "worker", "--workers", str(workers), **environment)

    def wait_until_ready(self) -> None:
        """Until all that was started is."""
        while self._starting:
            self._starting.pop().wait_until_ready()

    def _start(self, name: str, *words: str, **environment: str) -> Process:
        settings = {**SETTINGS, "ASSAY_DATA_DIR": str(self.folder / "data"), **self.settings}
        process = assay(name, *words, folder=self.folder, environment=settings)
        self._processes.append(process)
        process.start(**environment)
        self._starting.append(process)
        return process

    def client(self) -> PatientClient:
        client = PatientClient([f"http://{HOST}:{self.port}"], TOKEN)
        self._stack.callback(client.close)
        return client

    def events(self, import_id: str) -> list[JobEvent]:
        own = f"sqlite:///{self.folder / 'data' / 'assay.db'}"
        database = open_database(self.settings.get("ASSAY_DATABASE_URL", own))
        try:
            with database.read() as tx:
                return jobs.list_events(tx, UUID(import_id))
        finally:
            database.close()

    def files(self, kind: str) -> list[str]:
        """The stored files of a kind (`uploads`, `parts`, `rejections`), by their paths below the storage."""
        storage = self.folder / "data" / "storage"
        return sorted(
            str(path.relative_to(storage)) for path in storage.glob(f"datasets/*/{kind}/**/*") if path.is_file()
        )
