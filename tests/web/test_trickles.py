"""Bodies that come in a few bytes at a time: they cost no more than their size, and nobody is thought to be gone."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from starlette.types import Message, Receive, Scope, Send

from assay.web import uploads
from assay.web.middleware import LimitBody
from assay.web.parameters import BASE_PATH
from assay.web.services import Services
from web.conftest import make_app, make_token

MESSAGES = 100_000


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
    scope = {
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
    asyncio.run(make_app(services)(scope, receive, send))
    assert sent[0]["status"] == 400
    assert "fault of the service" not in caplog.text


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
