"""What has to be looked for every few seconds: jobs whose worker fell silent, uploads that came or never will, files.

Each worker does it, for all.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from assay.config import Settings
from assay.db.engine import Database
from assay.db.revisions import OtherTablesError, require_own_tables
from assay.errors import AssayError
from assay.log import with_cause
from assay.noticing import expire_imports, notice_uploads
from assay.operations import return_lapsed
from assay.storage.base import Storage
from assay.storage.local import LocalStorage
from assay.sweeping import sweep_files

log = logging.getLogger("assay.sweeper")

SWEEP_SECONDS = 2.0
# An upload that goes straight to an object store shows only when it is whole, and a URL is checked when it begins.
REMOTE_UPLOAD_GRACE = timedelta(hours=1)


class Sweeper:
    """Holds the threads that look. `wake` is called when there is something for workers to do."""

    def __init__(self, db: Database, storage: Storage, settings: Settings, *, wake: Callable[[], None]) -> None:
        self._db = db
        self._storage = storage
        self._settings = settings
        self._wake = wake
        self._is_stopping = threading.Event()
        self._last_outage = -math.inf
        self._clocks_apart: float | None = None
        # Lapsed leases don't wait until an object store has been asked for a thousand uploads, nor these until it has
        # removed the files of a large dataset.
        self._threads = [
            threading.Thread(target=self._repeat, args=steps, name=f"assay-{name}", daemon=True)
            for name, *steps in (
                ("lapsed", self._return_lapsed),
                ("uploads", self._notice_uploads, self._expire_imports),
                ("files", self._sweep_files),
            )
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns at once."""
        self._is_stopping.set()

    def join(self, seconds: float) -> None:
        """Wait until it has stopped, at most so long."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def note_outage(self) -> None:
        """The database is, or just was, away: all leases have lapsed, which tells nothing of their workers."""
        self._last_outage = time.monotonic()

    def note_stall(self, *, since: float) -> None:
        """The database has answered; if it took a good part of a lease, the heartbeats of others waited as long."""
        if time.monotonic() - since > self._settings.lease_seconds / 4:
            self.note_outage()

    def _repeat(self, *steps: Callable[[], None]) -> None:
        """Each of the steps, whatever became of the others; none while the tables are another release's, of which the
        worker tells."""
        while not self._is_stopping.is_set():
            for step in steps:
                try:
                    self._require_own_tables()
                    step()
                except OtherTablesError:
                    pass
                except AssayError as error:
                    log.warning("the sweep has to wait: %s", with_cause(error))
                except Exception:
                    if not self._is_stopping.is_set():  # a process that ends starts no thread any more
                        log.exception("the sweep failed by a fault of the service")
            # A lapsed lease is to be noticed within half of its length.
            self._is_stopping.wait(min(SWEEP_SECONDS, self._settings.lease_seconds / 2))

    def _require_own_tables(self) -> None:
        started_at = time.monotonic()
        with self._db.read() as tx:
            require_own_tables(tx)
        self.note_stall(since=started_at)

    def _return_lapsed(self) -> None:
        """After an outage or a stall of the database, or when the machine was asleep, workers, and one is here, get the
        time to show that they live."""
        started_at = time.monotonic()
        if self._was_asleep():
            self.note_outage()
        self.note_stall(since=started_at)
        if time.monotonic() - self._last_outage > self._settings.lease_seconds and return_lapsed(self._db):
            self._wake()

    def _was_asleep(self) -> bool:
        """Whether the clock that leases go by has gone on alone since this was asked last, as it does in a sleep."""
        with self._db.read() as tx:
            apart = tx.now().timestamp() - time.monotonic()
        before, self._clocks_apart = self._clocks_apart, apart
        return before is not None and apart - before > self._settings.lease_seconds / 4

    def _expire_imports(self) -> None:
        grace = timedelta(0) if isinstance(self._storage, LocalStorage) else REMOTE_UPLOAD_GRACE
        if expire_imports(self._db, self._storage, max_bytes=self._settings.max_upload_bytes, grace=grace):
            self._wake()

    def _notice_uploads(self) -> None:
        if notice_uploads(self._db, self._storage, max_bytes=self._settings.max_upload_bytes):
            self._wake()

    def _sweep_files(self) -> None:
        sweep_files(self._db, self._storage)
