"""What the Python client does, without doing it: each operation yields the calls it makes and is sent the answers.

So the client and the async client, which only differ in how a call is made, share every rule: what may be repeated,
what an answer means, when an import is done. Knows the wire's bodies, and no HTTP library but its answers' shape.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel

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
WAITING_ATTEMPTS = 20  # who waits for an import waits for a service that is started again, too
PAGE_SIZE = 1000
STORE_FAULT = re.compile(rb"<Error>.*?<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)

Result = TypeVar("Result")
Body = TypeVar("Body", DatapointBody, DatasetBody, ImportBody, ImportErrorBody, NulledValueBody)
Model = TypeVar("Model", bound=BaseModel)
Id = UUID | str


class ApiError(Exception):
    """The service refused a call: `status`, the stable `error_code`, what it said, and the request's id in its log.

    `error_code` is 0 where the answer came from something else than the service: a proxy, or another server.
    """

    retry_after_seconds: float | None = None
    # An earlier attempt at the same call was never answered, and may have been carried out.
    follows_lost_answer: bool = False

    def __init__(self, *, status: int, error_code: int, title: str, detail: Any, request_id: str | None) -> None:
        code = f", error code {error_code}" if error_code else ""
        request = f" [request {request_id}]" if request_id else ""
        super().__init__(f"{title} ({status}{code}): {_sentence(detail)}{request}")
        self.status = status
        self.error_code = error_code
        self.title = title
        self.detail = detail
        self.request_id = request_id

    def __reduce__(self) -> Any:
        """Comes back whole from another process: the default forgets what it was made of."""
        names = ("status", "error_code", "title", "detail", "request_id")
        return partial(ApiError, **{name: getattr(self, name) for name in names}), ()


class ServiceUnreachable(Exception):
    """No answer came, however often it was tried: the service is down, or the address is wrong."""


class ImportUnfinished(Exception):
    """Waiting took longer than was allowed; the import goes on. `job` is how it stood."""

    def __init__(self, job: ImportBody) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"The import {self.job.import_id} is still {self.job.status}; it goes on without this client."


class MigrationUnknown(Exception):
    """A schema was set, and the answer that named the migration never came: records may have lost values."""

    def __init__(self, dataset_id: Id) -> None:
        super().__init__(dataset_id)
        self.dataset_id = dataset_id

    def __str__(self) -> str:
        return (
            f"The schema was received, and the answer to it lost: whether records of the dataset {self.dataset_id} "
            "lost values under it is not known. Look at its schema and its records."
        )


class SourceChanged(Exception):
    """The file grew, shrank or was written to while it was read. Nothing of it is imported."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self.filename = filename

    def __str__(self) -> str:
        return (
            f"The file {self.filename} changed while it was read, and nothing of it is imported: "
            "do it again when nobody writes to it, or with a copy."
        )


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
    bytes of the content are sent, and `on_received` how many of an answer that is written to a file have come.
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
    on_sent: Callable[[int], None] | None = None
    on_received: Callable[[int], None] | None = None


Calls = Generator[Call, Answer, Result]
CALL_FAULTS = (ApiError, ServiceUnreachable, SourceChanged)
"""What the making of a call raises, and the operation that it is of may see to."""


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


def get_import(dataset_id: Id, import_id: Id, *, wait_seconds: float = 0, attempts: int = 5) -> Calls[ImportBody]:
    path = f"/datasets/{dataset_id}/imports/{import_id}"
    params = {"wait": wait_seconds} if wait_seconds else None
    answer = yield Call("GET", path, params=params, timeout_seconds=wait_seconds + 30, attempts=attempts)
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
    """Until the import has ended, or waits for a schema. Raises `ImportUnfinished` after `timeout_seconds`."""
    deadline = None if timeout_seconds is None else clock() + timeout_seconds
    longest = LONGEST_WAIT_SECONDS if progress is None else 0.5
    while True:
        left = longest if deadline is None else max(0.0, min(longest, deadline - clock()))
        job = yield from get_import(dataset_id, import_id, wait_seconds=left, attempts=WAITING_ATTEMPTS)
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


def _sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        return "; ".join(f"{field}: {text}" for field, texts in detail.items() for text in texts)
    return "; ".join(detail) if isinstance(detail, list) else str(detail)
