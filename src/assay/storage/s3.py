"""S3 and what speaks its protocol, as storage. The only module that knows obstore or boto3.

obstore moves the bytes; boto3 signs upload URLs, since only it can bind a content type into one. Each object is written
by one PUT, never in several parts, so a crash leaves nothing behind that the bucket's owner pays for. obstore does not
survive a `fork`: a pool whose children use this must spawn them.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import S3Store

from assay.errors import ErrorCode, Invalid, Unavailable
from assay.storage.base import Stored, check_key, check_range, split_url

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Config
    from typing_extensions import Buffer

# Some seconds of patience: enough for a throttled request or a gateway's restart, short enough for a person who waits.
MAX_RETRIES = 5
RETRY_SECONDS = 60
CONNECT_SECONDS = 5
REQUEST_SECONDS = 300  # a part of some ten megabytes over a slow line
# What is asked of the store without moving bytes is answered soon, or not at all; somebody waits in a thread for it.
QUESTION_SECONDS = 5
QUESTION_RETRY_SECONDS = 8
LIST_PAGE = 1000

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html#PresignedUrl-Expiration
MAX_URL_SECONDS = 7 * 24 * 3600
_CLOCK_SKEW_SECONDS = 60


@dataclass(frozen=True)
class S3Place:
    """Where the objects are, and as whom we ask. Without keys, both libraries look for a role, each in its own way."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)
    session_token: str | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class S3Storage:
    """`Storage` in a bucket, below a prefix. Nothing is asked of the store until a method is called."""

    scan_bytes = 8 * 1024 * 1024  # each request waits for the network

    place: S3Place
    _store: S3Store = field(repr=False)
    _questions: S3Store = field(repr=False)

    def upload_url(self, key: str, *, content_type: str, expires_at: datetime, max_bytes: int) -> str:
        """A presigned PUT can't bind a greatest size, so `max_bytes` is the caller's to check when the file is there.

        S3 takes no URL that lives longer than seven days; one signed by a role's credentials ends with those.
        """
        from botocore.exceptions import BotoCoreError

        seconds = int((expires_at - datetime.now(UTC)).total_seconds())
        if seconds > MAX_URL_SECONDS + _CLOCK_SKEW_SECONDS:
            raise Invalid("An upload URL on S3 can't live longer than seven days.", code=ErrorCode.INVALID_SETTING)
        parameters = {"Bucket": self.place.bucket, "Key": self._full_key(key), "ContentType": content_type}
        try:
            url: str = self._signer.generate_presigned_url(
                "put_object", Params=parameters, ExpiresIn=min(max(seconds, 1), MAX_URL_SECONDS), HttpMethod="PUT"
            )
        except BotoCoreError as error:
            raise Unavailable(f"Can't sign an upload URL: {error}", code=ErrorCode.STORAGE_UNAVAILABLE) from error
        return url

    def stat(self, key: str) -> Stored | None:
        check_key(key)
        with self._translated(f"look up {key}"):
            try:
                return _stored(obstore.head(self._questions, key))
            except FileNotFoundError:
                # The answer to HEAD has no body, so a missing bucket looks the same.
                if self._has_bucket:
                    return None
                raise

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        check_key(key)
        check_range(offset, length)
        if length == 0:
            return b""
        with self._translated(f"read {key}"):
            try:
                return obstore.get_range(self._store, key, start=offset, length=length).to_bytes()
            except GenericError as error:
                # What S3 answers where a range starts at or past the end; obstore has no error of its own for it.
                if "status code: 416" in str(error):
                    return b""
                raise

    def put(self, key: str, data: Buffer) -> None:
        check_key(key)
        with self._translated(f"write {key}"):
            obstore.put(self._store, key, memoryview(data).cast("B"), use_multipart=False)

    def delete(self, key: str) -> None:
        check_key(key)
        with self._translated(f"delete {key}"):
            obstore.delete(self._store, key)

    def delete_many(self, keys: Sequence[str]) -> None:
        """A request for each thousand; one that is refused names its key in the error's cause."""
        for key in keys:
            check_key(key)
        with self._translated(f"delete {len(keys)} files"):
            obstore.delete(self._store, [*keys])

    def list(self, prefix: str) -> Iterator[Stored]:
        prefix = prefix.rstrip("/")
        if prefix:
            check_key(prefix)
        with self._translated(f"list {prefix or 'the storage'}"):
            for page in obstore.list(self._questions, prefix or None, chunk_size=LIST_PAGE):
                yield from map(_stored, page)

    def sweep_temporary(self, older_than: datetime) -> int:
        """Nothing to sweep: an unfinished PUT leaves nothing in the bucket."""
        return 0

    @cached_property
    def _has_bucket(self) -> bool:
        """True or an error; asked once."""
        next(iter(obstore.list(self._questions, "readiness", chunk_size=1)), None)
        return True

    @cached_property
    def _signer(self) -> Any:
        """boto3's client, made at the first upload URL: it takes half a second, and pool children never need it."""
        import boto3
        from botocore.config import Config

        place = self.place
        config = Config(
            signature_version="s3v4",
            # "virtual" puts the region into the host; the global host redirects, which breaks the signature.
            s3={"addressing_style": "path" if place.endpoint else "virtual"},
            request_checksum_calculation="when_required",  # a client knows of no header but the content type
            ignore_configured_endpoint_urls=True,  # obstore reads no ~/.aws/config, and both must mean the same store
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=place.endpoint,
            region_name=place.region,
            aws_access_key_id=place.access_key_id,
            aws_secret_access_key=place.secret_access_key,
            aws_session_token=place.session_token,
            config=config,
        )

    def _full_key(self, key: str) -> str:
        return f"{self.place.prefix}/{check_key(key)}" if self.place.prefix else check_key(key)

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            where = f"bucket {self.place.bucket!r} at {self.place.endpoint or 'AWS ' + self.place.region}"
            raise Unavailable(
                f"Can't {action}: {_reason(error)} ({where}).", code=ErrorCode.STORAGE_UNAVAILABLE
            ) from error


def _reason(error: Exception) -> str:
    """obstore's texts are pages long and have the store's answer somewhere in them; they stay readable as the cause."""
    text = str(error)
    answer = re.search(r"<Code>(\w+)</Code>", text) or re.search(r"status code: (\d{3} [A-Za-z ]+)", text)
    return f"the object store answered {answer[1]}" if answer else "the object store can't be reached"


def _stored(meta: ObjectMeta) -> Stored:
    version = meta["e_tag"] or f"{meta['last_modified'].isoformat()}-{meta['size']}"
    return Stored(key=meta["path"], size_bytes=meta["size"], modified_at=meta["last_modified"], version=version)


def _read_place(url: str, environment: Mapping[str, str]) -> S3Place:
    parts = split_url(url)
    prefix = parts.path.strip("/")
    try:
        is_understood = bool(parts.netloc) and not (parts.query or parts.fragment) and (not prefix or check_key(prefix))
    except ValueError:
        is_understood = False
    if not is_understood:
        raise Invalid(
            f"Storage URL {url!r} is not understood: write s3://bucket or s3://bucket/prefix.",
            code=ErrorCode.INVALID_SETTING,
        )
    place = S3Place(
        bucket=parts.netloc,
        prefix=prefix,
        endpoint=environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None,
        region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
        access_key_id=environment.get("AWS_ACCESS_KEY_ID") or None,
        secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY") or None,
        session_token=environment.get("AWS_SESSION_TOKEN") or None,
    )
    if (place.access_key_id is None) != (place.secret_access_key is None):
        raise Invalid(
            "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither.", code=ErrorCode.INVALID_SETTING
        )
    return place


def open_s3(url: str, *, environment: Mapping[str, str]) -> S3Storage:
    """Open `s3://bucket/prefix` by the usual AWS variables in `environment`. `Invalid` when those can't be meant."""
    if importlib.util.find_spec("boto3") is None:
        message = "S3 storage needs a package that is not installed: install Assay with its extra 's3'."
        raise Invalid(message, code=ErrorCode.MISSING_PACKAGE)
    place = _read_place(url, environment)
    try:
        store = _open_store(place, request_seconds=REQUEST_SECONDS, retry_seconds=RETRY_SECONDS)
        questions = _open_store(place, request_seconds=QUESTION_SECONDS, retry_seconds=QUESTION_RETRY_SECONDS)
    except (BaseError, ValueError) as error:
        raise Invalid(
            f"The S3 storage {url} can't be opened: {str(error).splitlines()[0]}", code=ErrorCode.INVALID_SETTING
        ) from error
    return S3Storage(place, store, questions)


def _open_store(place: S3Place, *, request_seconds: float, retry_seconds: float) -> S3Store:
    config: S3Config = {"region": place.region}
    if place.endpoint:
        config["endpoint"] = place.endpoint
    if place.access_key_id and place.secret_access_key:
        config["access_key_id"] = place.access_key_id
        config["secret_access_key"] = place.secret_access_key
    if place.session_token:
        config["session_token"] = place.session_token
    return S3Store(
        place.bucket,
        prefix=place.prefix or None,
        config=config,
        client_options={
            "allow_http": (place.endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=request_seconds),
        },
        retry_config={"max_retries": MAX_RETRIES, "retry_timeout": timedelta(seconds=retry_seconds)},
    )
