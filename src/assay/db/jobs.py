"""The job rows: recorded, moved, ended. `move` alone changes a job's state, and leaves an event behind."""

import json
from datetime import datetime
from itertools import accumulate
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, insert, literal_column, or_, select, update
from sqlalchemy.exc import IntegrityError

from assay.db.engine import ReadTransaction, WriteTransaction
from assay.db.rejection_parts import insert_rejection_parts
from assay.db.tables import datasets, job_events, jobs, parts, rejection_parts, workspaces
from assay.db.webhooks import note_end
from assay.error_summary import SummaryRow
from assay.errors import Conflict, ErrorCode, NotFound
from assay.jobs import (
    SETTLED,
    TERMINAL,
    TRANSITIONS,
    Counts,
    Import,
    JobEvent,
    Kind,
    Lease,
    NewImport,
    Outcome,
    RecordError,
    State,
)

# A job tells of up to a thousand errors, each with a reason that may quote a long pattern.
LIST_BYTES = 8 * 1024 * 1024
# The word itself, not a parameter: so it is known that the indices of these jobs alone will do.
_HAS_NO_UPLOAD = jobs.c.state == literal_column(f"'{State.UNINITIALISED.value}'")


def insert_import(tx: WriteTransaction, new: NewImport, *, workspace_id: str) -> Import:
    now = tx.now()
    statement = insert(jobs).values(
        id=new.id,
        dataset_id=new.dataset_id,
        workspace_id=workspace_id,
        kind=Kind.IMPORT.value,
        state=State.UNINITIALISED.value,
        filename=new.filename,
        format=new.format,
        content_type=new.content_type,
        file_key=new.file_key,
        created_at=now,
        updated_at=now,
        expires_at=new.expires_at,
    )
    try:
        tx.connection.execute(statement)
    except IntegrityError as error:  # its key is new, so it is the dataset that is not there any more
        raise NotFound("The dataset was deleted.", code=ErrorCode.UNKNOWN_DATASET) from error
    insert_event(tx, new.id, from_state=None, to_state=State.UNINITIALISED, attempt=0, reason=None)
    return job_of(tx.connection.execute(select(jobs).where(jobs.c.id == new.id)).one())


def get_import(tx: ReadTransaction, dataset_id: UUID, import_id: UUID) -> Import | None:
    job = get_job(tx, dataset_id, import_id)
    return job if job is not None and job.kind is Kind.IMPORT else None


def get_job(tx: ReadTransaction, dataset_id: UUID, job_id: UUID) -> Import | None:
    """A job of any kind."""
    statement = select(jobs).where(jobs.c.id == job_id, jobs.c.dataset_id == dataset_id)
    row = tx.connection.execute(statement).one_or_none()
    return None if row is None else job_of(row)


def find_import_of_file(tx: ReadTransaction, file_key: str) -> Import | None:
    """The import whose upload lies under that key."""
    row = tx.connection.execute(select(jobs).where(jobs.c.file_key == file_key)).one_or_none()
    return None if row is None else job_of(row)


def list_imports(tx: ReadTransaction, dataset_id: UUID, *, limit: int, before: UUID | None) -> list[Import]:
    """Newest first; `before` is the last id of the page before. Fewer than `limit`, but one at least, where what they
    tell of errors would be more than `LIST_BYTES`.
    """
    of_dataset = _imports_before(dataset_id, before)
    newest = of_dataset.with_only_columns(func.length(jobs.c.errors)).order_by(jobs.c.id.desc()).limit(limit)
    sizes = accumulate(size or 0 for size in tx.connection.execute(newest).scalars())
    fitting = max(1, sum(size <= LIST_BYTES for size in sizes))
    return [job_of(row) for row in tx.connection.execute(of_dataset.order_by(jobs.c.id.desc()).limit(fitting))]


def page_of_imports(
    tx: ReadTransaction, dataset_id: UUID, *, limit: int, before: UUID | None
) -> tuple[list[Import], UUID | None]:
    """The same, and what another page is `before`, if there is one."""
    found = list_imports(tx, dataset_id, limit=limit, before=before)
    if not found:
        return found, None
    others = _imports_before(dataset_id, found[-1].id).with_only_columns(jobs.c.id).limit(1)
    has_more = tx.connection.execute(others).one_or_none() is not None
    return found, found[-1].id if has_more else None


def _imports_before(dataset_id: UUID, before: UUID | None) -> Select[Any]:
    statement = select(jobs).where(jobs.c.dataset_id == dataset_id, jobs.c.kind == Kind.IMPORT.value)
    return statement if before is None else statement.where(jobs.c.id < before)


def list_events(tx: ReadTransaction, job_id: UUID) -> list[JobEvent]:
    statement = select(job_events).where(job_events.c.job_id == job_id).order_by(job_events.c.id)
    return [
        JobEvent(
            at=row.at,
            from_state=None if row.from_state is None else State(row.from_state),
            to_state=State(row.to_state),
            attempt=row.attempt,
            reason=row.reason,
        )
        for row in tx.connection.execute(statement)
    ]


def move(tx: WriteTransaction, job: Import, to: State, *, reason: str | None = None, **values: Any) -> Import:
    """Move a job to another state, with `values` for its other columns, and record the event.

    A compare-and-set on (id, state, attempt): `Conflict` when the job is no longer as the caller saw it, or when
    the table of transitions has no such move.
    """
    if to not in TRANSITIONS[job.state]:
        raise Conflict(f"The import is {job.state.value} and can't become {to.value}.", code=ErrorCode.STATE_CHANGED)
    moved = tx.connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id, jobs.c.state == job.state.value, jobs.c.attempt == job.attempt)
        .values(state=to.value, updated_at=tx.now(), reason=reason, **values)
    )
    if moved.rowcount != 1:
        message = "The import was moved on by someone else at the same time; ask for its status again."
        raise Conflict(message, code=ErrorCode.STATE_CHANGED)
    attempt = values.get("attempt", job.attempt)
    insert_event(tx, job.id, from_state=job.state, to_state=to, attempt=attempt, reason=reason)
    now_stands = job_of(tx.connection.execute(select(jobs).where(jobs.c.id == job.id)).one())
    if to in SETTLED:
        note_end(tx, now_stands)
    return now_stands


def fail(tx: WriteTransaction, job: Import, *, reason: str, keep_lease: bool = False, **values: Any) -> Import:
    """End a job with nothing ingested: what was counted on the way is taken back; how far it was read stays."""
    if not keep_lease:
        values["lease_until"] = None
    nothing = {"accepted_count": 0, "rejected_count": 0, "duplicate_count": 0}
    return move(tx, job, State.FAILED, reason=reason, **nothing, **values)


def note_upload_activity(tx: WriteTransaction, job_id: UUID, *, until: datetime) -> bool:
    """Keep the expiry sweep off a job whose body is coming in; False when the job takes no upload any more."""
    touched = tx.connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == State.UNINITIALISED.value)
        .values(upload_active_until=until)
    )
    return touched.rowcount == 1


def commit_outcome(tx: WriteTransaction, lease: Lease, outcome: Outcome, *, to: State, reason: str | None) -> Import:
    """End a job and make its records visible, all in the caller's transaction: parts, counts, state."""
    dataset_id = lease.job.dataset_id
    held = select(datasets.c.record_count).where(datasets.c.id == dataset_id).with_for_update(key_share=True)
    first_row: int | None = tx.connection.execute(held).scalar_one_or_none()
    if first_row is None:
        raise Conflict("The dataset was deleted.", code=ErrorCode.LEASE_LOST)
    ended = move(
        tx,
        lease.job,
        to,
        reason=reason,
        lease_until=None,
        errors=errors_to_text(outcome.errors),
        error_summary=json.dumps([[row.field, row.reason, row.count] for row in outcome.error_summary]),
        **count_columns(outcome.counts),
    )
    part_rows = []
    for part in outcome.parts:
        part_rows.append(
            {
                "dataset_id": dataset_id,
                "first_row": first_row,
                "job_id": ended.id,
                "key": part.key,
                "record_count": part.record_count,
                "size_bytes": part.size_bytes,
                "footer_hash": part.footer_hash,
                "schema_version": lease.schema_version,
            }
        )
        first_row += part.record_count
    if part_rows:
        tx.connection.execute(insert(parts), part_rows)
    tx.connection.execute(update(datasets).where(datasets.c.id == dataset_id).values(record_count=first_row))
    insert_rejection_parts(tx, ended.id, outcome.rejections)
    return ended


def list_expired(tx: ReadTransaction, *, before: datetime, limit: int) -> list[Import]:
    """The jobs whose upload URL expired before that time, with no upload seen or coming in: the first that did."""
    expired = _without_upload(tx).where(jobs.c.expires_at < before)
    return [job_of(row) for row in tx.connection.execute(expired.order_by(jobs.c.expires_at, jobs.c.id).limit(limit))]


def list_quiet(tx: ReadTransaction, *, limit: int) -> list[Import]:
    """The jobs that wait for an upload with none known to be coming in, the newest first. Where there are more than
    `limit`, half of them are the newest of each workspace, as many of each, so that none waits for the multitude of
    another; the rest is drawn from all others, so that each has its turn.
    """
    found = [job_of(row) for row in tx.connection.execute(_without_upload(tx).limit(limit))]
    if len(found) == limit:
        newest = _newest_of_workspaces(tx, limit=(limit + 1) // 2)
        drawing = _without_upload(tx).with_only_columns(jobs.c.id).order_by(func.random()).limit(limit)
        drawn = tx.connection.execute(drawing).scalars()
        # The first so many of both, each once.
        chosen_ids = list(dict.fromkeys([*newest, *drawn]))[:limit]
        chosen = select(jobs).where(jobs.c.id.in_(chosen_ids))
        found = [job_of(row) for row in tx.connection.execute(chosen)]
    return sorted(found, key=lambda job: job.id, reverse=True)


def list_quiet_of(tx: ReadTransaction, dataset_id: UUID, *, limit: int) -> list[Import]:
    """The same of one dataset: the newest."""
    waiting = _without_upload(tx).where(jobs.c.dataset_id == dataset_id)
    # Not by id: SQLite would look through all of the dataset's jobs in the order of the index that has the ids.
    newest = waiting.order_by(jobs.c.created_at.desc()).limit(limit)
    return [job_of(row) for row in tx.connection.execute(newest)]


def _newest_of_workspaces(tx: ReadTransaction, *, limit: int) -> list[UUID]:
    """The ids of the newest jobs that wait for an upload: of each workspace that has some, as many as there is room."""
    of_workspace = _without_upload(tx).with_only_columns(jobs.c.id).where(jobs.c.workspace_id == workspaces.c.id)
    with_some = select(workspaces.c.id).where(of_workspace.exists()).order_by(func.random()).limit(limit)
    workspace_ids = tx.connection.execute(with_some).scalars().all()
    found: list[UUID] = []
    # One statement for each, which an index answers: in one for all, both engines look at every job there is.
    for workspace_id in workspace_ids:
        newest = _without_upload(tx).with_only_columns(jobs.c.id).where(jobs.c.workspace_id == workspace_id)
        share = newest.order_by(jobs.c.id.desc()).limit(limit // len(workspace_ids))
        found += tx.connection.execute(share).scalars()
    return found


def _without_upload(tx: ReadTransaction) -> Select[Any]:
    return select(jobs).where(_HAS_NO_UPLOAD, jobs.c.upload_active_until < tx.now())


def list_in_state(tx: ReadTransaction, dataset_id: UUID, state: State) -> list[Import]:
    """The dataset's jobs in a state, in upload order."""
    statement = select(jobs).where(jobs.c.dataset_id == dataset_id, jobs.c.state == state.value)
    return [job_of(row) for row in tx.connection.execute(statement.order_by(jobs.c.uploaded_at, jobs.c.id))]


def list_unswept(tx: ReadTransaction, *, limit: int) -> list[Import]:
    """Terminal jobs, lately ended first, whose abandoned attempts' files may still lie in the storage. One that may
    still be in a worker's hands is left out.
    """
    statement = (
        select(jobs)
        .where(jobs.c.state.in_([state.value for state in TERMINAL]), jobs.c.files_swept.is_(False))
        .where(or_(jobs.c.lease_until.is_(None), jobs.c.lease_until < tx.now()))
        .order_by(jobs.c.updated_at.desc())
        .limit(limit)
    )
    return [job_of(row) for row in tx.connection.execute(statement)]


def list_output_keys(tx: ReadTransaction, job_id: UUID) -> set[str]:
    """The keys of everything that a job's commit made visible."""
    of_parts = select(parts.c.key).where(parts.c.job_id == job_id)
    of_rejections = select(rejection_parts.c.key).where(rejection_parts.c.job_id == job_id)
    return set(tx.connection.execute(of_parts.union_all(of_rejections)).scalars())


def mark_swept(tx: WriteTransaction, job_id: UUID) -> None:
    tx.connection.execute(update(jobs).where(jobs.c.id == job_id).values(files_swept=True))


def mark_unswept(tx: WriteTransaction, job_id: UUID) -> None:
    """For a job whose worker could not remove what it had written."""
    tx.connection.execute(update(jobs).where(jobs.c.id == job_id).values(files_swept=False))


def count_columns(counts: Counts) -> dict[str, int]:
    return {
        "accepted_count": counts.accepted,
        "rejected_count": counts.rejected,
        "duplicate_count": counts.duplicate,
        "processed_offset": counts.processed_offset,
    }


def insert_event(
    tx: WriteTransaction, job_id: UUID, *, from_state: State | None, to_state: State, attempt: int, reason: str | None
) -> None:
    tx.connection.execute(
        insert(job_events).values(
            job_id=job_id,
            at=tx.now(),
            from_state=None if from_state is None else from_state.value,
            to_state=to_state.value,
            attempt=attempt,
            reason=reason,
        )
    )


def errors_to_text(errors: tuple[RecordError, ...]) -> str:
    return json.dumps([[error.record_index, error.field, error.reason] for error in errors])


def errors_of(text: str | None) -> tuple[RecordError, ...]:
    return tuple(RecordError(*entry) for entry in json.loads(text or "[]"))


def job_of(row: Row[Any]) -> Import:
    return Import(
        id=row.id,
        dataset_id=row.dataset_id,
        workspace_id=row.workspace_id,
        kind=Kind(row.kind),
        state=State(row.state),
        filename=row.filename,
        format=row.format,
        content_type=row.content_type,
        file_key=row.file_key,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
        uploaded_at=row.uploaded_at,
        size_bytes=row.size_bytes,
        upload_version=row.upload_version,
        upload_hash=row.upload_hash,
        processing_started_at=row.processing_started_at,
        attempt=row.attempt,
        schema_version=row.schema_version,
        counts=Counts(
            accepted=row.accepted_count,
            rejected=row.rejected_count,
            duplicate=row.duplicate_count,
            processed_offset=row.processed_offset,
        ),
        errors=() if row.kind == Kind.MIGRATION.value else errors_of(row.errors),
        error_summary=tuple(SummaryRow(*entry) for entry in json.loads(row.error_summary or "[]")),
        reason=row.reason,
    )
