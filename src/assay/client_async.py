"""The Python client for asyncio: `Client`'s methods, to be awaited."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
import stamina

from assay import client_calls
from assay.client import DEFAULT_WORKSPACE
from assay.client_calls import BASE_PATH, Answer, ApiError, Body, Call, Calls, Id, OnProgress, raise_for_answer
from assay.client_sources import Source, append_lines, open_source
from assay.client_transport import ATTEMPTS, RETRY_SECONDS, appears_whole, backoff, reachable, request_of, settings
from assay.wire import AppendBody, DatapointBody, DatasetBody, ImportBody, ImportErrorBody, SchemaBody

if TYPE_CHECKING:
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
        self._http = httpx.AsyncClient(transport=transport, **settings(base_url, token))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def create_dataset(
        self, name: str, *, schema: Any | None = None, workspace_id: str = DEFAULT_WORKSPACE
    ) -> DatasetBody:
        return await self._run(client_calls.create_dataset(name, workspace_id=workspace_id, schema=schema))

    async def dataset(self, dataset_id: Id) -> DatasetBody:
        return await self._run(client_calls.get_dataset(dataset_id))

    def datasets(self) -> AsyncIterator[DatasetBody]:
        return self._pages(DatasetBody, "/datasets")

    async def dataset_status(self, dataset_id: Id) -> str:
        return await self._run(client_calls.dataset_status(dataset_id))

    async def set_schema(self, dataset_id: Id, schema: Any) -> DatasetBody:
        return await self._run(client_calls.set_schema(dataset_id, schema))

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
        """As `Client.import_file`."""
        with open_source(source, filename=filename) as upload:
            target = await self._run(client_calls.start_upload(dataset_id, upload.filename))
            await self._run(client_calls.put_upload(target, upload, progress=progress))
            if not wait:
                return await self.import_status(dataset_id, target.import_id)
            return await self._run(
                client_calls.wait_for_import(
                    dataset_id,
                    target.import_id,
                    clock=time.monotonic,
                    timeout_seconds=timeout_seconds,
                    size_bytes=upload.size_bytes,
                    progress=progress,
                )
            )

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
                except ApiError as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    async def _make(self, call: Call) -> Answer:
        with reachable(self._http):
            async for attempt in stamina.retry_context(on=backoff(call), attempts=ATTEMPTS, timeout=RETRY_SECONDS):
                with attempt:
                    request = request_of(call)
                    if request["content"] is not None:
                        request["content"] = _off_loop(request["content"])
                    response = await self._http.request(**request)
                    answer = Answer(response.status_code, response.headers, response.content)
                    raise_for_answer(answer)
        return answer

    async def download_rejected(self, dataset_id: Id, import_id: Id, path: Path | str) -> None:
        await self._download(f"/datasets/{dataset_id}/imports/{import_id}/rejected", {}, Path(path))

    async def export(self, dataset_id: Id, path: Path | str, *, format: str) -> None:
        await self._download(f"/datasets/{dataset_id}/export", {"format": format}, Path(path))

    async def to_arrow(self, dataset_id: Id) -> "pa.Table":
        import pyarrow as pa

        async with self._stream(f"/datasets/{dataset_id}/export", {"format": "arrow"}) as response:
            return pa.ipc.open_stream(await response.aread()).read_all()

    async def _download(self, path: str, params: dict[str, Any], target: Path) -> None:
        async with self._stream(path, params) as response:
            with appears_whole(target) as file:
                async for block in response.aiter_bytes():
                    await asyncio.to_thread(file.write, block)

    @asynccontextmanager
    async def _stream(self, path: str, params: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        with reachable(self._http):
            async with self._http.stream("GET", BASE_PATH + path, params=params) as response:
                if response.status_code >= 400:
                    raise_for_answer(Answer(response.status_code, response.headers, await response.aread()))
                yield response


async def _off_loop(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Reads a file's blocks in a thread, so that a slow disk doesn't stop the event loop."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block
