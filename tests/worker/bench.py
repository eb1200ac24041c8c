"""A workbench for one test: a database, a storage, imports that are in line, and a real worker while it is wanted."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from xxhash import xxh3_128

from assay.config import Settings
from assay.db import datasets, jobs
from assay.db.datasets import Dataset
from assay.db.engine import Database
from assay.jobs import TERMINAL, Import, JobEvent, State
from assay.operations import SeenUpload, begin_upload, create_dataset, finish_upload, get_import, start_import
from assay.reading import Datapoint, read_datapoints
from assay.storage.local import LocalStorage
from assay.worker import Worker
from services.callers import AGES, wait_until


@dataclass(frozen=True)
class Bench:
    db: Database
    storage: LocalStorage
    settings: Settings

    def make_dataset(self, schema: dict[str, Any] | None = AGES) -> UUID:
        return create_dataset(self.db, "default", name="a dataset", created_by="a token", schema=schema).id

    def upload(self, dataset_id: UUID, data: bytes, filename: str = "a.csv") -> Import:
        offer = start_import(self.db, self.storage, dataset_id, filename=filename, valid_seconds=3600, max_bytes=10**9)
        job = begin_upload(self.db, offer.job.file_key, quiet_seconds=60)
        self.storage.put(job.file_key, data)
        return finish_upload(self.db, job, SeenUpload(size_bytes=len(data), hash=xxh3_128(data).hexdigest()))

    @contextmanager
    def working(self, **changes: Any) -> Iterator[Worker]:
        worker = Worker(self.db, self.storage, replace(self.settings, **changes))
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()

    def now(self, job: Import) -> Import:
        return get_import(self.db, job.dataset_id, job.id)

    def ended(self, job: Import) -> Import:
        return wait_until(lambda: self._if_in(TERMINAL, job), what=f"import {job.filename} ends")

    def in_state(self, state: State, job: Import) -> Import:
        return wait_until(lambda: self._if_in({state}, job), what=f"import {job.filename} is {state.value}")

    def _if_in(self, states: Any, job: Import) -> Import | None:
        found = self.now(job)
        return found if found.state in states else None

    def done(self, *uploaded: Import) -> list[Import]:
        """A worker's work on these, from its start to its stop."""
        with self.working():
            return [self.ended(job) for job in uploaded]

    def dataset(self, dataset_id: UUID) -> Dataset:
        with self.db.read() as tx:
            found = datasets.get_dataset(tx, dataset_id)
        assert found is not None
        return found

    def records(self, dataset_id: UUID) -> list[Datapoint]:
        page = read_datapoints(self.db, self.storage, dataset_id, from_row=0, limit=100_000)
        assert page.next_row is None
        return page.datapoints

    def ages(self, dataset_id: UUID) -> list[int]:
        return [record.data["age"] for record in self.records(dataset_id)]

    def history(self, job: Import) -> list[JobEvent]:
        with self.db.read() as tx:
            return jobs.list_events(tx, job.id)

    def times(self, job: Import, state: State) -> list[Any]:
        return [event.at for event in self.history(job) if event.to_state is state]

    def files(self, dataset_id: UUID, kind: str) -> list[str]:
        return sorted(stored.key for stored in self.storage.list(f"datasets/{dataset_id}/{kind}"))


def csv_of(ages: Sequence[object]) -> bytes:
    return ("age\n" + "".join(f"{age}\n" for age in ages)).encode()


def jsonl_of(ages: Sequence[object]) -> bytes:
    return "".join(json.dumps({"age": age}) + "\n" for age in ages).encode()
