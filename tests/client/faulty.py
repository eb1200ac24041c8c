"""A service that answers as a test says, in memory, for the faults that a real one shows too seldom."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID

import httpx

API = "/api/v1/data-collection"
DATASET = UUID("01a20e45-cde9-7624-988f-7d011ed2d471")
IMPORT = UUID("01a20e45-ce39-742b-a5d9-d18bbf23f121")
TIME = "2026-11-24T15:56:25.530895Z"
STORE = "https://store.example/bucket/key?X-Amz-Signature=a%2Fb%2Bc&partNumber=1"

Answering = Callable[[httpx.Request], httpx.Response]


class Faulty:
    """A transport of both kinds. It reads what it is sent, notes it, and gives the answers one after the other."""

    def __init__(self, *answers: Answering | Exception | httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self._answers = list(answers)

    def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(body)
        # The last one goes on for ever.
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, await request.aread())

    def close(self) -> None: ...

    async def aclose(self) -> None: ...

    def __enter__(self) -> "Faulty":
        return self

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> "Faulty":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path.removeprefix(API)}" for request in self.requests]


class CutOff(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body whose connection ends before it does."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"the first half"
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self:
            yield block


def ok(body: Any, *, status: int = 200, **headers: str) -> Answering:
    return lambda _: httpx.Response(status, json=body, headers=headers)


def refusal(status: int, *, code: int = 1400, detail: Any = "Not now.", **headers: str) -> Answering:
    error = {"status": status, "error_code": code, "title": "Refused", "detail": detail}
    named = {"x-request-id": "req-17", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda _: httpx.Response(status, content=json.dumps({"error": error}), headers=named)


def dataset_body() -> dict[str, Any]:
    made = {"id": str(DATASET), "name": "a", "created_at": TIME, "created_by": "me", "workspace_id": "default"}
    return {**made, "total_datapoint_count": 0, "schema_version": 4, "schema": None, "imports": []}


def import_body(status: str = "complete", **more: Any) -> dict[str, Any]:
    ids = {"dataset_id": str(DATASET), "import_id": str(IMPORT), "type": "file_upload", "filename": "a.csv"}
    return {**ids, "created_at": TIME, "updated_at": TIME, "status": status, **more}


def offer(upload_url: str = STORE) -> dict[str, Any]:
    ids = {"dataset_id": str(DATASET), "import_id": str(IMPORT), "file_key": "key", "expires_at": TIME}
    return {**ids, "upload_url": upload_url, "http_method": "PUT", "content_type": "text/csv"}


BEGUN = (ok(dataset_body()), ok(offer()))
"""What is answered before an upload."""
