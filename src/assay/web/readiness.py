"""Whether the service can do its work, for those who ask every few seconds. None of the threads that answer requests is
held for it: a storage that hangs would take one for each probe, until none is left."""

import asyncio
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from assay.db.engine import Database
from assay.errors import AssayError, ErrorCode, Unavailable
from assay.storage.base import Storage, check_storage

FRESH_SECONDS = 2.0  # for so long what was found is told again
PATIENCE_SECONDS = 2.0  # what takes longer hangs, as far as a probe is concerned

NOT_MIGRATED = "The database's tables are not of this release: run 'assay migrate'."
SILENT = {
    ErrorCode.DATABASE_UNAVAILABLE: "The database does not answer.",
    ErrorCode.STORAGE_UNAVAILABLE: "The storage does not answer.",
}


@dataclass(eq=False)
class _Check:
    """One look at everything, in a thread of its own. `asked` is whose answer is awaited."""

    asked: ErrorCode = ErrorCode.DATABASE_UNAVAILABLE
    started_at: float = field(default_factory=time.monotonic)
    found: Future[AssayError | None] = field(default_factory=Future)

    def is_of_use(self, now: float) -> bool:
        """While it is under way nobody begins another, however long it takes."""
        return not self.found.done() or now - self.started_at < FRESH_SECONDS


class Readiness:
    """Holds the last check, which all share who ask meanwhile."""

    def __init__(self, db: Database, storage: Storage) -> None:
        self._db = db
        self._storage = storage
        self._check: _Check | None = None

    async def find_fault(self) -> AssayError | None:
        """What stands in the way, None when nothing does. It answers in time, whatever hangs."""
        check = self._current()
        left = check.started_at + PATIENCE_SECONDS - time.monotonic()
        await asyncio.wait([asyncio.wrap_future(check.found)], timeout=max(0.0, left))
        return check.found.result() if check.found.done() else Unavailable(SILENT[check.asked], code=check.asked)

    def _current(self) -> _Check:
        """Asked in the event loop alone, so it needs no lock."""
        check = self._check
        if check is None or not check.is_of_use(time.monotonic()):
            check = self._check = _Check()
            check.found.set_running_or_notify_cancel()  # who asked may be gone, the check goes on
            threading.Thread(target=self._look, args=(check,), name="assay-readiness", daemon=True).start()
        return check

    def _look(self, check: _Check) -> None:
        try:
            if not self._db.is_migrated():
                raise Unavailable(NOT_MIGRATED, code=ErrorCode.DATABASE_UNAVAILABLE)
            self._db.require_writes()
            check.asked = ErrorCode.STORAGE_UNAVAILABLE
            check_storage(self._storage)
        except AssayError as error:
            check.found.set_result(error)
        except BaseException as error:  # noqa: BLE001  # a bug is told to whoever asks
            check.found.set_exception(error)
        else:
            check.found.set_result(None)
