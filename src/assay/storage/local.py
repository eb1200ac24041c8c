"""A local directory as storage: contained paths, durable atomic writes, upload URLs signed by us.

Every write goes to `<root>/tmp`, is fsynced, moves to its key in one step, and then the folders are fsynced. Plain
system calls, since the library that speaks to S3 for us syncs nothing on a local disk: see
docs/adr/0002-local-storage-without-obstore.md.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import json
import os
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import Conflict, Denied, ErrorCode, Invalid, Unavailable
from assay.storage.base import TEMPORARY, Stored, check_key, check_range
from assay.storage.direct import write_all, write_new_file

if TYPE_CHECKING:
    from typing_extensions import Buffer

UPLOADS_PATH = "/uploads"  # an upload URL is <base URL>/uploads/<token>
_FULL = {errno.ENOSPC, errno.EDQUOT}
_MISSING = (FileNotFoundError, NotADirectoryError)
_PLACING_TRIES = 20

_Move = Callable[[Path, Path], None]


@dataclass(frozen=True)
class UploadGrant:
    """What a valid upload URL allows its holder to do."""

    key: str
    content_type: str
    max_bytes: int


@contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            reason = "the disk is full; free some space and try again"
        else:
            reason = error.strerror or str(error)
        raise Unavailable(f"Can't {action}: {reason}.", code=ErrorCode.STORAGE_UNAVAILABLE) from error


def _link_exclusively(temporary: Path, path: Path) -> None:
    """A hard link, unlike a rename, fails if the name is taken: of two uploads at once the second loses."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError as error:
        raise Conflict("This file has been uploaded already.", code=ErrorCode.ALREADY_UPLOADED) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stored(key: str, status: os.stat_result) -> Stored:
    return Stored(
        key=key,
        size_bytes=status.st_size,
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        version=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
    )


@dataclass(eq=False)
class OpenUpload:
    """An upload on its way in, for one thread at a time. `commit` or `abort` ends it; a second `abort` does nothing.

    Any failure ends it too, and leaves nothing behind, so that the same key can be uploaded again.
    """

    storage: LocalStorage
    key: str
    size_bytes: int = 0
    _temporary: Path = field(init=False)
    _descriptor: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        with _translated("start an upload"):
            self._temporary, self._descriptor = self.storage._create_temporary()

    def write(self, chunk: Buffer) -> None:
        try:
            with _translated("store the upload"):
                write_all(self._open_descriptor(), chunk)
        except BaseException:
            self.abort()
            raise
        self.size_bytes += memoryview(chunk).nbytes

    def commit(self) -> None:
        """Durable, whole and visible when it returns. `Conflict` when the key has an upload, which stays as it was."""
        try:
            with _translated("store the upload"):
                os.fsync(self._open_descriptor())
                self.storage._place(self._temporary, self.key, _link_exclusively)
        finally:
            self.abort()

    def abort(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
            with suppress(OSError):  # the sweep gets what can't be removed now
                self._temporary.unlink()

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise ValueError("this upload has ended")
        return self._descriptor


@dataclass(frozen=True)
class LocalStorage:
    """`Storage` in the folder `root`, which `open_local` prepares; besides it, what the upload route needs."""

    # In a core's cache while it is looked at, and in memory that is not given back to the system after each block.
    scan_bytes = 1024 * 1024

    root: Path
    signing_key: bytes = field(repr=False)
    base_url: str

    def upload_url(self, key: str, *, content_type: str, expires_at: datetime, max_bytes: int) -> str:
        expires = expires_at.astimezone(UTC).isoformat()
        claims = json.dumps([check_key(key), content_type, expires, max_bytes], separators=(",", ":"))
        payload = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
        return f"{self.base_url.rstrip('/')}{UPLOADS_PATH}/{payload}.{self._sign(payload)}"

    def verify_upload(self, token: str, *, now: datetime) -> UploadGrant:
        """What `token`, an upload URL's last segment, allows; `Denied` if it isn't ours, was altered, or expired."""
        payload, _, signature = token.partition(".")
        # The texts are compared, not the decoded bytes: base64 has several spellings of the same bytes.
        if not hmac.compare_digest(signature.encode(errors="replace"), self._sign(payload).encode()):
            raise Denied(
                "This upload URL is not valid: use it exactly as it was given, or ask for a new one.",
                code=ErrorCode.INVALID_UPLOAD_URL,
            )
        key, content_type, expires, max_bytes = json.loads(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        )
        if now >= datetime.fromisoformat(expires):
            raise Denied("This upload URL has expired: ask for a new one.", code=ErrorCode.EXPIRED_UPLOAD_URL)
        return UploadGrant(key=check_key(key), content_type=content_type, max_bytes=max_bytes)

    def open_upload(self, key: str) -> OpenUpload:
        return OpenUpload(self, check_key(key))

    def stat(self, key: str) -> Stored | None:
        with _translated(f"look up {key}"):
            try:
                status = self._path(key).lstat()
            except _MISSING:
                self._check_present()
                return None
        return _stored(key, status) if stat.S_ISREG(status.st_mode) else None

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        check_range(offset, length)
        with _translated(f"read {key}"):
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                end = min(offset + length, os.fstat(descriptor).st_size)
                blocks: list[bytes] = []
                # One system call reads at most 2 GiB, and may always read less than asked.
                while offset < end and (block := os.pread(descriptor, end - offset, offset)):
                    blocks.append(block)
                    offset += len(block)
            finally:
                os.close(descriptor)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def put(self, key: str, data: Buffer) -> None:
        check_key(key)
        with _translated(f"write {key}"):
            temporary, descriptor = self._create_temporary()
            try:
                try:
                    write_new_file(descriptor, data)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                self._place(temporary, key, os.replace)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        with _translated(f"delete {key}"):
            path = self._path(key)
            try:
                path.unlink()
            except _MISSING:
                self._check_present()
                return
            for folder in path.parents:  # a deleted dataset leaves no tree of empty folders
                if folder == self.root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)

    def list(self, prefix: str) -> Iterator[Stored]:
        prefix = prefix.rstrip("/")
        with _translated(f"list {prefix or 'the storage'}"):
            folder = self._path(prefix) if prefix else self.root
            self._check_contained(folder)
            self._check_present()
            yield from self._walk(folder, prefix)

    def sweep_temporary(self, older_than: datetime) -> int:
        removed = 0
        with _translated("sweep temporary files"), os.scandir(self.root / TEMPORARY) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # its own writer was faster
                    if entry.stat(follow_symlinks=False).st_mtime < older_than.timestamp():
                        Path(entry.path).unlink()
                        removed += 1
        return removed

    def _walk(self, folder: Path, prefix: str) -> Iterator[Stored]:
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except _MISSING:
            return
        for entry in entries:
            key = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.is_dir(follow_symlinks=False):
                if key != TEMPORARY:
                    yield from self._walk(folder / entry.name, key)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield _stored(key, entry.stat(follow_symlinks=False))

    def _sign(self, payload: str) -> str:
        if not self.signing_key:
            raise ValueError("this storage was opened without a signing key")
        message = b"assay upload url 1\0" + payload.encode(errors="replace")
        digest = hmac.new(self.signing_key, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _path(self, key: str) -> Path:
        """Where `key` lies: inside the root, whatever symbolic links there are. Its last segment is never followed."""
        path = self.root / check_key(key)
        self._check_contained(path.parent)
        return path

    def _check_contained(self, folder: Path) -> None:
        if not Path(os.path.realpath(folder)).is_relative_to(self.root):
            raise OSError(errno.ELOOP, f"a symbolic link leads from {folder} out of the storage folder")

    def _check_present(self) -> None:
        """A disk that is not mounted must not look like a storage in which everything is missing."""
        if not (self.root / TEMPORARY).is_dir():
            raise OSError(errno.ENOENT, f"the storage folder {self.root} is gone; is its disk mounted?")

    def _create_temporary(self) -> tuple[Path, int]:
        path = self.root / TEMPORARY / uuid.uuid4().hex
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            self._check_present()
            raise

    def _place(self, temporary: Path, key: str, move: _Move) -> None:
        path = self._path(key)
        for attempt in range(_PLACING_TRIES):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                move(temporary, path)
                break
            except (FileNotFoundError, FileExistsError):  # a delete removed a folder just now, as it was empty
                if attempt + 1 == _PLACING_TRIES:
                    raise
        # Up to the root every time: another process may have made a folder a moment ago and not have synced it yet.
        for folder in path.parents:
            _sync_folder(folder)
            if folder == self.root:
                break


def open_local(root: Path, *, signing_key: bytes, base_url: str) -> LocalStorage:
    """Make the folder if need be, and open it. `Invalid` when it can't serve as one."""
    try:
        real = Path(os.path.realpath(root))
        if not (real / TEMPORARY).is_dir():
            real.mkdir(mode=0o700, parents=True, exist_ok=True)
            (real / TEMPORARY).mkdir(exist_ok=True)
            for folder in (real, real.parent):
                _sync_folder(folder)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Invalid(
            f"The storage folder {root} can't be used: {reason}. Name a folder that this user can write to.",
            code=ErrorCode.INVALID_SETTING,
        ) from error
    return LocalStorage(root=real, signing_key=signing_key, base_url=base_url)
