"""Large files are written past the page cache where that can be had; what they hold never depends on it."""

import errno
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assay.storage.direct import BLOCK_BYTES, MIN_BYTES, PIECE_BYTES, write_new_file

SIZES = [0, 1, MIN_BYTES - 1, MIN_BYTES, MIN_BYTES + 1, PIECE_BYTES, 3 * PIECE_BYTES + BLOCK_BYTES + 1, 5_100_123]


def written(path: Path, data: bytes) -> bytes:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_new_file(descriptor, data)
        os.write(descriptor, b"!")  # whoever has the descriptor next writes as ever, to any place
    finally:
        os.close(descriptor)
    return path.read_bytes()


def refuse_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tmpfs does, before Linux 6.6."""

    def refuse(descriptor: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return set_flags(descriptor, command, flags)

    set_flags = fcntl.fcntl
    monkeypatch.setattr(fcntl, "fcntl", refuse)


def want_larger_blocks(monkeypatch: pytest.MonkeyPatch, *, from_call: int) -> None:
    """As a disk whose blocks are larger than ours; the refusal may come late."""

    def refuse(descriptor: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        if calls >= from_call and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(descriptor, data)

    calls, write = 0, os.write
    monkeypatch.setattr(os, "write", refuse)


def write_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a system call may: at most 100,001 bytes at a time, in no whole blocks."""

    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:100_001]))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda monkeypatch: None,
        lambda monkeypatch: monkeypatch.delattr(os, "O_DIRECT", raising=False),  # macOS
        refuse_direct,
        lambda monkeypatch: want_larger_blocks(monkeypatch, from_call=1),
        lambda monkeypatch: want_larger_blocks(monkeypatch, from_call=3),
        write_in_parts,
    ],
    ids=["as it is", "not known", "refused", "larger blocks", "refused later", "short writes"],
)
def test_what_is_written_is_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], None]
) -> None:
    spoil(monkeypatch)
    for size in SIZES:
        data = os.urandom(size)
        assert written(tmp_path / str(size), data) == data + b"!"


def test_broken_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", fail)
    for size in (1, MIN_BYTES):
        with pytest.raises(OSError, match="Input/output error"):
            written(tmp_path / str(size), bytes(size))


def test_threads_do_not_share_the_memory_that_is_written_from(tmp_path: Path) -> None:
    files = [os.urandom(2 * PIECE_BYTES + number) for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(written, [tmp_path / str(number) for number in range(16)], files))
    assert found == [data + b"!" for data in files]


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux tells what is in its page cache")
def test_large_file_takes_no_page_cache(tmp_path: Path) -> None:
    data, path = os.urandom(4 * PIECE_BYTES), tmp_path / "file"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_DIRECT)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)
        except OSError as error:
            pytest.skip(f"this file system writes nothing past the page cache: {error}")
        write_new_file(descriptor, data)
        with pytest.raises(BlockingIOError):  # it would have to wait for the disk
            os.preadv(descriptor, [bytearray(BLOCK_BYTES)], 0, os.RWF_NOWAIT)
        assert os.pread(descriptor, len(data), 0) == data
    finally:
        os.close(descriptor)
