"""Bodies that come in a few bytes at a time: they cost no more than their size, and nobody is thought to be gone."""

import asyncio
import json
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from starlette.types import Message, Receive, Scope, Send

from assay import serving
from assay.errors import ErrorCode, Invalid
from assay.web import middleware, uploads
from assay.web.middleware import LimitBody
from assay.web.parameters import BASE_PATH
from assay.web.services import Services
from services.callers import Caller
from services.in_thread import served
from web.conftest import make_app, make_token

MESSAGES = 100_000


def post_scope(path: str, headers: dict[str, str]) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }


def test_body_of_single_bytes_takes_little_memory() -> None:
    """As messages it took two hundred times its size, from anybody who reached the port."""
    left = MESSAGES
    arrived: list[Message] = []

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x", "more_body": left > 0}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.append(await receive())

    async def send(message: Message) -> None:
        raise AssertionError(message)

    limited = LimitBody(app, max_bytes=MESSAGES)
    tracemalloc.start()
    try:
        asyncio.run(limited({"type": "http", "path": "/api", "headers": []}, receive, send))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert arrived == [{"type": "http.request", "body": b"x" * MESSAGES, "more_body": False}]
    assert peak < 10 * MESSAGES


def test_client_that_goes_away_in_mid_body_is_told_of_as_such() -> None:
    messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"x", "more_body": True}]
    arrived: list[Message] = []

    async def receive() -> Message:
        return messages.pop()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.append(await receive())

    async def send(message: Message) -> None:
        raise AssertionError(message)

    asyncio.run(LimitBody(app, max_bytes=10)({"type": "http", "path": "/api", "headers": []}, receive, send))
    assert arrived == [{"type": "http.disconnect"}]


@pytest.mark.parametrize(
    "path", ["/sign-in", f"{BASE_PATH}/datasets", f"{BASE_PATH}/datasets/{UUID(int=1)}/datapoints"]
)
def test_body_that_breaks_off_is_no_fault_of_the_service(
    services: Services, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = make_token(services.db, workspace_id="home")
    messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"x", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = {"host": "here", "authorization": f"Token {token}", "content-type": "application/x-www-form-urlencoded"}
    if "data" in path:
        headers["content-type"] = "application/x-ndjson" if path.endswith("points") else "application/json"
    scope = post_scope(path, headers)
    asyncio.run(make_app(services)(scope, receive, send))
    assert sent[0]["status"] == 400
    assert "fault of the service" not in caplog.text


BODIES = {"large": b'{"name": "' + b"x" * (10 << 20) + b'"}', "nested": b"[" * (10 << 20)}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", [f"{BASE_PATH}/datasets", f"{BASE_PATH}/webhooks", "/hooks/storage"])
def test_body_of_a_stranger_is_neither_kept_nor_read(services: Services, path: str, body: bytes) -> None:
    """A body of nested lists held up everybody for seconds, and took fifty times its size."""
    settings = replace(services.settings, storage_hook_secret="a secret", max_body_bytes=16 << 20)
    app = make_app(replace(services, settings=settings))
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not pieces, "an answer before the client has sent all is often lost"
            statuses.append(message["status"])

    scope = post_scope(path, {"content-type": "application/json", "authorization": "Token unknown"})
    tracemalloc.start()
    try:
        asyncio.run(app(scope, receive, send))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert statuses == [401]
    assert peak < 4 << 20


def test_body_of_which_nothing_comes_is_refused(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "STALLED_SECONDS", 0.05)
    token = make_token(services.db, workspace_id="home")
    sent: list[Message] = []
    messages: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Message:
        if not messages:
            await asyncio.sleep(60)
        return messages.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = post_scope(f"{BASE_PATH}/datasets", {"content-type": "application/json", "authorization": f"Token {token}"})
    asyncio.run(make_app(services)(scope, receive, send))
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["error"]["error_code"] == ErrorCode.BODY_INCOMPLETE


def test_request_that_the_end_of_the_service_cuts_off_is_told_so(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """The server calls it off, after a grace; that isn't a fault of the service, and not to be logged as one."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def called_off() -> None:
        task = asyncio.ensure_future(make_app(services)(post_scope("/sign-in", {"host": "here"}), receive, send))
        await asyncio.sleep(0.1)
        task.cancel()
        await task

    asyncio.run(called_off())
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"5") in sent[0]["headers"]
    assert "fault of the service" not in caplog.text


def test_upload_of_which_nothing_comes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALLED_SECONDS", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    async def taken() -> list[bytes]:
        return [block async for block in uploads._blocks(stalled())]

    with pytest.raises(Invalid) as refused:
        asyncio.run(taken())
    assert refused.value.code == ErrorCode.BODY_INCOMPLETE


def test_what_has_come_of_a_slow_upload_is_taken_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block keeps the import from being taken for one whose file never came."""
    monkeypatch.setattr(uploads, "ALIVE_SECONDS", 0.2)

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x"
            await asyncio.sleep(0.06)

    async def taken() -> list[bytes]:
        return [block async for block in uploads._blocks(slow())]

    blocks = asyncio.run(taken())
    assert len(blocks) > 1
    assert b"".join(blocks) == b"xxxx"


HEADS = {"nothing": b"", "a part of a head": b"GET /healthz HTTP/1.1\r\nHo"}


@pytest.mark.parametrize("sent", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("is_first", [True, False])
def test_connection_by_which_no_request_comes_is_ended(
    services: Services, monkeypatch: pytest.MonkeyPatch, sent: bytes, is_first: bool
) -> None:
    """A thousand of them kept everybody else out for as long as they liked."""
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    with served(make_app(services), http=serving._Protocol) as client:
        place = (client.base_url.host, client.base_url.port or 0)
        with socket.create_connection(place, timeout=20) as connection:
            if not is_first:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
                answer = b""
                while not answer.endswith(b'{"status":"ok"}'):
                    answer += connection.recv(4096)
            connection.sendall(sent)
            assert connection.recv(1) == b""


def test_request_that_takes_long_is_not_cut_off(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    token = make_token(services.db, workspace_id="home")
    with served(make_app(services), http=serving._Protocol) as client:
        caller = Caller(client, "home", token)
        dataset_id = caller.make_dataset()
        offer = caller.ask_for_url(dataset_id)
        path = f"{BASE_PATH}/datasets/{dataset_id}/imports/{offer['import_id']}?wait=1"
        assert client.get(path, headers={"Authorization": f"Token {token}"}).json()["status"] == "uninitialised"

        def slowly() -> Iterator[bytes]:
            for piece in (b"a,b\n", b"1,2\n", b"3,4\n"):
                yield piece
                time.sleep(0.3)

        answer = client.put(offer["upload_url"], content=slowly(), headers={"Content-Type": offer["content_type"]})
        assert (answer.status_code, answer.json()["size_bytes"]) == (200, 12)
