"""The worker: claims jobs, keeps their leases, runs them through the engine, commits what they found.

Everything it writes names its attempt, so a worker that lost its lease can commit nothing. Threads wait for chunks;
the checking itself happens in the engine's processes.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from assay import crash_points
from assay.config import Settings
from assay.db import jobs, leases, migrating
from assay.db.engine import Database, WriteTransaction
from assay.db.revisions import OtherTablesError, hold_own_tables, require_own_tables
from assay.engines import Engine, has_lost_process, open_engine, open_own_engine
from assay.errors import AssayError, Conflict, ErrorCode, Unavailable
from assay.importing import UploadDamaged, import_file
from assay.jobs import Counts, Kind, Lease, Outcome, State, final_state
from assay.kernel.chunks import FileFault
from assay.log import telling_of, with_cause
from assay.migrating import migrate
from assay.operations import lose_attempt, make_wait
from assay.plans import import_plan, migration_sources
from assay.reading import OLD_FILES_STAY_FOR, read_known_ids
from assay.storage.base import Storage
from assay.sweeper import Sweeper
from assay.sweeping import sweep_attempt
from assay.tracing import attempt_span

log = logging.getLogger("assay.worker")

JOBS_AT_ONCE = 4
PROGRESS_SECONDS = 0.25
STOP_SECONDS = 10.0
KILLED_SECONDS = 2.0
STOPPED = "The worker was stopped."
OUTDATED = "The database was migrated to another release than the worker's."
NOTHING_INGESTED = (
    "{} rejected, so nothing was ingested. The errors say why: mend the file or the schema, and upload again."
)
DAMAGED = {
    Kind.IMPORT: "The stored upload is not what was uploaded: {}. Upload the file again.",
    Kind.MIGRATION: "A stored upload is not what was uploaded, so the records stay as they were; {}.",
}


class LeaseLostError(Exception):
    """This worker's hold on the job is gone: someone else has it, or it was cancelled. Nothing may be written."""


class StoppingError(Exception):
    """The worker was asked to end: the job goes back to the queue."""


@dataclass(eq=False)
class _Run:
    """A job in this worker's hands."""

    lease: Lease
    engine: Engine | None = None
    is_lost: threading.Event = field(default_factory=threading.Event)
    shown_at: float = 0.0


class Worker:
    """Holds the engine and the threads of one worker. `start` returns at once; `stop` gives back what is unfinished."""

    def __init__(self, db: Database, storage: Storage, settings: Settings) -> None:
        self._db = db
        self._storage = storage
        self._settings = settings
        self._engine: Engine | None = None
        self._engine_lock = threading.Lock()
        self._runs: set[_Run] = set()
        self._runs_lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._has_stopped = threading.Event()
        self._stop_deadline = math.inf
        self._wake = threading.Event()
        self._is_outdated = False
        self._slots = threading.Semaphore(JOBS_AT_ONCE)
        self._sweeper = Sweeper(db, storage, settings, wake=self.nudge)
        self._claimer = threading.Thread(target=self._claim_jobs, name="assay-claim", daemon=True)
        self._heartbeat = threading.Thread(target=self._beat, name="assay-heartbeat", daemon=True)

    def start(self) -> None:
        """Raises `Unavailable` when the engine can't be reached."""
        if self._db.is_remote:
            # There may have been an outage just now, whose end the other workers have yet to see.
            self._sweeper.note_outage()
        self._shared_engine()
        for each in (self._claimer, self._sweeper, self._heartbeat):
            each.start()

    def nudge(self) -> None:
        """There may be a new job: look now, not at the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """End within seconds: no new claims, unfinished jobs back in line, the engine's processes ended."""
        self._stop_deadline = time.monotonic() + STOP_SECONDS
        self._is_stopping.set()
        self._sweeper.stop()
        self._wake.set()
        with self._engine_lock, self._runs_lock:
            engines = {engine for engine in (self._engine, *(run.engine for run in self._runs)) if engine is not None}
        for engine in engines:
            engine.end()
        for each in (self._claimer, self._sweeper):
            each.join(max(0.0, self._stop_deadline - time.monotonic()))
        self._wait_for_runs(until=self._stop_deadline)
        for engine in engines:
            engine.kill()
        self._wait_for_runs(until=time.monotonic() + KILLED_SECONDS)
        self._let_go_of_the_rest()
        self._has_stopped.set()
        self._heartbeat.join(STOP_SECONDS)

    def _wait_for_runs(self, *, until: float) -> None:
        while self._runs and time.monotonic() < until:
            time.sleep(0.02)

    def _let_go_of_the_rest(self) -> None:
        """A thread that still waits, as for a storage that does not answer, can't be ended; its job goes to others."""
        with self._runs_lock:
            left = list(self._runs)
        for run in left:
            job = run.lease.job
            log.warning("import %s attempt %d is left in the midst of something", job.id, job.attempt)
            self._give_back(run, STOPPED)
            run.is_lost.set()

    def _claim_jobs(self) -> None:
        while not self._is_stopping.is_set():
            self._slots.acquire()
            run = self._claim()
            if run is None:
                self._slots.release()
                self._wake.wait(self._settings.poll_seconds)
                self._wake.clear()
            else:
                name = f"assay-job-{run.lease.job.id}"
                threading.Thread(target=self._run_and_release, args=(run,), name=name, daemon=True).start()

    def _claim(self) -> _Run | None:
        if self._is_stopping.is_set():
            return None
        try:
            with self._db.write() as tx:
                hold_own_tables(tx)
                lease = leases.claim_next(
                    tx,
                    lease=timedelta(seconds=self._settings.lease_seconds),
                    running_limit=self._settings.running_jobs_per_workspace,
                )
        except OtherTablesError as error:
            if not self._is_outdated:
                log.warning("nothing is taken up any more: %s; stop this worker and start that release's", error)
            self._is_outdated = True
            return None
        except AssayError as error:
            self._sweeper.note_outage()
            log.warning("can't claim a job now: %s", with_cause(error))
            return None
        except Exception:
            log.exception("can't claim a job by a fault of the service")
            return None
        self._is_outdated = False
        if lease is None:
            return None
        crash_points.reached("job_claimed")
        run = _Run(lease)
        with self._runs_lock:
            self._runs.add(run)
        return run

    def _run_and_release(self, run: _Run) -> None:
        job = run.lease.job
        try:
            ids = {"dataset_id": str(job.dataset_id), "job_id": str(job.id)}
            with telling_of(**ids, attempt=job.attempt), attempt_span(job.kind.value, ids, attempt=job.attempt):
                self._run(run)
        except Exception:
            log.exception("import %s can't be ended by a fault of the service; its lease will lapse", job.id)
        finally:
            with self._runs_lock:
                self._runs.discard(run)
            self._slots.release()
            self._wake.set()

    def _run(self, run: _Run) -> None:
        """Bring a job to an end, or back to the queue, whatever happens on the way."""
        job = run.lease.job
        log.info("import %s attempt %d starts", job.id, job.attempt)
        is_committed = False
        try:
            self._choose_engine(run)
            is_migration = job.kind is Kind.MIGRATION
            is_committed = self._migrate(run) if is_migration else self._commit(run, self._import(run))
        except FileFault as fault:
            self._fail(run, fault.reason)
        except UploadDamaged as damage:
            log.error("import %s: the stored upload is not what was uploaded: %s", job.id, damage)
            self._fail(run, DAMAGED[job.kind].format(damage))
        except Exception as error:  # noqa: BLE001  # whatever it was, the job must not stay in this worker's hands
            self._end_attempt(run, error)
        finally:
            if run.engine is not None and run.engine is not self._engine:
                run.engine.end()
                run.engine.kill()
            if not is_committed:
                self._clean_up(run)

    def _clean_up(self, run: _Run) -> None:
        try:
            sweep_attempt(self._db, self._storage, run.lease.job)
        except (AssayError, OtherTablesError) as error:
            log.info("what import %s left behind is for the sweep: %s", run.lease.job.id, error)
            with suppress(AssayError), self._db.write() as tx:
                jobs.mark_unswept(tx, run.lease.job.id)

    def _end_attempt(self, run: _Run, error: Exception) -> None:
        """Decide what an attempt that can't go on means for its job."""
        job = run.lease.job
        if isinstance(error, LeaseLostError | Conflict):
            log.warning("import %s attempt %d lost its lease; nothing is written", job.id, job.attempt)
        elif isinstance(error, OtherTablesError):
            self._give_back(run, OUTDATED)
        elif self._is_stopping.is_set():
            self._give_back(run, STOPPED)
        elif isinstance(error, Unavailable) and error.code is ErrorCode.STORAGE_DAMAGED:
            log.error("import %s: %s", job.id, error)
            self._fail(run, error.message)
        elif isinstance(error, Unavailable | CancelledError):
            # The service's own trouble, and it may pass: this costs the job no attempt.
            reason = error.message if isinstance(error, Unavailable) else "The engine's scheduler was lost."
            log.warning("import %s attempt %d has to wait: %s", job.id, job.attempt, reason)
            self._write(run, lambda tx: make_wait(tx, run.lease, reason=reason))
        elif has_lost_process(error):
            log.error("import %s attempt %d: a checking process ended unexpectedly", job.id, job.attempt)
            self._lose(run, "A checking process ended unexpectedly.")
        else:
            log.error("import %s attempt %d failed by a fault of the service", job.id, job.attempt, exc_info=error)
            self._lose(run, "The service made an error, which its log has.")

    def _choose_engine(self, run: _Run) -> None:
        """The shared engine; but a job that lost an attempt may be what kills it, and gets one of its own."""
        with self._db.read() as tx:
            was_lost = leases.count_lost_attempts(tx, run.lease.job.id) > 0
        run.engine = (open_own_engine(self._settings) if was_lost else None) or self._shared_engine()

    def _shared_engine(self) -> Engine:
        """Another one when the last is lost. Raises `Unavailable` when a cluster can't be reached."""
        with self._engine_lock:
            if self._is_stopping.is_set():
                raise StoppingError
            if self._engine is not None and self._engine.is_lost():
                self._engine.end()
                self._engine = None
            if self._engine is None:
                self._engine = open_engine(self._settings)
            return self._engine

    def _import(self, run: _Run) -> Outcome:
        assert run.engine is not None
        return import_file(
            import_plan(self._db, self._settings, run.lease),
            storage=self._storage,
            engine=run.engine.executor,
            chunks_at_once=self._settings.workers + 1,
            known_ids=read_known_ids(self._db, self._storage, run.lease.job.dataset_id),
            on_progress=lambda counts: self._show_progress(run, counts),
        )

    def _migrate(self, run: _Run) -> bool:
        assert run.engine is not None
        outcome = migrate(
            migration_sources(self._db, self._storage, self._settings, run.lease),
            storage=self._storage,
            engine=run.engine.executor,
            groups_at_once=self._settings.workers + 1,
            on_progress=lambda counts: self._show_progress(run, counts),
        )

        def commit(tx: WriteTransaction) -> None:
            migrating.commit_migration(tx, run.lease, outcome, old_files_until=tx.now() + OLD_FILES_STAY_FOR)

        crash_points.reached("before_commit")
        is_committed = self._write(run, commit)
        if is_committed:
            crash_points.reached("after_commit")
            log.info("migration %s attempt %d is done", run.lease.job.id, run.lease.job.attempt)
        return is_committed

    def _show_progress(self, run: _Run, counts: Counts) -> None:
        if run.is_lost.is_set():
            raise LeaseLostError
        if self._is_stopping.is_set():
            raise StoppingError
        crash_points.reached("chunk_done")
        now = time.monotonic()
        if now - run.shown_at >= PROGRESS_SECONDS:
            run.shown_at = now
            # What can't be shown now is shown next time; whether the lease still holds is the heartbeat's to find out.
            with suppress(Unavailable), self._db.write() as tx:
                require_own_tables(tx)
                leases.record_progress(tx, run.lease, counts)

    def _commit(self, run: _Run, outcome: Outcome) -> bool:
        to = final_state(outcome.counts)
        rejected = outcome.counts.rejected
        records = "The only record was" if rejected == 1 else f"All {rejected:,} records were"
        reason = NOTHING_INGESTED.format(records) if to is State.FAILED else None
        crash_points.reached("before_commit")
        is_committed = self._write(run, lambda tx: jobs.commit_outcome(tx, run.lease, outcome, to=to, reason=reason))
        if is_committed:
            crash_points.reached("after_commit")
            log.info("import %s attempt %d is %s", run.lease.job.id, run.lease.job.attempt, to.value)
        return is_committed

    def _write(self, run: _Run, write: Callable[[WriteTransaction], object]) -> bool:
        """Make an attempt's last write; False when it wasn't made.

        What this release found by its own tables, good or bad, is not for another's: the job begins again there.
        """

        def write_to_own(tx: WriteTransaction) -> None:
            hold_own_tables(tx)
            write(tx)

        try:
            return self._write_to_any(run, write_to_own)
        except OtherTablesError:
            self._give_back(run, OUTDATED)
            return False

    def _write_to_any(self, run: _Run, write: Callable[[WriteTransaction], object]) -> bool:
        """Write, again until the database takes it; False when the lease had passed on. It had, too, when the
        connection was lost on a commit that went through: the second try finds the job moved."""
        while not run.is_lost.is_set():
            try:
                with self._db.write() as tx:
                    write(tx)
            except Conflict:
                break
            except Unavailable as error:
                log.warning("import %s can't be written now: %s", run.lease.job.id, with_cause(error))
                if time.monotonic() > self._stop_deadline:
                    break
                run.is_lost.wait(1.0)
            else:
                return True
        log.warning("import %s attempt %d lost its lease", run.lease.job.id, run.lease.job.attempt)
        return False

    def _fail(self, run: _Run, reason: str) -> None:
        self._write(run, lambda tx: jobs.fail(tx, run.lease.job, reason=reason))

    def _give_back(self, run: _Run, reason: str) -> None:
        log.info("import %s attempt %d goes back to the queue: %s", run.lease.job.id, run.lease.attempt, reason)
        self._write_to_any(run, lambda tx: leases.give_back(tx, run.lease, reason=reason, was_lost=False))

    def _lose(self, run: _Run, reason: str) -> None:
        self._write(run, lambda tx: lose_attempt(tx, run.lease, reason=reason))

    def _beat(self) -> None:
        """Extend the leases of all jobs in hand, and end what hangs; goes on while a stopping worker gives them back.

        While the database can't be reached nobody else gets the jobs either, so they are not given up for that.
        """
        while not self._has_stopped.wait(self._settings.lease_seconds / 4):
            with self._runs_lock:
                runs = [run for run in self._runs if not run.is_lost.is_set()]
            for run in runs:
                started_at = time.monotonic()
                try:
                    self._extend(run)
                    self._sweeper.note_stall(since=started_at)
                except Unavailable:
                    self._sweeper.note_outage()
                except Exception:
                    log.exception("the heartbeat failed by a fault of the service")
            for engine in {self._engine, *(run.engine for run in runs)}:
                if engine is not None and engine.is_stuck():
                    log.error("a checking process hangs: the engine's processes are ended, which costs an attempt")
                    engine.kill()

    def _extend(self, run: _Run) -> None:
        try:
            with self._db.write() as tx:
                leases.extend_lease(tx, run.lease, by=timedelta(seconds=self._settings.lease_seconds))
        except Conflict:
            run.is_lost.set()
