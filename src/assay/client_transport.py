"""How a call becomes a request: addresses, tokens, what may be tried again. Shared by both clients."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx

from assay import __version__
from assay.client_calls import BASE_PATH, ApiError, Call, ServiceUnreachable

if TYPE_CHECKING:
    import pyarrow as pa

ATTEMPTS = 5
RETRY_SECONDS = 60
BUSY = {429, 502, 503, 504}
# What fails before the service can have received the call.
NEVER_RECEIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def settings(base_url: str | None, token: str | None) -> dict[str, Any]:
    address = base_url or os.environ.get("ASSAY_URL", "http://127.0.0.1:8000")
    secret = token or os.environ.get("ASSAY_TOKEN", "")
    if not secret:
        raise ValueError("Give a token, or set ASSAY_TOKEN; 'assay token create' makes one.")
    headers = {"Authorization": f"Token {secret}", "User-Agent": f"assay-python/{__version__}"}
    return {"base_url": address.rstrip("/"), "headers": headers}


def request_of(call: Call) -> dict[str, Any]:
    headers = dict(call.headers or {})
    is_whole_url = call.path.startswith(("http://", "https://"))
    if is_whole_url:
        # The URL is signed, and may lead to another host: the token must not go there. An object store refuses it too.
        headers["Authorization"] = ""
    return {
        "method": call.method,
        "url": call.path if is_whole_url else BASE_PATH + call.path,
        "params": call.params,
        "json": call.json,
        "content": None if call.content is None else call.content(),
        "headers": headers,
        "timeout": call.timeout_seconds,
    }


def backoff(call: Call) -> Callable[[Exception], bool | float]:
    """Whether an error may be met by trying again, or after how many seconds."""

    def decide(error: Exception) -> bool | float:
        if isinstance(error, httpx.TransportError):
            return call.is_repeatable or isinstance(error, NEVER_RECEIVED)
        return call.is_repeatable and isinstance(error, ApiError) and error.status in BUSY

    return decide


@contextmanager
def reachable(http: httpx.Client | httpx.AsyncClient) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        message = f"No answer from {http.base_url}: {error or type(error).__name__}. Is the service running there?"
        raise ServiceUnreachable(message) from error


@contextmanager
def appears_whole(target: Path) -> Iterator[IO[bytes]]:
    """A file that has its name only once it is complete."""
    partial = target.with_name(target.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def plain(table: "pa.Table") -> "pa.Table":
    """The table with its ids as text: not every library knows Arrow's UUID type."""
    import pyarrow as pa

    for index, column in enumerate(table.schema):
        if column.type == pa.uuid():
            texts = [None if value is None else str(uuid.UUID(bytes=value)) for value in _storage(table.column(index))]
            table = table.set_column(index, column.name, pa.array(texts, pa.string()))
    return table


def _storage(column: Any) -> Iterator[bytes | None]:
    for chunk in column.chunks:
        yield from chunk.storage.to_pylist()
