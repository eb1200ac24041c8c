"""An ASGI application called in this process by an ordinary, synchronous HTTP client."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

Result = TypeVar("Result")


class AsgiTransport(httpx.BaseTransport):
    """Runs requests on one event loop in a thread of its own, as a server does; many threads may call at once."""

    def __init__(self, app: Any) -> None:
        self._asgi = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="in-process-server")
        self._thread.start()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.run(self._answer(request))

    def run(self, work: Awaitable[Result]) -> Result:
        async def awaited() -> Result:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(60)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.stream

        async def blocks() -> AsyncIterator[bytes]:
            assert isinstance(body, httpx.SyncByteStream)
            for block in body:
                yield block

        headers = request.headers.raw
        copy = httpx.Request(request.method, request.url, headers=headers, content=blocks())
        if "content-length" in request.headers:
            copy.headers.pop("transfer-encoding", None)
        answer = await self._asgi.handle_async_request(copy)
        data = b"".join([block async for block in answer.stream])  # type: ignore[union-attr]
        return httpx.Response(answer.status_code, headers=answer.headers.raw, content=data)

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def client_of(app: Any) -> Iterator[httpx.Client]:
    """A client of the application. It follows no redirects, as the public API's own clients do not."""
    with httpx.Client(transport=AsgiTransport(app), base_url="http://assay.test", timeout=60) as client:
        yield client
