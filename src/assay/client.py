"""The Python client: makes the calls that `client_calls` describes, and streams files both ways."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
import stamina

from assay import client_calls
from assay.client_calls import (
    BASE_PATH,
    Answer,
    ApiError,
    Body,
    Call,
    Calls,
    Id,
    OnProgress,
    raise_for_answer,
)
from assay.client_sources import Source, append_lines, open_source
from assay.client_transport import (
    ATTEMPTS,
    RETRY_SECONDS,
    appears_whole,
    backoff,
    plain,
    reachable,
    request_of,
    settings,
)
from assay.wire import AppendBody, DatapointBody, DatasetBody, ImportBody, ImportErrorBody, SchemaBody

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Result = TypeVar("Result")
DEFAULT_WORKSPACE = "default"


class Client:
    """A client of one Assay service. Holds a connection pool: use it in a `with` block, or `close` it.

    `base_url` and `token` default to the variables ASSAY_URL and ASSAY_TOKEN. Safe to share between threads.
    Every method raises `ApiError` when the service refuses, `ServiceUnreachable` when no answer comes.
    """

    def __init__(
        self, base_url: str | None = None, token: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(transport=transport, **settings(base_url, token))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def create_dataset(
        self, name: str, *, schema: Any | None = None, workspace_id: str = DEFAULT_WORKSPACE
    ) -> DatasetBody:
        return self._run(client_calls.create_dataset(name, workspace_id=workspace_id, schema=schema))

    def dataset(self, dataset_id: Id) -> DatasetBody:
        return self._run(client_calls.get_dataset(dataset_id))

    def datasets(self) -> Iterator[DatasetBody]:
        """The workspace's datasets, newest first, without their imports."""
        return self._pages(DatasetBody, "/datasets")

    def dataset_status(self, dataset_id: Id) -> str:
        return self._run(client_calls.dataset_status(dataset_id))

    def set_schema(self, dataset_id: Id, schema: Any) -> DatasetBody:
        return self._run(client_calls.set_schema(dataset_id, schema))

    def delete_dataset(self, dataset_id: Id) -> None:
        self._run(client_calls.delete_dataset(dataset_id))

    def import_file(
        self,
        dataset_id: Id,
        source: Source,
        *,
        filename: str | None = None,
        wait: bool = True,
        timeout_seconds: float | None = None,
        progress: OnProgress | None = None,
    ) -> ImportBody:
        """Import a path, a binary file object, a pandas or Polars DataFrame, or an Arrow table.

        With `wait`, returns when the import has ended, whatever its status: look at it. Raises `ImportUnfinished`
        after `timeout_seconds`; the import itself goes on.
        """
        with open_source(source, filename=filename) as upload:
            target = self._run(client_calls.start_upload(dataset_id, upload.filename))
            self._run(client_calls.put_upload(target, upload, progress=progress))
            if not wait:
                return self.import_status(dataset_id, target.import_id)
            return self._run(
                client_calls.wait_for_import(
                    dataset_id,
                    target.import_id,
                    clock=time.monotonic,
                    timeout_seconds=timeout_seconds,
                    size_bytes=upload.size_bytes,
                    progress=progress,
                )
            )

    def import_status(self, dataset_id: Id, import_id: Id, *, wait_seconds: float = 0) -> ImportBody:
        return self._run(client_calls.get_import(dataset_id, import_id, wait_seconds=wait_seconds))

    def imports(self, dataset_id: Id) -> Iterator[ImportBody]:
        """Newest first."""
        return self._pages(ImportBody, f"/datasets/{dataset_id}/imports")

    def cancel_import(self, dataset_id: Id, import_id: Id) -> ImportBody:
        return self._run(client_calls.cancel_import(dataset_id, import_id))

    def suggested_schema(self, dataset_id: Id, import_id: Id) -> SchemaBody:
        return self._run(client_calls.suggested_schema(dataset_id, import_id))

    def errors(self, dataset_id: Id, import_id: Id) -> Iterator[ImportErrorBody]:
        """Every failing field of every rejected record, in file order."""
        return self._pages(ImportErrorBody, f"/datasets/{dataset_id}/imports/{import_id}/errors")

    def append(self, dataset_id: Id, records: list[dict[str, Any]]) -> AppendBody:
        """Append up to 1,000 records at once; repeating it writes nothing twice."""
        return self._run(client_calls.append(dataset_id, append_lines(records)))

    def datapoints(self, dataset_id: Id) -> Iterator[DatapointBody]:
        """The accepted records, in their stable order."""
        return self._pages(DatapointBody, f"/datasets/{dataset_id}/datapoints")

    def download_rejected(self, dataset_id: Id, import_id: Id, path: Path | str) -> None:
        """Write the rejected records to a file, as they stood in the upload: mend it and import it."""
        self._download(f"/datasets/{dataset_id}/imports/{import_id}/rejected", {}, Path(path))

    def export(self, dataset_id: Id, path: Path | str, *, format: str) -> None:
        """Write all accepted records to a file: `parquet`, `jsonl`, `csv` or `arrow`."""
        self._download(f"/datasets/{dataset_id}/export", {"format": format}, Path(path))

    def to_arrow(self, dataset_id: Id) -> "pa.Table":
        """All accepted records as one table in memory."""
        import pyarrow as pa

        with self._stream(f"/datasets/{dataset_id}/export", {"format": "arrow"}) as response:
            return pa.ipc.open_stream(b"".join(response.iter_bytes())).read_all()

    def to_polars(self, dataset_id: Id) -> "pl.DataFrame":
        import polars as pl

        frame = pl.from_arrow(plain(self.to_arrow(dataset_id)))
        assert isinstance(frame, pl.DataFrame)  # of a table it is never a Series
        return frame

    def to_pandas(self, dataset_id: Id) -> "pd.DataFrame":
        frame: pd.DataFrame = plain(self.to_arrow(dataset_id)).to_pandas()
        return frame

    def _pages(self, kind: type[Body], path: str) -> Iterator[Body]:
        cursor = None
        while True:
            page = self._run(client_calls.get_page(kind, path, cursor))
            yield from page.results
            cursor = page.next_cursor
            if cursor is None:
                return

    def _run(self, calls: Calls[Result]) -> Result:
        try:
            call = next(calls)
            while True:
                try:
                    answer = self._make(call)
                except ApiError as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def _make(self, call: Call) -> Answer:
        with reachable(self._http):
            for attempt in stamina.retry_context(on=backoff(call), attempts=ATTEMPTS, timeout=RETRY_SECONDS):
                with attempt:
                    response = self._http.request(**request_of(call))
                    answer = Answer(response.status_code, response.headers, response.content)
                    raise_for_answer(answer)
        return answer

    def _download(self, path: str, params: dict[str, Any], target: Path) -> None:
        with self._stream(path, params) as response, appears_whole(target) as file:
            for block in response.iter_bytes():
                file.write(block)

    @contextmanager
    def _stream(self, path: str, params: dict[str, Any]) -> Iterator[httpx.Response]:
        with reachable(self._http), self._http.stream("GET", BASE_PATH + path, params=params) as response:
            if response.status_code >= 400:
                raise_for_answer(Answer(response.status_code, response.headers, response.read()))
            yield response
