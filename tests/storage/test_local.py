"""What a local directory promises beyond the contract: durability, containment, clear words when the disk is full."""

import errno
import os
import resource
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from assay.errors import Conflict, ErrorCode, Invalid, Unavailable
from assay.storage.base import open_storage
from assay.storage.local import LocalStorage, open_local

MEBIBYTE = 1024 * 1024


def temporary_files(storage: LocalStorage) -> list[Path]:
    return sorted((storage.root / "tmp").iterdir())


def upload(storage: LocalStorage, key: str, data: bytes) -> None:
    upload = storage.open_upload(key)
    upload.write(data)
    upload.commit()


class SyncRecorder:
    """Stands in for `os.fsync`: does it, and notes what was synced and whether `path` was there already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[bool] = []
        self.folders: dict[int, bool] = {}
        self._fsync = os.fsync

    def __call__(self, descriptor: int) -> None:
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self.folders[status.st_ino] = self.path.exists()
        else:
            self.files.append(self.path.exists())

    def assert_durable(self, root: Path) -> None:
        """The bytes were synced before the name was there; the folders up to the root after."""
        assert self.files == [False]
        folders = [self.path.parent, *self.path.parent.parents]
        needed = {folder.stat().st_ino for folder in folders if folder.is_relative_to(root)}
        assert needed == set(self.folders)
        assert all(self.folders.values())


@pytest.mark.parametrize("write", [LocalStorage.put, upload])
def test_bytes_and_folders_are_synced_in_order(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, write: Callable[[LocalStorage, str, bytes], None]
) -> None:
    recorder = SyncRecorder(local.root / "a/b/c")
    monkeypatch.setattr(os, "fsync", recorder)
    write(local, "a/b/c", b"x")
    recorder.assert_durable(local.root)


def test_failed_sync_is_no_success(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    for write in (LocalStorage.put, upload):
        with pytest.raises(Unavailable, match="Input/output error"):
            write(local, "a/b", b"x")
        assert local.stat("a/b") is None
        assert temporary_files(local) == []


def test_upload_appears_whole_at_commit(local: LocalStorage) -> None:
    upload = local.open_upload("a/b")
    for chunk in (b"one,", bytearray(b"two,"), memoryview(b"three")):
        upload.write(chunk)
        assert local.stat("a/b") is None
    assert list(local.list("")) == []
    assert upload.size_bytes == 13
    upload.commit()
    assert local.read_range("a/b", 0, 100) == b"one,two,three"
    assert temporary_files(local) == []


def test_aborted_upload_leaves_nothing_and_can_be_repeated(local: LocalStorage) -> None:
    first = local.open_upload("a")
    first.write(b"half")
    first.abort()
    first.abort()
    assert temporary_files(local) == []
    assert local.stat("a") is None
    with pytest.raises(ValueError, match="ended"):
        first.write(b"more")
    upload(local, "a", b"whole")
    assert local.read_range("a", 0, 100) == b"whole"


def test_second_upload_loses(local: LocalStorage) -> None:
    second = local.open_upload("a")
    second.write(b"second")
    upload(local, "a", b"first")
    with pytest.raises(Conflict) as caught:
        second.commit()
    assert caught.value.code is ErrorCode.ALREADY_UPLOADED
    assert local.read_range("a", 0, 100) == b"first"
    assert temporary_files(local) == []


def test_of_many_uploads_at_once_one_wins(local: LocalStorage) -> None:
    barrier = Barrier(8)

    def race(number: int) -> bool:
        upload = local.open_upload("a/b/c")
        upload.write(str(number).encode())
        barrier.wait()
        try:
            upload.commit()
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert local.read_range("a/b/c", 0, 10) == str(won.index(True)).encode()


def test_crash_leftovers_are_invisible_and_swept_by_age(local: LocalStorage) -> None:
    now = datetime.now(UTC)
    old, young = local.open_upload("old"), local.open_upload("young")
    old.write(b"left by a crash")
    (path,) = (path for path in temporary_files(local) if path.stat().st_size)
    long_ago = (now - timedelta(hours=3)).timestamp()
    os.utime(path, (long_ago, long_ago))
    assert list(local.list("")) == []
    assert local.sweep_temporary(now - timedelta(hours=2)) == 1
    assert len(temporary_files(local)) == 1
    young.commit()
    assert [stored.key for stored in local.list("")] == ["young"]
    with pytest.raises(Unavailable):
        old.commit()


@pytest.fixture
def outside(local: LocalStorage, tmp_path: Path) -> Path:
    """A folder beside the storage, with a secret, to which links in the storage lead."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (local.root / "folder").symlink_to(outside)
    (local.root / "up").symlink_to("..")
    (local.root / "file").symlink_to(outside / "secret")
    return outside


@pytest.mark.parametrize("key", ["folder/secret", "up/outside/secret", "file"])
def test_symbolic_link_is_no_way_to_read_outside(local: LocalStorage, outside: Path, key: str) -> None:
    with pytest.raises(Unavailable):
        local.read_range(key, 0, 100)


def test_symbolic_link_is_no_object_and_no_folder(local: LocalStorage, outside: Path) -> None:
    assert local.stat("file") is None
    assert list(local.list("")) == []
    for key in ("folder/secret", "up/outside/secret"):
        with pytest.raises(Unavailable, match="symbolic link"):
            local.stat(key)
    for prefix in ("folder", "up", "up/outside"):
        with pytest.raises(Unavailable, match="symbolic link"):
            list(local.list(prefix))


def test_symbolic_link_is_no_way_to_write_outside(local: LocalStorage, outside: Path) -> None:
    for key in ("folder/new", "folder/a/b", "up/outside/new"):
        for write in (LocalStorage.put, upload):
            with pytest.raises(Unavailable, match="symbolic link"):
                write(local, key, b"x")
        with pytest.raises(Unavailable, match="symbolic link"):
            local.delete("folder/secret")
    local.put("file", b"replaces the link itself")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert local.read_range("file", 0, 8) == b"replaces"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[LocalStorage]:
    """A storage on a disk of 1 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here (it needs root on Linux), so no full disk is tested: {error}")
    yield open_local(mount, signing_key=b"", base_url="")
    subprocess.run(["umount", str(mount)], check=True)


def test_full_disk_is_named_and_leaves_nothing(small_disk: LocalStorage) -> None:
    upload = small_disk.open_upload("a/upload")
    upload.write(bytes(MEBIBYTE // 2))
    with pytest.raises(Unavailable, match="disk is full"):
        upload.write(bytes(MEBIBYTE))
    assert temporary_files(small_disk) == []
    with pytest.raises(Unavailable, match="disk is full"):
        small_disk.put("a/part", bytes(2 * MEBIBYTE))
    assert temporary_files(small_disk) == []
    assert list(small_disk.list("")) == []
    small_disk.put("a/part", bytes(MEBIBYTE // 2))


@pytest.fixture
def _small_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("_small_files")
def test_file_over_the_system_limit_is_refused_and_leaves_nothing(local: LocalStorage) -> None:
    upload = local.open_upload("a")
    upload.write(bytes(MEBIBYTE - 1))
    with pytest.raises(Unavailable, match="File too large"):
        upload.write(b"12")
    with pytest.raises(Unavailable, match="File too large"):
        local.put("b", bytes(MEBIBYTE + 1))
    assert temporary_files(local) == []
    assert list(local.list("")) == []


def test_delete_leaves_no_empty_folders(local: LocalStorage) -> None:
    local.put("a/b/c/1", b"x")
    local.put("a/2", b"x")
    local.delete("a/b/c/1")
    assert sorted(path.name for path in local.root.rglob("*")) == ["2", "a", "tmp"]
    local.delete("a/2")
    assert [path.name for path in local.root.iterdir()] == ["tmp"]


def test_put_survives_deletes_in_the_same_folder(local: LocalStorage) -> None:
    def put_and_delete(number: int) -> None:
        for _ in range(100):
            local.put(f"a/b/{number}", b"x")
            assert local.stat(f"a/b/{number}") is not None
            local.delete(f"a/b/{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put_and_delete, range(4)))
    assert list(local.list("")) == []


@pytest.mark.parametrize("make_url", [str, Path.as_uri, lambda path: f"file://localhost{path.as_uri()[7:]}"])
def test_folder_is_named_by_path_or_url(tmp_path: Path, make_url: Callable[[Path], str]) -> None:
    folder = tmp_path / "with space, 100% é"
    open_storage(make_url(folder), signing_key=b"", base_url="").put("a", b"x")
    assert (folder / "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/a",
        "file://host/a",
        "file:a",
        "file:///a?b",
        "gs://bucket",
        "a\0b",
        "file:///a%00",
        "file://[",
        "/dev/null/a",
    ],
)
def test_unusable_url_is_an_invalid_setting(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        open_storage(url, signing_key=b"", base_url="")
    assert caught.value.code is ErrorCode.INVALID_SETTING


def test_root_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    storage = open_local(tmp_path / "link", signing_key=b"", base_url="")
    storage.put("a/b", b"x")
    assert (tmp_path / "disk/a/b").read_bytes() == b"x"
    assert [stored.key for stored in storage.list("a")] == ["a/b"]
