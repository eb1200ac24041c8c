"""Appends and what they leave, in few words; and a storage and a database that fail where a test says."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from assay.appending import Appended, KnownIds, append_records
from assay.db.engine import Database, WriteTransaction
from assay.reading import read_datapoints
from assay.storage.local import LocalStorage

AGES: dict[str, Any] = {"strict": True, "fields": {"age": {"type": "integer", "minimum": 1}}}


class CutShortError(Exception):
    """Stands for the end of the process."""


def jsonl(*ages: object) -> bytes:
    return "".join(json.dumps({"age": age}) + "\n" for age in ages).encode()


def append(db: Database, storage: Any, dataset_id: UUID, body: bytes, *, known_ids: KnownIds | None = None) -> Appended:
    known_ids = known_ids or KnownIds()
    return append_records(db, storage, dataset_id, body, known_ids=known_ids, record_limit_bytes=1024)


def ages(db: Database, storage: LocalStorage, dataset_id: UUID) -> list[Any]:
    page = read_datapoints(db, storage, dataset_id, from_row=0, limit=100_000)
    assert page.next_row is None
    return [datapoint.data["age"] for datapoint in page.datapoints]


def keys(storage: LocalStorage, dataset_id: UUID) -> set[str]:
    return {stored.key for stored in storage.list(f"datasets/{dataset_id}")}


class StepByStep:
    """A database and a storage in one that count what is written, and end the process at one of these steps."""

    def __init__(self, db: Database, storage: LocalStorage, *, cut_before: int) -> None:
        self._db = db
        self._storage = storage
        self._cut_before = cut_before
        self.step = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage if hasattr(self._storage, name) else self._db, name)

    def put(self, key: str, data: Any) -> None:
        self._count()
        self._storage.put(key, data)

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        self._count()
        with self._db.write() as tx:
            yield tx
            self._count()

    def _count(self) -> None:
        if self.step == self._cut_before:
            raise CutShortError
        self.step += 1


class Between:
    """A storage that lets something happen when the first file is written."""

    def __init__(self, storage: LocalStorage, happens: Callable[[], object]) -> None:
        self._storage = storage
        self._happens: Callable[[], object] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def put(self, key: str, data: Any) -> None:
        happens, self._happens = self._happens, None
        if happens is not None:
            happens()
        self._storage.put(key, data)
