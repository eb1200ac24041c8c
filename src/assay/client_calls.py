"""What the Python client does, without doing it: each operation yields the calls it makes and is sent the answers.

So the client and the async client, which only differ in how a call is made, share every rule: what may be repeated,
what an answer means, when an import is done. Knows the wire's bodies, and no HTTP library but its answers' shape.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel

from assay.client_faults import ApiError, Id, ImportUnfinished, MigrationUnknown, ServiceUnreachable, SourceChanged
from assay.errors import ErrorCode
from assay.wire import (
    AppendBody,
    DatapointBody,
    DatasetBody,
    DatasetStatusBody,
    ErrorBody,
    ImportBody,
    ImportErrorBody,
    MigrationBody,
    NulledValueBody,
    Page,
    SchemaBody,
    UploadUrlBody,
)

BASE_PATH = "/api/v1/data-collection"
SETTLED = {"complete", "partial", "failed", "pending_schema"}
LONGEST_WAIT_SECONDS = 20.0
ANSWER_SECONDS = 1.0
WAITING_ATTEMPTS = 20  # who waits for an import waits for a service that is started again, too
PAGE_SIZE = 1000
STORE_FAULT = re.compile(rb"<Error>.*?<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)

Result = TypeVar("Result")
Body = TypeVar("Body", DatapointBody, DatasetBody, ImportBody, ImportErrorBody, NulledValueBody)
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Progress:
    """How far an import is. `stage` is `uploading`, then `processing`; bytes of the file done, and in all.

    An upload that has to be repeated begins again at 0.
    """

    import_id: UUID
    stage: str
    done_bytes: int
    total_bytes: int


OnProgress = Callable[[Progress], None]
OnBytes = Callable[[int], None]
"""Called with the bytes that have come so far. A download that has to be repeated begins again at 0."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes
    server: str
    # As of `ApiError`.
    follows_lost_answer: bool = False


@dataclass(frozen=True)
class Call:
    """One request. `path` is below the API's base path, or a whole URL, which is called without the token.

    A call that is not `is_repeatable` is repeated only where it surely was never received. `on_sent` is told how many
    bytes of the content are sent, and `on_received` how many of an answer that is written to a file have come. After
    `deadline`, on the monotonic clock, nobody waits for an answer, nor to try again.
    """

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    json: Any = None
    content: Callable[[], Iterator[bytes]] | None = None
    headers: Mapping[str, str] | None = None
    is_repeatable: bool = True
    timeout_seconds: float = 60.0
    attempts: int = 5
    deadline: float | None = None
    on_sent: Callable[[int], None] | None = None
    on_received: Callable[[int], None] | None = None


Calls = Generator[Call, Answer, Result]


@dataclass(frozen=True)
class Upload:
    """A file to import: `read` starts from its beginning each time it is called."""

    filename: str
    size_bytes: int
    read: Callable[[], Iterator[bytes]]


def raise_for_answer(answer: Answer) -> None:
    """Raises `ApiError` for every status but 2xx, and for a web page, whatever its status."""
    if 200 <= answer.status < 300 and not _is_page(answer):
        return
    try:
        error = body_of(ErrorBody, answer).error
    except ValueError:
        raise _unexpected(answer) from None
    refusal = ApiError(
        status=error.status,
        error_code=error.error_code,
        title=error.title,
        detail=error.detail,
        request_id=answer.headers.get("x-request-id"),
    )
    refusal.retry_after_seconds = _retry_after(answer)
    raise refusal


def body_of(kind: type[Model], answer: Answer) -> Model:
    """The answer's body. Raises `ApiError` if it is none of this API's."""
    try:
        return kind.model_validate_json(answer.content)
    except ValueError:
        raise _unexpected(answer) from None


def _is_page(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").lower().startswith("text/html")


def _unexpected(answer: Answer) -> ApiError:
    store_fault = STORE_FAULT.search(answer.content)
    if store_fault is not None:
        title, detail = "The object store refused", b": ".join(store_fault.groups()).decode(errors="replace")
    elif answer.status >= 500:
        title, detail = "Unexpected answer", f"something before the service answered at {answer.server}; is it running?"
    else:
        what = "a web page" if _is_page(answer) else "something"
        detail = f"{answer.server} answered with {what} that is not of Assay's API; is the base URL right?"
        title = "Unexpected answer"
    request_id = answer.headers.get("x-request-id")
    error = ApiError(status=answer.status, error_code=0, title=title, detail=detail, request_id=request_id)
    error.retry_after_seconds = _retry_after(answer)
    return error


def _retry_after(answer: Answer) -> float | None:
    """Seconds, from the header's number or date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "")
    try:
        if text.isascii() and text.isdecimal():
            return float(text)
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def create_dataset(name: str, *, workspace_id: str | None, schema: Any | None) -> Calls[DatasetBody]:
    given = {"workspace_id": workspace_id, "schema": schema_json(schema)}
    body = {"name": name} | {key: value for key, value in given.items() if value is not None}
    return body_of(DatasetBody, (yield Call("POST", "/datasets", json=body, is_repeatable=False)))


def schema_json(schema: Any) -> Any:
    """A schema as it is sent; one that the service gave may be given back."""
    return schema.model_dump(mode="json", exclude_unset=True) if isinstance(schema, SchemaBody) else schema


def get_dataset(dataset_id: Id) -> Calls[DatasetBody]:
    return body_of(DatasetBody, (yield Call("GET", f"/datasets/{dataset_id}")))


def dataset_status(dataset_id: Id) -> Calls[str]:
    answer = yield Call("GET", f"/datasets/{dataset_id}/status")
    return body_of(DatasetStatusBody, answer).status


def set_schema(dataset_id: Id, schema: Any) -> Calls[DatasetBody]:
    """The repeat of a call whose answer was lost finds the schema as it is given, or its migration at work, and is not
    told which migration that was. Raises `MigrationUnknown` then, unless there are no records.
    """
    try:
        answer = yield Call("PATCH", f"/datasets/{dataset_id}", json={"schema": schema_json(schema)})
    except ApiError as error:
        if error.error_code == ErrorCode.DATASET_BUSY and error.follows_lost_answer:
            raise MigrationUnknown(dataset_id) from error
        raise
    changed = body_of(DatasetBody, answer)
    if answer.follows_lost_answer and changed.migration_job_id is None and changed.total_datapoint_count:
        raise MigrationUnknown(dataset_id)
    return changed


def delete_dataset(dataset_id: Id) -> Calls[None]:
    try:
        yield Call("DELETE", f"/datasets/{dataset_id}")
    except ApiError as error:
        if error.status != 404 or not error.follows_lost_answer:
            raise


def get_migration(dataset_id: Id, job_id: Id) -> Calls[MigrationBody]:
    answer = yield Call("GET", f"/datasets/{dataset_id}/schema-migrations/{job_id}")
    return body_of(MigrationBody, answer)


def append(dataset_id: Id, body: bytes) -> Calls[AppendBody]:
    # Repeating an append writes nothing twice, so this may be tried again.
    headers = {"Content-Type": "application/x-ndjson", "Content-Length": str(len(body))}
    answer = yield Call("POST", f"/datasets/{dataset_id}/datapoints", content=lambda: iter([body]), headers=headers)
    return body_of(AppendBody, answer)


def get_import(
    dataset_id: Id, import_id: Id, *, wait_seconds: float = 0, attempts: int = 5, deadline: float | None = None
) -> Calls[ImportBody]:
    path = f"/datasets/{dataset_id}/imports/{import_id}"
    params = {"wait": wait_seconds} if wait_seconds else None
    timeout = wait_seconds + 30
    answer = yield Call("GET", path, params=params, timeout_seconds=timeout, attempts=attempts, deadline=deadline)
    return body_of(ImportBody, answer)


def cancel_import(dataset_id: Id, import_id: Id) -> Calls[ImportBody]:
    answer = yield Call("POST", f"/datasets/{dataset_id}/imports/{import_id}/cancel", is_repeatable=False)
    return body_of(ImportBody, answer)


def suggested_schema(dataset_id: Id, import_id: Id) -> Calls[SchemaBody]:
    answer = yield Call("GET", f"/datasets/{dataset_id}/imports/{import_id}/suggested-schema")
    return body_of(SchemaBody, answer)


def start_upload(dataset_id: Id, filename: str) -> Calls[UploadUrlBody]:
    # Asking twice makes two imports of which one expires unused: harmless.
    answer = yield Call("GET", f"/datasets/{dataset_id}/upload-url/{quote(filename, safe='')}")
    return body_of(UploadUrlBody, answer)


def put_upload(target: UploadUrlBody, upload: Upload, *, progress: OnProgress | None) -> Calls[None]:
    """The URL takes a file once and whole, so a cut upload may be repeated; one that had come through says so (409)."""
    headers = {"Content-Type": target.content_type, "Content-Length": str(upload.size_bytes)}

    def on_sent(done: int) -> None:
        if progress is not None:
            progress(Progress(target.import_id, "uploading", done, upload.size_bytes))

    on_sent(0)
    call = Call("PUT", target.upload_url, content=upload.read, headers=headers, timeout_seconds=300, on_sent=on_sent)
    try:
        yield call
    except ApiError as error:
        if error.status != 409 or not error.follows_lost_answer:
            raise
    except SourceChanged:
        try:
            yield from cancel_import(target.dataset_id, target.import_id)
        except ApiError as error:
            if error.error_code == ErrorCode.ALREADY_ENDED:
                return  # An attempt before this one had come through, with the file as it was then.
        except ServiceUnreachable:
            pass  # It ends by itself: what has not arrived whole is not imported.
        raise


def wait_for_import(
    dataset_id: Id,
    import_id: Id,
    *,
    clock: Callable[[], float],
    timeout_seconds: float | None,
    size_bytes: int,
    progress: OnProgress | None,
) -> Calls[ImportBody]:
    """Until the import has ended, or waits for a schema.

    After `timeout_seconds` raises `ImportUnfinished`, or what went wrong if not one answer has come by then.
    """
    deadline = None if timeout_seconds is None else clock() + timeout_seconds
    longest = LONGEST_WAIT_SECONDS if progress is None else 0.5
    job: ImportBody | None = None
    while True:
        left = longest if deadline is None else max(0.0, min(longest, deadline - clock()))
        # With a deadline it is looked first, so that there is a job to tell of at the end.
        wait = 0.0 if job is None and deadline is not None else left
        # An answer that is due at the deadline may take a moment to come.
        until = None if deadline is None else deadline + ANSWER_SECONDS
        calls = get_import(dataset_id, import_id, wait_seconds=wait, attempts=WAITING_ATTEMPTS, deadline=until)
        try:
            job = yield from calls
        except (ApiError, ServiceUnreachable) as error:
            if job is None or deadline is None or clock() < deadline:
                raise
            raise ImportUnfinished(job) from error
        if progress is not None and job.processed_offset is not None:
            progress(Progress(job.import_id, "processing", job.processed_offset, max(size_bytes, job.processed_offset)))
        if job.status in SETTLED:
            return job
        if deadline is not None and clock() >= deadline:
            raise ImportUnfinished(job)


def export(dataset_id: Id, format: str, *, progress: OnBytes | None = None) -> Call:
    return Call("GET", f"/datasets/{dataset_id}/export", params={"format": format}, on_received=progress)


def get_page(kind: type[Body], path: str, cursor: str | None) -> Calls[Page[Body]]:
    params = {"limit": PAGE_SIZE} | ({} if cursor is None else {"cursor": cursor})
    return body_of(Page[kind], (yield Call("GET", path, params=params)))  # type: ignore[valid-type]
