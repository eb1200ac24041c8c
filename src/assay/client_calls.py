"""What the Python client does, without doing it: each operation yields the calls it makes and is sent the answers.

So the client and the async client, which only differ in how a call is made, share every rule: what may be repeated,
what an answer means, when an import is done. Knows the wire's bodies, and no HTTP library but its answers' shape.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from assay.wire import (
    AppendBody,
    DatapointBody,
    DatasetBody,
    DatasetStatusBody,
    ErrorBody,
    ImportBody,
    ImportErrorBody,
    Page,
    SchemaBody,
    UploadUrlBody,
)

BASE_PATH = "/api/v1/data-collection"
SETTLED = {"complete", "partial", "failed", "pending_schema"}
LONGEST_WAIT_SECONDS = 20.0
PAGE_SIZE = 1000

Result = TypeVar("Result")
Body = TypeVar("Body", DatapointBody, DatasetBody, ImportBody, ImportErrorBody)
Id = UUID | str


class ApiError(Exception):
    """The service refused a call: `status`, the stable `error_code`, what it said, and the request's id in its log."""

    def __init__(self, *, status: int, error_code: int, title: str, detail: Any, request_id: str | None) -> None:
        super().__init__(f"{title} ({status}, error code {error_code}): {_sentence(detail)}")
        self.status = status
        self.error_code = error_code
        self.title = title
        self.detail = detail
        self.request_id = request_id


class ServiceUnreachable(Exception):
    """No answer came, however often it was tried: the service is down, or the address is wrong."""


class ImportUnfinished(Exception):
    """Waiting took longer than was allowed; the import goes on. `job` is how it stood."""

    def __init__(self, job: ImportBody) -> None:
        super().__init__(f"The import {job.import_id} is still {job.status}; it goes on without this client.")
        self.job = job


@dataclass(frozen=True)
class Progress:
    """How far an import is. `stage` is `uploading`, then `processing`; bytes of the file done, and in all."""

    stage: str
    done_bytes: int
    total_bytes: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Call:
    """One request. `path` is below the API's base path, or a whole URL, which is called without the token.

    A call that is not `is_repeatable` is repeated only where it surely was never received.
    """

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    json: Any = None
    content: Callable[[], Iterator[bytes]] | None = None
    headers: Mapping[str, str] | None = None
    is_repeatable: bool = True
    timeout_seconds: float = 60.0


Calls = Generator[Call, Answer, Result]


@dataclass(frozen=True)
class Upload:
    """A file to import: `read` starts from its beginning each time it is called."""

    filename: str
    size_bytes: int
    read: Callable[[], Iterator[bytes]]


def raise_for_answer(answer: Answer) -> None:
    """Raises `ApiError` for a status of 400 and more, whatever stands in the body."""
    if answer.status < 400:
        return
    request_id = answer.headers.get("x-request-id")
    try:
        error = ErrorBody.model_validate_json(answer.content).error
    except ValueError:
        detail = "the answer is none of this API's; is the base URL right?"
        raise ApiError(
            status=answer.status, error_code=0, title="Unexpected answer", detail=detail, request_id=request_id
        ) from None
    raise ApiError(
        status=error.status,
        error_code=error.error_code,
        title=error.title,
        detail=error.detail,
        request_id=request_id,
    )


def create_dataset(name: str, *, workspace_id: str, schema: Any | None) -> Calls[DatasetBody]:
    body = {"name": name, "workspace_id": workspace_id} | ({} if schema is None else {"schema": schema})
    return DatasetBody.model_validate_json((yield Call("POST", "/datasets", json=body, is_repeatable=False)).content)


def get_dataset(dataset_id: Id) -> Calls[DatasetBody]:
    return DatasetBody.model_validate_json((yield Call("GET", f"/datasets/{dataset_id}")).content)


def dataset_status(dataset_id: Id) -> Calls[str]:
    answer = yield Call("GET", f"/datasets/{dataset_id}/status")
    return DatasetStatusBody.model_validate_json(answer.content).status


def set_schema(dataset_id: Id, schema: Any) -> Calls[DatasetBody]:
    answer = yield Call("PATCH", f"/datasets/{dataset_id}", json={"schema": schema})
    return DatasetBody.model_validate_json(answer.content)


def delete_dataset(dataset_id: Id) -> Calls[None]:
    yield Call("DELETE", f"/datasets/{dataset_id}")


def append(dataset_id: Id, body: bytes) -> Calls[AppendBody]:
    # Repeating an append writes nothing twice, so this may be tried again.
    headers = {"Content-Type": "application/x-ndjson", "Content-Length": str(len(body))}
    answer = yield Call("POST", f"/datasets/{dataset_id}/datapoints", content=lambda: iter([body]), headers=headers)
    return AppendBody.model_validate_json(answer.content)


def get_import(dataset_id: Id, import_id: Id, *, wait_seconds: float = 0) -> Calls[ImportBody]:
    path = f"/datasets/{dataset_id}/imports/{import_id}"
    answer = yield Call("GET", path, params={"wait": wait_seconds}, timeout_seconds=wait_seconds + 30)
    return ImportBody.model_validate_json(answer.content)


def cancel_import(dataset_id: Id, import_id: Id) -> Calls[ImportBody]:
    answer = yield Call("POST", f"/datasets/{dataset_id}/imports/{import_id}/cancel", is_repeatable=False)
    return ImportBody.model_validate_json(answer.content)


def suggested_schema(dataset_id: Id, import_id: Id) -> Calls[SchemaBody]:
    answer = yield Call("GET", f"/datasets/{dataset_id}/imports/{import_id}/suggested-schema")
    return SchemaBody.model_validate_json(answer.content)


def start_upload(dataset_id: Id, filename: str) -> Calls[UploadUrlBody]:
    # Asking twice makes two imports of which one expires unused: harmless.
    answer = yield Call("GET", f"/datasets/{dataset_id}/upload-url/{quote(filename, safe='')}")
    return UploadUrlBody.model_validate_json(answer.content)


def put_upload(target: UploadUrlBody, upload: Upload, *, progress: OnProgress | None) -> Calls[None]:
    """The URL takes a file once and whole, so a cut upload may be repeated; one that had come through says so (409)."""
    headers = {"Content-Type": target.content_type, "Content-Length": str(upload.size_bytes)}
    attempts = 0

    def content() -> Iterator[bytes]:
        nonlocal attempts
        attempts += 1
        done = 0
        for block in upload.read():
            yield block
            done += len(block)
            if progress is not None:
                progress(Progress("uploading", done, upload.size_bytes))

    try:
        yield Call("PUT", target.upload_url, content=content, headers=headers, timeout_seconds=300)
    except ApiError as error:
        if error.status != 409 or attempts < 2:
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
        job = yield from get_import(dataset_id, import_id, wait_seconds=left)
        if progress is not None and job.processed_offset is not None:
            progress(Progress("processing", job.processed_offset, max(size_bytes, job.processed_offset)))
        if job.status in SETTLED:
            return job
        if deadline is not None and clock() >= deadline:
            raise ImportUnfinished(job)


def get_page(kind: type[Body], path: str, cursor: str | None) -> Calls[Page[Body]]:
    params = {"limit": PAGE_SIZE} | ({} if cursor is None else {"cursor": cursor})
    return Page[kind].model_validate_json((yield Call("GET", path, params=params)).content)  # type: ignore[valid-type]


def _sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        return "; ".join(f"{field}: {text}" for field, texts in detail.items() for text in texts)
    return "; ".join(detail) if isinstance(detail, list) else str(detail)
