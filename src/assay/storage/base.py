"""Bytes by key: the one interface to wherever uploads and parts lie, and its registry by URL scheme.

Keys are ours, made of ids and safe names, so a malformed one is a bug (`ValueError`), not a caller's fault. Nothing
here knows what a dataset or a job is. A new kind of storage is one module, one row in `STORAGES`, and one parameter of
the contract tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from assay.errors import ErrorCode, Invalid

if TYPE_CHECKING:
    from typing_extensions import Buffer  # `collections.abc.Buffer` came with Python 3.12

MAX_KEY_BYTES = 900  # S3 takes 1,024 with the bucket's prefix
MAX_SEGMENT_BYTES = 255  # what the usual file systems take
TEMPORARY = "tmp"  # the first segment that no key may have: unfinished files lie there


@dataclass(frozen=True)
class Stored:
    """An object as it is now. `version` changes when the bytes are replaced: equal versions mean equal bytes."""

    key: str
    size_bytes: int
    modified_at: datetime
    version: str


class Storage(Protocol):
    """Any method raises `Unavailable` when the store can't be reached, is full, or refuses us.

    Methods may be called from several threads at once. No key may be the folder of another (`a` and `a/b`).
    """

    scan_bytes: int
    """How much to ask for at a time when an object is read from its beginning to its end."""

    def upload_url(self, key: str, *, content_type: str, expires_at: datetime, max_bytes: int) -> str:
        """An absolute URL that takes one PUT of exactly `content_type` until `expires_at`, from whoever holds it.

        S3 can't bind `max_bytes`, nor keep a URL from being used twice before it expires: whoever acts on an upload
        checks `size_bytes` with `stat`, keeps `version`, and sees by another `version` that the file was replaced.
        """
        ...

    def stat(self, key: str) -> Stored | None:
        """None when there is no such object; an unreachable store is never taken for a missing object."""
        ...

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Fewer bytes than `length` only where the object ends, none at and past its end.

        A missing object is `Unavailable`, not `NotFound`: keys come from the database, so no caller named it wrongly,
        and what deletes objects (a dataset's deletion, a sweep) makes a new try from the database the right answer.
        """
        ...

    def put(self, key: str, data: Buffer) -> None:
        """Write or replace; durable when it returns. A reader sees the old bytes or the new ones, never a part."""
        ...

    def delete(self, key: str) -> None:
        """Deleting what is not there is fine."""
        ...

    def delete_many(self, keys: Sequence[str]) -> None:
        """The same for all of them, with few requests. Where it fails some of them may be gone: ask for all again."""
        ...

    def list(self, prefix: str) -> Iterator[Stored]:
        """All objects below `prefix`, which is whole segments (`a/b` has `a/b/c`, not `a/bc`) or "" for all.

        Lazy, in no promised order; objects that come or go while it runs may or may not be seen.
        """
        ...

    def sweep_temporary(self, older_than: datetime) -> int:
        """Remove what crashed writes left behind and nobody has touched since `older_than`; how many there were."""
        ...


def check_storage(storage: Storage) -> None:
    """Raise `Unavailable` unless the store answers; one cheap question, for readiness probes."""
    next(storage.list("readiness"), None)


def check_key(key: str) -> str:
    """The key itself, or `ValueError` for one that a file system could refuse or read as something else."""
    segments = key.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(f"storage key {key!r} has an empty, '.' or '..' segment")
    if "\\" in key or any(ord(letter) < 32 or ord(letter) == 127 for letter in key):
        raise ValueError(f"storage key {key!r} has a backslash or a control character")
    if segments[0] == TEMPORARY:
        raise ValueError(f"storage key {key!r} starts with {TEMPORARY!r}, which is kept for unfinished files")
    if max(len(segment.encode()) for segment in segments) > MAX_SEGMENT_BYTES or len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"storage key {key!r} is too long")
    return key


def check_range(offset: int, length: int) -> None:
    if offset < 0 or length < 0:
        raise ValueError(f"a range of {length} bytes from {offset} makes no sense")


@dataclass(frozen=True)
class StorageOptions:
    """What some kind of storage needs besides its URL."""

    signing_key: bytes
    base_url: str
    environment: Mapping[str, str]


def split_url(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Invalid(f"Storage URL {url!r} is not a URL: {error}.", code=ErrorCode.INVALID_SETTING) from error


def _open_local(url: str, options: StorageOptions) -> Storage:
    from assay.storage.local import open_local

    parts = split_url(url)
    is_foreign = parts.netloc not in ("", "localhost") or not parts.path.startswith("/")
    if parts.scheme and (is_foreign or parts.query or parts.fragment):
        raise Invalid(
            f"Storage URL {url!r} is not understood: write file:///absolute/folder, or a plain path.",
            code=ErrorCode.INVALID_SETTING,
        )
    root = Path(unquote(parts.path) if parts.scheme else url)
    return open_local(root, signing_key=options.signing_key, base_url=options.base_url)


def _open_s3(url: str, options: StorageOptions) -> Storage:
    from assay.storage.s3 import open_s3

    return open_s3(url, environment=options.environment)


STORAGES: dict[str, Callable[[str, StorageOptions], Storage]] = {
    "": _open_local,
    "file": _open_local,
    "s3": _open_s3,
}


def open_storage(url: str, *, signing_key: bytes, base_url: str) -> Storage:
    """Open by `file:///folder`, a plain path, or `s3://bucket/prefix`; cheap: pool children reopen by these arguments.

    `signing_key` and `base_url` make the upload URLs of a local directory; who only reads and writes may leave them
    empty. This is the one place outside the settings that reads the environment: the AWS variables are not ours but a
    convention that every tool on a machine shares, and the worker of another machine has its own credentials there.
    """
    scheme = url.partition(":")[0] if "://" in url or url.startswith(("file:", "s3:")) else ""
    if scheme not in STORAGES:
        known = ", ".join(f"{name}://" for name in STORAGES if name)
        raise Invalid(
            f"Storage URL {url!r} has an unknown scheme: use {known} or a plain path.", code=ErrorCode.INVALID_SETTING
        )
    if not url:
        raise Invalid("The storage URL is empty: give a folder or s3://bucket/prefix.", code=ErrorCode.INVALID_SETTING)
    return STORAGES[scheme](url, StorageOptions(signing_key=signing_key, base_url=base_url, environment=os.environ))
