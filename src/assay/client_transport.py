"""How a call becomes a request, and a response an answer: addresses, tokens, files. Shared by both clients."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx

from assay import __version__
from assay.client_calls import BASE_PATH, Answer, Call
from assay.client_faults import ServiceUnreachable
from assay.client_retries import NEVER_RECEIVED, PASSING
from assay.whole_files import written_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CONNECT_SECONDS = 10.0
SHORTEST_SECONDS = 0.1


def settings(base_url: str | None) -> dict[str, Any]:
    """What an HTTP client is made with. The token is not among it: it goes with the calls to the API alone."""
    address = (base_url or os.environ.get("ASSAY_URL") or "http://127.0.0.1:8000").strip().rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"The base URL must begin with http:// or https://, and {address!r} does not.")
    headers = {"User-Agent": f"assay-python/{__version__}"}
    return {"base_url": address.removesuffix(BASE_PATH), "headers": headers}


def token_of(token: str | None) -> str:
    """The token given, or the environment's. One that can't be sent is refused here: later, the fault would show it."""
    text = (token or os.environ.get("ASSAY_TOKEN", "")).strip()
    if not text:
        raise ValueError("Give a token, or set ASSAY_TOKEN; 'assay token create' makes one, beside the service.")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("The token has letters that no token has. Was it copied whole, and nothing else with it?")
    return text


def request_of(call: Call, token: str) -> dict[str, Any]:
    """All of a request but its content."""
    timeout = call.timeout_seconds
    if call.deadline is not None:
        timeout = max(SHORTEST_SECONDS, min(timeout, call.deadline - time.monotonic()))
    headers = dict(call.headers or {})
    is_whole_url = call.path.startswith(("http://", "https://"))
    if not is_whole_url:
        # A whole URL is signed, and may lead to another host: the token must not go there. An object store refuses it.
        headers["Authorization"] = f"Token {token}"
    return {
        "method": call.method,
        "url": call.path if is_whole_url else BASE_PATH + call.path,
        "params": call.params,
        "json": call.json,
        "headers": headers,
        "timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
    }


def answer_of(response: httpx.Response, content: bytes, *, follows_lost_answer: bool = False) -> Answer:
    url = response.request.url
    server = f"{url.scheme}://{url.netloc.decode()}"
    return Answer(response.status_code, response.headers, content, server, follows_lost_answer)


@contextmanager
def reachable(http: httpx.Client | httpx.AsyncClient) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        address = http.base_url.copy_with(username=None, password=None)
        cause = str(error).rstrip(".") or type(error).__name__
        was_reached = isinstance(error, PASSING) and not isinstance(error, NEVER_RECEIVED)
        if not was_reached:
            message = f"No answer from {address}: {cause}. Is the service running there?"
        elif isinstance(error, httpx.TimeoutException):
            message = f"No answer from {address} in time: {cause}. The connection was made, and nothing came."
        else:
            message = f"The connection to {address} was cut before all was sent and answered: {cause}."
        raise ServiceUnreachable(message, was_reached=was_reached) from error


def is_file(response: httpx.Response) -> bool:
    """Whether a download begins; otherwise the answer says why not."""
    return response.is_success and not response.headers.get("content-type", "").lower().startswith("text/html")


@contextmanager
def open_target(target: Path | str | IO[bytes]) -> Iterator[IO[bytes]]:
    """The file to download into. One that is named appears under its name only once it is complete."""
    if not isinstance(target, str | Path):
        yield target
        return
    with written_whole(Path(target)) as file:
        yield file


class Landing:
    """Where an answer's body goes, from where its file stands. What came of one that was cut off is taken back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start = _place_of(file)
        self._written_bytes = 0

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._written_bytes += len(block)

    def is_cleared(self) -> bool:
        """Takes back what was written. False where that can't be done, as in a pipe: nothing may be written again."""
        if self._written_bytes == 0:
            return True
        if self._start is None:
            return False
        try:
            if self._file.seek(0, os.SEEK_END) != self._start + self._written_bytes:
                return False  # others write to it, too
            self._file.seek(self._start)
            self._file.truncate()
        except (OSError, ValueError):  # such as a device, or a file that is compressed on its way
            return False
        self._written_bytes = 0
        return True


def _place_of(file: IO[bytes]) -> int | None:
    """Where the next byte goes; None where nothing can be taken back."""
    if not file.seekable():
        return None
    try:
        # What is opened to append, as by '>>', is at 0 until its first write, and writes at its end all the same.
        return file.seek(0, os.SEEK_END) if _appends(file) else file.tell()
    except (OSError, ValueError):
        return None


def _appends(file: IO[bytes]) -> bool:
    try:
        import fcntl

        return bool(fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND)
    except (ImportError, AttributeError, OSError):  # no such system, or no file of the system's
        return False


def plain(table: "pa.Table") -> "pa.Table":
    """The table with its ids as text: not every library knows Arrow's UUID type."""
    import pyarrow as pa

    for index, column in enumerate(table.schema):
        if column.type == pa.uuid():
            texts = [None if value is None else str(uuid.UUID(bytes=value)) for value in _storage(table.column(index))]
            table = table.set_column(index, column.name, pa.array(texts, pa.string()))
    return table


def in_pandas(table: "pa.Table") -> "pd.DataFrame":
    """The table with integers and booleans as pandas' nullable types, whether values are missing or not: its others
    make floats of integers where one is missing, which alters those of more than 53 bits.
    """
    import pandas as pd
    import pyarrow as pa

    kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = plain(table).to_pandas(types_mapper=kinds.get)
    return frame


def _storage(column: Any) -> Iterator[bytes | None]:
    for chunk in column.chunks:
        yield from chunk.storage.to_pylist()
