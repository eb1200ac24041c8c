"""Where a download that was cut off leaves what stood there before, and when it may begin again."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from assay import ServiceUnreachable
from client.faulty import DATASET, CutOff, Faulty, refusal

BEFORE = b"what was there before\n"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None: ...

    monkeypatch.setattr("assay.client.time.sleep", lambda seconds: None)
    monkeypatch.setattr("assay.client_async.asyncio.sleep", at_once)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "all.jsonl").write_bytes(BEFORE)
    return tmp_path / "all.jsonl"


def cut(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=CutOff())


def whole(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"whole\n")


def client_of(kind: Any, *answers: Any) -> Any:
    return kind("http://assay.test", "assay_secret", transport=Faulty(*answers))


def as_by_a_shell(path: Path) -> IO[bytes]:
    """As '>>' hands it down: the descriptor says 0 until its first write."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "wb")


def opened_to_append(path: Path) -> IO[bytes]:
    return path.open("ab")


def opened_at_its_end(path: Path) -> IO[bytes]:
    file = path.open("r+b")
    file.seek(0, os.SEEK_END)
    return file


@pytest.mark.parametrize("opened", [as_by_a_shell, opened_to_append, opened_at_its_end])
def test_what_stood_in_the_file_stays(kind: Any, path: Path, opened: Callable[[Path], IO[bytes]]) -> None:
    with client_of(kind, cut, refusal(503), cut, whole) as client, opened(path) as file:
        client.export(DATASET, file, format="jsonl")
    assert path.read_bytes() == BEFORE + b"whole\n"


def test_what_others_append_meanwhile_is_not_taken_back(kind: Any, path: Path) -> None:
    def cut_while_another_writes(_: httpx.Request) -> httpx.Response:
        class Both(CutOff):
            def __iter__(self) -> Iterator[bytes]:
                yield b"half"
                with path.open("ab") as other:
                    other.write(b"another's\n")
                raise httpx.RemoteProtocolError("cut")

        return httpx.Response(200, stream=Both())

    with as_by_a_shell(path) as file, client_of(kind, cut_while_another_writes, whole) as client:
        with pytest.raises(ServiceUnreachable):
            client.export(DATASET, file, format="jsonl")
        file.flush()
    assert path.read_bytes() in (BEFORE + b"another's\nhalf", BEFORE + b"halfanother's\n")


@pytest.mark.parametrize("fault", [refusal(503), refusal(429), httpx.ReadError("reset")])
def test_pipe_gets_the_whole_once_though_the_first_attempt_failed(kind: Any, fault: Any) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as near:
        with os.fdopen(writer, "wb") as far, client_of(kind, fault, whole) as client:
            client.export(DATASET, far, format="jsonl")
        assert near.read() == b"whole\n"


def test_pipe_that_has_got_something_gets_nothing_twice(kind: Any) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as near:
        far = os.fdopen(writer, "wb")
        with far, client_of(kind, cut, whole) as client, pytest.raises(ServiceUnreachable):
            client.export(DATASET, far, format="jsonl")
        assert near.read() == b"the first half"


def test_buffer_begins_again_where_it_stood(kind: Any) -> None:
    buffer = io.BytesIO()
    buffer.write(BEFORE)
    with client_of(kind, cut, whole) as client:
        client.export(DATASET, buffer, format="jsonl")
    assert buffer.getvalue() == BEFORE + b"whole\n"
