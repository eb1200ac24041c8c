"""The Python client: makes the calls that `client_calls` describes, and streams files both ways."""

import io
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

import httpx

from assay import client_calls
from assay.client_calls import Answer, Body, Call, Calls, OnBytes, OnProgress, raise_for_answer
from assay.client_faults import CALL_FAULTS, ApiError, Id
from assay.client_names import KnownSchemas, names_told
from assay.client_retries import Patience
from assay.client_sources import Source, open_source
from assay.client_tables import append_lines
from assay.client_transport import (
    Landing,
    answer_of,
    in_pandas,
    is_file,
    open_target,
    plain,
    reachable,
    request_of,
    settings,
    token_of,
)
from assay.wire import (
    AppendBody,
    DatapointBody,
    DatasetBody,
    ImportBody,
    ImportErrorBody,
    MigrationBody,
    NulledValueBody,
    SchemaBody,
)

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Result = TypeVar("Result")
Target = Path | str | IO[bytes]
"""What a download is written to: a path, or a binary file object."""


class Client:
    """A client of one Assay service. Holds a connection pool: use it in a `with` block, or `close` it.

    `base_url` and `token` default to the variables ASSAY_URL and ASSAY_TOKEN. Safe to share between threads.
    Every method raises `ApiError` when the service refuses, `ServiceUnreachable` when no answer comes.
    """

    def __init__(
        self, base_url: str | None = None, token: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._token = token_of(token)
        self._schemas = KnownSchemas()
        self._http = httpx.Client(transport=transport, **settings(base_url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def create_dataset(self, name: str, *, schema: Any | None = None, workspace_id: str | None = None) -> DatasetBody:
        return self._seen(client_calls.create_dataset(name, workspace_id=workspace_id, schema=schema))

    def dataset(self, dataset_id: Id) -> DatasetBody:
        return self._seen(client_calls.get_dataset(dataset_id))

    def _seen(self, calls: Calls[DatasetBody]) -> DatasetBody:
        return self._schemas.see(self._run(calls))

    def datasets(self) -> Iterator[DatasetBody]:
        """The workspace's datasets, newest first, without their imports."""
        return self._pages(DatasetBody, "/datasets")

    def dataset_status(self, dataset_id: Id) -> str:
        return self._run(client_calls.dataset_status(dataset_id))

    def set_schema(self, dataset_id: Id, schema: Any) -> DatasetBody:
        """The first one releases the imports that wait for it. Another one brings the records there are under it: the
        answer has a `migration_job_id`, to look at with `migration`. Raises `MigrationUnknown` where that was lost.
        """
        return self._seen(client_calls.set_schema(dataset_id, schema))

    def migration(self, dataset_id: Id, job_id: Id) -> MigrationBody:
        return self._run(client_calls.get_migration(dataset_id, job_id))

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
        after `timeout_seconds`; the import itself goes on. Raises `SourceChanged` where the file is written to
        meanwhile: the import is cancelled. Warns, by `UserWarning`, of columns that are no fields of the schema.
        """
        with open_source(source, filename=filename) as upload:
            schema = self._schemas.of(dataset_id) or self.dataset(dataset_id).schema
            for sentence in names_told(upload, schema):
                warnings.warn(sentence, stacklevel=2)
            target = self._run(client_calls.start_upload(dataset_id, upload.filename))
            self._run(client_calls.put_upload(target, upload, progress=progress))
            if not wait:
                return self.import_status(dataset_id, target.import_id)
            waiting = client_calls.wait_for_import(
                dataset_id,
                target.import_id,
                clock=time.monotonic,
                timeout_seconds=timeout_seconds,
                size_bytes=upload.size_bytes,
                progress=progress,
            )
            return self._run(waiting)

    def wait_for_import(
        self,
        dataset_id: Id,
        import_id: Id,
        *,
        timeout_seconds: float | None = None,
        progress: OnProgress | None = None,
    ) -> ImportBody:
        """Until the import has ended, or waits for a schema. Raises `ImportUnfinished` after `timeout_seconds`."""
        waiting = client_calls.wait_for_import(
            dataset_id,
            import_id,
            clock=time.monotonic,
            timeout_seconds=timeout_seconds,
            size_bytes=0,
            progress=progress,
        )
        return self._run(waiting)

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

    def migration_errors(self, dataset_id: Id, migration_id: Id) -> Iterator[NulledValueBody]:
        """Every value that a migration made null, since the new schema refuses it, in the dataset's order."""
        return self._pages(NulledValueBody, f"/datasets/{dataset_id}/schema-migrations/{migration_id}/errors")

    def append(self, dataset_id: Id, records: list[dict[str, Any]]) -> AppendBody:
        """Append up to 1,000 records at once; repeating it writes nothing twice."""
        return self._run(client_calls.append(dataset_id, append_lines(records)))

    def datapoints(self, dataset_id: Id) -> Iterator[DatapointBody]:
        """The accepted records, in their stable order."""
        return self._pages(DatapointBody, f"/datasets/{dataset_id}/datapoints")

    def download_rejected(self, dataset_id: Id, import_id: Id, path: Target) -> None:
        """Write the rejected records to a file, as they stood in the upload: mend it and import it."""
        self._download(Call("GET", f"/datasets/{dataset_id}/imports/{import_id}/rejected"), path)

    def export(self, dataset_id: Id, path: Target, *, format: str, progress: OnBytes | None = None) -> None:
        """Write all accepted records to a file: `parquet`, `jsonl`, `csv` or `arrow`.

        `progress` is called with the bytes that have come; how many there will be is not known before the end.
        """
        self._download(client_calls.export(dataset_id, format, progress=progress), path)

    def to_arrow(self, dataset_id: Id) -> "pa.Table":
        """All accepted records as one table in memory."""
        import pyarrow as pa

        buffer = io.BytesIO()
        self._fetch(client_calls.export(dataset_id, "arrow"), buffer)
        return pa.ipc.open_stream(buffer.getbuffer()).read_all()

    def to_polars(self, dataset_id: Id) -> "pl.DataFrame":
        import polars as pl

        frame = pl.from_arrow(plain(self.to_arrow(dataset_id)))
        assert isinstance(frame, pl.DataFrame)  # of a table it is never a Series
        return frame

    def to_pandas(self, dataset_id: Id) -> "pd.DataFrame":
        """Integers are `Int64` and booleans `boolean`, which hold missing values without altering the others."""
        return in_pandas(self.to_arrow(dataset_id))

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
                except CALL_FAULTS as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def _make(self, call: Call) -> Answer:
        patience = Patience(call)
        with reachable(self._http):
            while True:
                try:
                    response = self._http.request(content=_content_of(call, patience), **request_of(call, self._token))
                    lost = patience.has_lost_an_answer
                    answer = answer_of(response, response.content, follows_lost_answer=lost)
                    raise_for_answer(answer)
                    return answer
                except (httpx.TransportError, ApiError) as error:
                    time.sleep(patience.pause_after(error))

    def _download(self, call: Call, target: Target) -> None:
        with open_target(target) as file:
            self._fetch(call, file)

    def _fetch(self, call: Call, file: IO[bytes]) -> None:
        """An answer's body into a file; where it is cut off, once more from the start."""
        landing = Landing(file)
        patience = Patience(call)
        with reachable(self._http):
            while True:
                try:
                    with self._http.stream(**request_of(call, self._token)) as response:
                        if not is_file(response):
                            raise_for_answer(answer_of(response, response.read()))
                        for block in _told(response.iter_bytes(), call.on_received, patience):
                            landing.write(block)
                        return
                except (httpx.TransportError, ApiError) as error:
                    pause = patience.pause_after(error)
                    if not landing.is_cleared():
                        raise
                    time.sleep(pause)


def _content_of(call: Call, patience: Patience) -> Iterator[bytes] | None:
    return None if call.content is None else _told(call.content(), call.on_sent, patience)


def _told(blocks: Iterator[bytes], tell: OnBytes | None, patience: Patience) -> Iterator[bytes]:
    """The blocks; of each it is told when it is done with."""
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        patience.has_moved = True
        if tell is not None:
            tell(done)
