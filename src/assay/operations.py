"""What the product does: one function for each thing that changes, each in one transaction of its own.

Plain values in and out; nothing here sees a request. Reading and writing of files happens outside the transactions.
"""

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from assay.db import datasets, jobs, leases, migrating, tokens
from assay.db.datasets import Dataset, NewDataset
from assay.db.engine import BOOTSTRAP_LOCK, Database, WriteTransaction, take_turn
from assay.db.tokens import NewToken, Role, Token
from assay.errors import AssayError, Conflict, ErrorCode, Invalid, NotFound
from assay.fileformats import FILE_FORMATS, format_of_filename
from assay.ids import new_id
from assay.jobs import TERMINAL, Import, Kind, Lease, NewImport, State
from assay.schema import DatasetSchema, fingerprint_of, parse_schema, schema_to_json, stored_schema
from assay.storage.base import Storage

log = logging.getLogger("assay.operations")

DEFAULT_WORKSPACE = "default"
MAX_FILENAME_CHARACTERS = 255
LOST_ATTEMPTS_LIMIT = 3
# A job that has to wait for the service is tried again after these times, each twice the last: about a week in all.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=5)
WAITS_LIMIT = 2000
UPLOAD_SIGNING_KEY = "upload_signing_key"
WORKSPACE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def create_token(
    db: Database, workspace_id: str, *, name: str, role: Role, expires_at: datetime | None
) -> tuple[Token, str]:
    """A new token and its text, which is nowhere else: it is stored hashed. Makes the workspace if need be."""
    text = tokens.random_token()
    with db.write() as tx:
        return _add_token(tx, workspace_id, name=name, role=role, expires_at=expires_at, text=text), text


def create_workspace(db: Database, workspace_id: str) -> None:
    """Make a workspace, unless it is there."""
    _check_workspace_id(workspace_id)
    with db.write() as tx:
        tokens.insert_workspace(tx, workspace_id)


def _check_workspace_id(workspace_id: str) -> None:
    if not WORKSPACE_ID.fullmatch(workspace_id):
        message = "A workspace id has 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first."
        raise Invalid(message, code=ErrorCode.INVALID_REQUEST)


def bootstrap(db: Database, *, token_text: str) -> str | None:
    """On an empty database: the workspace `default` with a writer's token, whose text is returned once.

    `token_text` sets the text; where it is empty a random one is made. None when there are tokens already.
    """
    text = token_text or tokens.random_token()
    with db.write() as tx:
        take_turn(tx, BOOTSTRAP_LOCK)  # replicas may start together
        if tokens.has_tokens(tx):
            return None
        _add_token(tx, DEFAULT_WORKSPACE, name="bootstrap", role=Role.WRITER, expires_at=None, text=text)
    return text


def _add_token(
    tx: WriteTransaction, workspace_id: str, *, name: str, role: Role, expires_at: datetime | None, text: str
) -> Token:
    _check_workspace_id(workspace_id)
    if not name.strip() or len(name) > 255:
        raise Invalid("A token's name has 1 to 255 characters.", code=ErrorCode.INVALID_REQUEST)
    if expires_at is not None and expires_at <= tx.now():
        raise Invalid("The token would have expired already; give a time to come.", code=ErrorCode.INVALID_REQUEST)
    tokens.insert_workspace(tx, workspace_id)
    new = NewToken(id=new_id(), workspace_id=workspace_id, name=name, role=role, expires_at=expires_at)
    return tokens.insert_token(tx, new, text=text)


def revoke_token(db: Database, token_id: UUID) -> None:
    with db.write() as tx:
        tokens.revoke_token(tx, token_id)


def upload_signing_key(db: Database) -> bytes:
    """The key that signs upload URLs: made once, and the same for every process on this database."""
    with db.write() as tx:
        return tokens.get_or_make_secret(tx, UPLOAD_SIGNING_KEY)


def create_dataset(db: Database, workspace_id: str, *, name: str, created_by: str, schema: Any | None) -> Dataset:
    """A new dataset. Raises `Invalid` with every fault of the schema, if one is given."""
    body = None if schema is None else schema_to_json(parse_schema(schema))
    new = NewDataset(id=new_id(), workspace_id=workspace_id, name=name, created_by=created_by)
    with db.write() as tx:
        datasets.insert_dataset(tx, new)
        if body is not None:
            datasets.insert_schema(tx, new.id, version=1, body=body)
        return require_dataset(datasets.get_dataset(tx, new.id))


def publish_schema(db: Database, dataset_id: UUID, schema: Any, *, instead_of: str | None = None) -> Dataset:
    """Set a dataset's schema. The first one releases every waiting import to the queue, in upload order.

    Another one than it has is in force at once while there are no records and none to come; else the answer's
    `migration_id` is the migration that brings the records under it, in its turn. The same one again changes nothing.
    `instead_of` is the fingerprint of the schema that the caller saw: `Conflict` if there is another one by now.
    """
    parsed = parse_schema(schema)
    body = schema_to_json(parsed)
    with db.write() as tx:
        datasets.lock_dataset(tx, dataset_id)
        dataset = require_dataset(datasets.get_dataset(tx, dataset_id))
        if dataset.schema_version is None:
            datasets.insert_schema(tx, dataset_id, version=1, body=body)
            for job in jobs.list_in_state(tx, dataset_id, State.PENDING_SCHEMA):
                jobs.move(tx, job, State.QUEUED)
        elif list(_flattened(dataset.schema)) != list(_flattened(body)):
            if instead_of not in (None, fingerprint_of(dataset.schema)):
                raise Conflict("Somebody else has changed the schema meanwhile.", code=ErrorCode.STATE_CHANGED)
            _change_schema(tx, dataset, parsed)
        return require_dataset(datasets.get_dataset(tx, dataset_id))


def _change_schema(tx: WriteTransaction, dataset: Dataset, schema: DatasetSchema) -> None:
    if dataset.migration_id is not None:
        message = "A migration to another schema is queued or running; change the schema again when it has ended."
        raise Conflict(message, code=ErrorCode.DATASET_BUSY)
    has_jobs_in_line = bool(datasets.kinds_in_line(tx, dataset.id))
    if stored_schema(dataset.schema).group_field != schema.group_field:
        if dataset.record_count:
            message = "The task_group_id field can't be added, removed or replaced once the dataset has records."
            raise Invalid(message, code=ErrorCode.GROUP_FIELD_CHANGED)
        if has_jobs_in_line:
            message = "An import is queued or running; the task_group_id field can't change before it has ended."
            raise Conflict(message, code=ErrorCode.DATASET_BUSY)
    version = datasets.add_schema(tx, dataset.id, schema_to_json(schema))
    if dataset.record_count or has_jobs_in_line:
        migrating.insert_migration(
            tx, dataset.id, migration_id=new_id(), workspace_id=dataset.workspace_id, schema_version=version
        )
    else:
        datasets.put_in_force(tx, dataset.id, version=version)


def _flattened(value: Any, path: str = "") -> Any:
    """A JSON value's leaves with their paths, in order: equality of schemas includes the order of their fields."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flattened(inner, f"{path}/{key}")
    else:
        yield path, value


@dataclass(frozen=True)
class UploadOffer:
    """An import that waits for its file, and the URL that takes it."""

    job: Import
    url: str


def start_import(
    db: Database, storage: Storage, dataset_id: UUID, *, filename: str, valid_seconds: int, max_bytes: int
) -> UploadOffer:
    """Record an import and hand out the URL for its file. `Invalid` for a name with no known extension."""
    file_format = _format_of(filename)
    import_id = new_id()
    key = f"{import_folder(dataset_id, 'uploads', import_id)}/{_safe_name(filename)}"
    content_type = FILE_FORMATS[file_format].content_type
    with db.write() as tx:
        dataset = require_dataset(datasets.get_dataset(tx, dataset_id))
        # Whole seconds, so that the time shown is the time signed.
        expires_at = tx.now().replace(microsecond=0) + timedelta(seconds=valid_seconds)
        new = NewImport(
            id=import_id,
            dataset_id=dataset_id,
            filename=filename,
            format=file_format,
            content_type=content_type,
            file_key=key,
            expires_at=expires_at,
        )
        job = jobs.insert_import(tx, new, workspace_id=dataset.workspace_id)
    url = storage.upload_url(key, content_type=content_type, expires_at=expires_at, max_bytes=max_bytes)
    return UploadOffer(job=job, url=url)


def import_folder(dataset_id: UUID, kind: str, import_id: UUID) -> str:
    """Where an import's files of one kind (`uploads`, `parts`, `rejections`) lie in the storage."""
    return f"{dataset_folder(dataset_id)}/{kind}/{import_id}"


def dataset_folder(dataset_id: UUID) -> str:
    """Where all files of a dataset lie in the storage."""
    return f"datasets/{dataset_id}"


def _format_of(filename: str) -> str:
    endings = " or ".join(row.extension for row in FILE_FORMATS.values())
    if len(filename) > MAX_FILENAME_CHARACTERS:
        message = f"The file name has {len(filename)} characters; at most {MAX_FILENAME_CHARACTERS} are taken."
        raise Invalid(message, code=ErrorCode.INVALID_FILE_NAME)
    if any(ord(letter) < 32 or ord(letter) == 127 or "\ud800" <= letter <= "\udfff" for letter in filename):
        raise Invalid("The file name has control characters; rename the file.", code=ErrorCode.INVALID_FILE_NAME)
    file_format = format_of_filename(filename)
    if file_format is None:
        message = f"The file name must end with {endings}; its ending says how the file is read."
        raise Invalid(message, code=ErrorCode.INVALID_FILE_NAME)
    return file_format


def _safe_name(filename: str) -> str:
    """The file's name as far as it is fit for a storage key; the real one is kept in the database, for display."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", filename).strip("._-")
    return name[-100:].lstrip("._-") or "upload"


def begin_upload(db: Database, file_key: str, *, quiet_seconds: int) -> Import:
    """Check that the import of that file still takes an upload, and keep the expiry sweep off it for a while."""
    with db.write() as tx:
        job = jobs.find_import_of_file(tx, file_key)
        if job is None:
            raise NotFound("The import of this upload URL is gone.", code=ErrorCode.UNKNOWN_IMPORT)
        if not jobs.note_upload_activity(tx, job.id, until=tx.now() + timedelta(seconds=quiet_seconds)):
            message = "This import takes no upload any more: it has its file, or has ended. Ask for a new upload URL."
            raise Conflict(message, code=ErrorCode.ALREADY_UPLOADED)
        return job


def end_upload(db: Database, job: Import) -> None:
    """An upload broke off: the import waits for another, as before."""
    with db.write() as tx:
        jobs.note_upload_activity(tx, job.id, until=tx.now())


@dataclass(frozen=True)
class SeenUpload:
    """An upload as it was when it was seen. `hash` is its xxh3_128 where it came in through us."""

    size_bytes: int
    version: str | None = None
    hash: str | None = None


def finish_upload(db: Database, job: Import, upload: SeenUpload) -> Import:
    """The upload is whole and durable: put the import in its dataset's line, or let it wait for a schema.

    Where somebody noticed the file first, the import is given back as it is by now.
    """
    with db.write() as tx:
        # The first schema must find this import waiting, or this import must find the schema.
        datasets.lock_dataset(tx, job.dataset_id)
        dataset = require_dataset(datasets.get_dataset(tx, job.dataset_id))
        now_stands = require_import(jobs.get_import(tx, job.dataset_id, job.id))
        if now_stands.uploaded_at is not None:
            return now_stands
        to = State.PENDING_SCHEMA if dataset.schema_version is None else State.QUEUED
        return jobs.move(
            tx,
            job,
            to,
            uploaded_at=tx.now(),
            size_bytes=upload.size_bytes,
            upload_version=upload.version,
            upload_hash=upload.hash,
        )


def return_lapsed(db: Database) -> int:
    """Give back the jobs whose worker fell silent, and how many they were; the third lost attempt ends a job."""
    with db.read() as tx:
        lapsed = leases.list_lapsed(tx)
    returned = 0
    for lease in lapsed:
        try:
            with db.write() as tx:
                # Since it was listed, its worker may have shown that it lives, or have ended it, which is as good.
                if leases.hold_lapsed(tx, lease):
                    lose_attempt(tx, lease, reason=f"The worker of attempt {lease.attempt} fell silent.")
                    returned += 1
        except AssayError:
            raise
        except Exception:  # the others' workers fell silent, too
            log.exception("import %s can't be given back by a fault of the service", lease.job.id)
    return returned


def lose_attempt(tx: WriteTransaction, lease: Lease, *, reason: str) -> Import:
    """Return a job whose attempt was lost to the queue, or end it if that happened too often."""
    if leases.count_lost_attempts(tx, lease.job.id) + 1 < LOST_ATTEMPTS_LIMIT:
        return leases.give_back(tx, lease, reason=reason, was_lost=True)
    what = f"lost {LOST_ATTEMPTS_LIMIT} attempts at"
    return jobs.fail(tx, lease.job, reason=_given_up(lease.job.kind, what, reason))


def _given_up(kind: Kind, what: str, reason: str) -> str:
    message = f"The service {what} this {kind.value} and gave up"
    if kind is Kind.MIGRATION:
        message += f"; the records are as they were. Last: {reason} Set the schema again to try again"
    else:
        message += f"; the file may be fine. Last: {reason} Ask for a new upload URL to try again"
    return message + ", and tell whoever runs the service."


def make_wait(tx: WriteTransaction, lease: Lease, *, reason: str) -> Import:
    """Return a job that the service can't go on with now, to be tried later and later, or end it after about a week."""
    waits = leases.count_waits(tx, lease.job.id)
    if waits < WAITS_LIMIT:
        wait = min(FIRST_WAIT * 2 ** min(waits, 20), LONGEST_WAIT)
        return leases.make_wait(tx, lease, reason=reason, wait=wait)
    return jobs.fail(tx, lease.job, reason=_given_up(lease.job.kind, f"waited {WAITS_LIMIT:,} times with", reason))


def cancel_import(db: Database, dataset_id: UUID, import_id: UUID) -> Import:
    """End a job that is not terminal; a worker that has it in hand loses it. `Conflict` for a terminal one."""
    with db.write() as tx:
        job = require_import(jobs.get_import(tx, dataset_id, import_id))
        if job.state in TERMINAL:
            raise Conflict(f"The import has ended already: it is {job.state.value}.", code=ErrorCode.ALREADY_ENDED)
        # Its worker has yet to notice, and may write until then: the sweep waits for the end of the lease.
        return jobs.fail(tx, job, reason="Cancelled", keep_lease=job.state is State.PROCESSING)


def get_import(db: Database, dataset_id: UUID, import_id: UUID) -> Import:
    with db.read() as tx:
        return require_import(jobs.get_import(tx, dataset_id, import_id))


def require_dataset(dataset: Dataset | None) -> Dataset:
    if dataset is None:
        raise NotFound("There is no such dataset.", code=ErrorCode.UNKNOWN_DATASET)
    return dataset


def require_import(job: Import | None) -> Import:
    if job is None:
        raise NotFound("The dataset has no such import.", code=ErrorCode.UNKNOWN_IMPORT)
    return job
