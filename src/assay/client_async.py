"""The Python client for asyncio: `Client`'s methods, to be awaited."""

import asyncio
import io
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

import httpx

from assay import client_calls
from assay.client import Target
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


class AsyncClient:
    """As `Client`, with iterators for `async for`. Use it in an `async with` block, or `aclose` it."""

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._token = token_of(token)
        self._schemas = KnownSchemas()
        self._http = httpx.AsyncClient(transport=transport, **settings(base_url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def create_dataset(
        self, name: str, *, schema: Any | None = None, workspace_id: str | None = None
    ) -> DatasetBody:
        return await self._seen(client_calls.create_dataset(name, workspace_id=workspace_id, schema=schema))

    async def dataset(self, dataset_id: Id) -> DatasetBody:
        return await self._seen(client_calls.get_dataset(dataset_id))

    async def _seen(self, calls: Calls[DatasetBody]) -> DatasetBody:
        return self._schemas.see(await self._run(calls))

    def datasets(self) -> AsyncIterator[DatasetBody]:
        return self._pages(DatasetBody, "/datasets")

    async def dataset_status(self, dataset_id: Id) -> str:
        return await self._run(client_calls.dataset_status(dataset_id))

    async def set_schema(self, dataset_id: Id, schema: Any) -> DatasetBody:
        return await self._seen(client_calls.set_schema(dataset_id, schema))

    async def migration(self, dataset_id: Id, job_id: Id) -> MigrationBody:
        return await self._run(client_calls.get_migration(dataset_id, job_id))

    async def delete_dataset(self, dataset_id: Id) -> None:
        await self._run(client_calls.delete_dataset(dataset_id))

    async def import_file(
        self,
        dataset_id: Id,
        source: Source,
        *,
        filename: str | None = None,
        wait: bool = True,
        timeout_seconds: float | None = None,
        progress: OnProgress | None = None,
    ) -> ImportBody:
        """As `Client.import_file`; `progress` is called on the event loop."""
        with ExitStack() as stack:
            upload = await asyncio.to_thread(stack.enter_context, open_source(source, filename=filename))
            schema = self._schemas.of(dataset_id) or (await self.dataset(dataset_id)).schema
            for sentence in await asyncio.to_thread(names_told, upload, schema):
                warnings.warn(sentence, stacklevel=2)
            target = await self._run(client_calls.start_upload(dataset_id, upload.filename))
            await self._run(client_calls.put_upload(target, upload, progress=progress))
            if not wait:
                return await self.import_status(dataset_id, target.import_id)
            waiting = client_calls.wait_for_import(
                dataset_id,
                target.import_id,
                clock=time.monotonic,
                timeout_seconds=timeout_seconds,
                size_bytes=upload.size_bytes,
                progress=progress,
            )
            return await self._run(waiting)

    async def wait_for_import(
        self,
        dataset_id: Id,
        import_id: Id,
        *,
        timeout_seconds: float | None = None,
        progress: OnProgress | None = None,
    ) -> ImportBody:
        waiting = client_calls.wait_for_import(
            dataset_id,
            import_id,
            clock=time.monotonic,
            timeout_seconds=timeout_seconds,
            size_bytes=0,
            progress=progress,
        )
        return await self._run(waiting)

    async def import_status(self, dataset_id: Id, import_id: Id, *, wait_seconds: float = 0) -> ImportBody:
        return await self._run(client_calls.get_import(dataset_id, import_id, wait_seconds=wait_seconds))

    def imports(self, dataset_id: Id) -> AsyncIterator[ImportBody]:
        return self._pages(ImportBody, f"/datasets/{dataset_id}/imports")

    async def cancel_import(self, dataset_id: Id, import_id: Id) -> ImportBody:
        return await self._run(client_calls.cancel_import(dataset_id, import_id))

    async def suggested_schema(self, dataset_id: Id, import_id: Id) -> SchemaBody:
        return await self._run(client_calls.suggested_schema(dataset_id, import_id))

    def errors(self, dataset_id: Id, import_id: Id) -> AsyncIterator[ImportErrorBody]:
        return self._pages(ImportErrorBody, f"/datasets/{dataset_id}/imports/{import_id}/errors")

    def migration_errors(self, dataset_id: Id, migration_id: Id) -> AsyncIterator[NulledValueBody]:
        """Every value that a migration made null, since the new schema refuses it, in the dataset's order."""
        return self._pages(NulledValueBody, f"/datasets/{dataset_id}/schema-migrations/{migration_id}/errors")

    async def append(self, dataset_id: Id, records: list[dict[str, Any]]) -> AppendBody:
        return await self._run(client_calls.append(dataset_id, append_lines(records)))

    def datapoints(self, dataset_id: Id) -> AsyncIterator[DatapointBody]:
        return self._pages(DatapointBody, f"/datasets/{dataset_id}/datapoints")

    async def _pages(self, kind: type[Body], path: str) -> AsyncIterator[Body]:
        cursor = None
        while True:
            page = await self._run(client_calls.get_page(kind, path, cursor))
            for result in page.results:
                yield result
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _run(self, calls: Calls[Result]) -> Result:
        try:
            call = next(calls)
            while True:
                try:
                    answer = await self._make(call)
                except CALL_FAULTS as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    async def _make(self, call: Call) -> Answer:
        patience = Patience(call)
        with reachable(self._http):
            while True:
                try:
                    response = await self._http.request(
                        content=_content_of(call, patience), **request_of(call, self._token)
                    )
                    lost = patience.has_lost_an_answer
                    answer = answer_of(response, response.content, follows_lost_answer=lost)
                    raise_for_answer(answer)
                    return answer
                except (httpx.TransportError, ApiError) as error:
                    await asyncio.sleep(patience.pause_after(error))

    async def download_rejected(self, dataset_id: Id, import_id: Id, path: Target) -> None:
        await self._download(Call("GET", f"/datasets/{dataset_id}/imports/{import_id}/rejected"), path)

    async def export(self, dataset_id: Id, path: Target, *, format: str, progress: OnBytes | None = None) -> None:
        await self._download(client_calls.export(dataset_id, format, progress=progress), path)

    async def to_arrow(self, dataset_id: Id) -> "pa.Table":
        import pyarrow as pa

        buffer = io.BytesIO()
        await self._fetch(client_calls.export(dataset_id, "arrow"), buffer)
        return pa.ipc.open_stream(buffer.getbuffer()).read_all()

    async def to_polars(self, dataset_id: Id) -> "pl.DataFrame":
        import polars as pl

        frame = pl.from_arrow(plain(await self.to_arrow(dataset_id)))
        assert isinstance(frame, pl.DataFrame)  # of a table it is never a Series
        return frame

    async def to_pandas(self, dataset_id: Id) -> "pd.DataFrame":
        """Integers are `Int64` and booleans `boolean`, which hold missing values without altering the others."""
        return in_pandas(await self.to_arrow(dataset_id))

    async def _download(self, call: Call, target: Target) -> None:
        with open_target(target) as file:
            await self._fetch(call, file)

    async def _fetch(self, call: Call, file: IO[bytes]) -> None:
        """An answer's body into a file; where it is cut off, once more from the start."""
        landing = Landing(file)
        patience = Patience(call)
        with reachable(self._http):
            while True:
                try:
                    async with self._http.stream(**request_of(call, self._token)) as response:
                        if not is_file(response):
                            raise_for_answer(answer_of(response, await response.aread()))
                        done = 0
                        async for block in response.aiter_bytes():
                            await asyncio.to_thread(landing.write, block)
                            done += len(block)
                            patience.has_moved = True
                            if call.on_received is not None:
                                call.on_received(done)
                        return
                except (httpx.TransportError, ApiError) as error:
                    pause = patience.pause_after(error)
                    if not landing.is_cleared():
                        raise
                    await asyncio.sleep(pause)


def _content_of(call: Call, patience: Patience) -> AsyncIterator[bytes] | None:
    return None if call.content is None else _told(call.content(), call, patience)


async def _told(blocks: Iterator[bytes], call: Call, patience: Patience) -> AsyncIterator[bytes]:
    """The blocks, read in a thread, so that a slow disk doesn't stop the event loop."""
    done = 0
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block
        done += len(block)
        patience.has_moved = True
        if call.on_sent is not None:
            call.on_sent(done)
