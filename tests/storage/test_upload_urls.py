"""Upload URLs of both kinds: what a holder of one may do, and that nothing else is allowed by it."""

import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from assay.errors import Denied, ErrorCode, Invalid
from assay.storage.base import Storage, open_storage
from assay.storage.local import LocalStorage, UploadGrant, open_local
from assay.storage.s3 import S3Storage, open_s3
from services.seaweedfs import S3Server
from storage.conftest import BASE_URL

CSV = "text/csv"
KEY = "datasets/1/uploads/2/my file é.csv"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def make_token(storage: LocalStorage, *, expires_at: datetime = NOW + HOUR) -> str:
    url = storage.upload_url(KEY, content_type=CSV, expires_at=expires_at, max_bytes=1000)
    assert url.startswith(f"{BASE_URL}/uploads/")
    return url.removeprefix(f"{BASE_URL}/uploads/")


def assert_denied(storage: LocalStorage, token: str, *, code: ErrorCode, now: datetime = NOW) -> None:
    with pytest.raises(Denied) as caught:
        storage.verify_upload(token, now=now)
    assert caught.value.code is code


def test_local_token_gives_back_what_was_granted(local: LocalStorage) -> None:
    token = make_token(local)
    assert token.isascii()
    assert local.verify_upload(token, now=NOW) == UploadGrant(key=KEY, content_type=CSV, max_bytes=1000)
    again = open_local(local.root, signing_key=local.signing_key, base_url="http://other")
    assert again.verify_upload(token, now=NOW).key == KEY


def test_local_token_with_any_letter_altered_is_denied(local: LocalStorage) -> None:
    token = make_token(local)
    for position, letter in enumerate(token):
        altered = token[:position] + ("B" if letter == "A" else "A") + token[position + 1 :]
        assert_denied(local, altered, code=ErrorCode.INVALID_UPLOAD_URL)
    for altered in (token[:-1], token + "A", token + "=", token[1:], token.lower()):
        assert_denied(local, altered, code=ErrorCode.INVALID_UPLOAD_URL)


@pytest.mark.parametrize(
    "token",
    ["", ".", "a", "a.b", "..", "é.😀", "\ud800.\ud800", "W10.", "a." * 10_000],
    ids=lambda text: ascii(text)[:40],
)
def test_local_token_that_is_garbage_is_denied(local: LocalStorage, token: str) -> None:
    assert_denied(local, token, code=ErrorCode.INVALID_UPLOAD_URL)


def test_local_token_of_another_key_is_denied(local: LocalStorage) -> None:
    other = open_local(local.root, signing_key=local.signing_key + b"!", base_url=BASE_URL)
    assert_denied(local, make_token(other), code=ErrorCode.INVALID_UPLOAD_URL)


def test_local_token_ends_with_its_time(local: LocalStorage) -> None:
    token = make_token(local)
    assert local.verify_upload(token, now=NOW + HOUR - timedelta(microseconds=1)).key == KEY
    assert_denied(local, token, code=ErrorCode.EXPIRED_UPLOAD_URL, now=NOW + HOUR)


def test_local_storage_without_a_signing_key_signs_and_verifies_nothing(local: LocalStorage) -> None:
    keyless = open_local(local.root, signing_key=b"", base_url=BASE_URL)
    with pytest.raises(ValueError, match="signing key"):
        make_token(keyless)
    with pytest.raises(ValueError, match="signing key"):
        keyless.verify_upload(make_token(local), now=NOW)


@pytest.fixture
def bucket(s3_url: str) -> Storage:
    return open_storage(s3_url, signing_key=b"", base_url="")


def make_url(storage: Storage, *, seconds: float = 60) -> str:
    expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
    return storage.upload_url(KEY, content_type=CSV, expires_at=expires_at, max_bytes=1000)


def put(url: str, *, content_type: str | None = CSV) -> int:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return httpx.put(url, content=b"a,b\n1,2\n", headers=headers, follow_redirects=False).status_code


def test_presigned_put_stores_the_file(bucket: Storage) -> None:
    assert bucket.stat(KEY) is None
    assert put(make_url(bucket)) == 200
    assert bucket.read_range(KEY, 0, 100) == b"a,b\n1,2\n"
    assert [stored.key for stored in bucket.list("datasets/1")] == [KEY]


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "text/csv; charset=utf-8", "application/x-ndjson"])
def test_presigned_put_of_another_content_type_is_refused(bucket: Storage, content_type: str | None) -> None:
    assert put(make_url(bucket), content_type=content_type) == 403
    assert bucket.stat(KEY) is None


def test_presigned_put_after_its_time_is_refused(bucket: Storage) -> None:
    url = make_url(bucket, seconds=1)
    time.sleep(2.5)
    assert put(url) == 403
    assert bucket.stat(KEY) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/uploads/2/", "/uploads/3/"),
        ("X-Amz-Expires=5", "X-Amz-Expires=6"),
        ("%3Bhost", ""),
        ("X-Amz-Date=2", "X-Amz-Date=1"),
    ],
)
def test_presigned_put_to_an_altered_url_is_refused(bucket: Storage, old: str, new: str) -> None:
    url = make_url(bucket)
    assert old in url
    assert put(url.replace(old, new)) == 403
    assert list(bucket.list("")) == []


def test_presigned_put_signed_by_another_secret_is_refused(s3_server: S3Server, s3_url: str) -> None:
    environment = {**s3_server.environment, "AWS_SECRET_ACCESS_KEY": "another"}
    assert put(make_url(open_s3(s3_url, environment=environment))) == 403


def test_presigned_put_over_an_upload_changes_its_version(bucket: Storage) -> None:
    """S3 can't refuse it, as the header that would do so would have to come from the client."""
    url = make_url(bucket)
    assert put(url) == 200
    first = bucket.stat(KEY)
    assert httpx.put(url, content=b"other", headers={"Content-Type": CSV}).status_code == 200
    second = bucket.stat(KEY)
    assert first is not None
    assert second is not None
    assert first.version != second.version


def open_far_away(**more: str) -> S3Storage:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-west-1"}
    return open_s3("s3://bucket/prefix", environment={**keys, **more})


@pytest.mark.parametrize(
    ("more", "start"),
    [
        ({}, "https://bucket.s3.eu-west-1.amazonaws.com/prefix/datasets/1/"),
        ({"AWS_REGION": "eu-north-1"}, "https://bucket.s3.eu-north-1.amazonaws.com/prefix/"),
        ({"AWS_ENDPOINT_URL": "https://s3.test"}, "https://s3.test/bucket/prefix/datasets/1/"),
        ({"AWS_ENDPOINT_URL": "http://x", "AWS_ENDPOINT_URL_S3": "http://y:9"}, "http://y:9/bucket/prefix/"),
    ],
)
def test_presigned_url_goes_where_the_variables_say(more: dict[str, str], start: str) -> None:
    assert make_url(open_far_away(**more)).startswith(start)


def test_presigned_url_carries_a_session_token() -> None:
    assert "X-Amz-Security-Token=token" in make_url(open_far_away(AWS_SESSION_TOKEN="token"))


def test_presigned_url_lives_seven_days_at_most() -> None:
    week = 7 * 24 * 3600
    assert f"X-Amz-Expires={week}&" in make_url(open_far_away(), seconds=week + 30)
    with pytest.raises(Invalid, match="seven days") as caught:
        make_url(open_far_away(), seconds=week + 3600)
    assert caught.value.code is ErrorCode.INVALID_SETTING
