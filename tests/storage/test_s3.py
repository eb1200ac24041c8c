"""What S3 storage says when the bucket, the keys, the URL or the package is not right."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from assay.errors import ErrorCode, Invalid, Unavailable
from assay.storage import s3
from assay.storage.base import Storage, open_storage
from assay.storage.s3 import S3Storage, open_s3
from services.seaweedfs import S3Server, make_client
from storage.test_contract import EVERY_METHOD

METHODS = [*EVERY_METHOD, lambda storage, key: list(storage.list(key))]


def open_server(server: S3Server, url: str, **more: str) -> S3Storage:
    return open_s3(url, environment={**server.environment, **more})


@pytest.mark.parametrize("method", METHODS)
def test_missing_bucket_is_unavailable(s3_server: S3Server, method: Callable[[Storage, str], object]) -> None:
    with pytest.raises(Unavailable, match=r"(NoSuchBucket|404 Not Found) \(bucket 'no-such-bucket' at http://"):
        method(open_server(s3_server, "s3://no-such-bucket"), "a")


@pytest.mark.parametrize("method", METHODS)
def test_wrong_secret_is_unavailable(s3_server: S3Server, method: Callable[[Storage, str], object]) -> None:
    storage = open_server(s3_server, f"s3://{s3_server.bucket}", AWS_SECRET_ACCESS_KEY="wrong secret")
    with pytest.raises(Unavailable, match=r"SignatureDoesNotMatch|403 Forbidden") as caught:
        method(storage, "a")
    assert "wrong secret" not in f"{caught.value} {caught.value.__cause__} {storage!r}"


def test_prefix_keeps_two_storages_of_a_bucket_apart(s3_server: S3Server) -> None:
    first, second, whole = (
        open_server(s3_server, f"s3://{s3_server.bucket}{prefix}") for prefix in ("/apart/1", "/apart/2/", "")
    )
    first.put("a", b"1")
    second.put("a", b"2")
    assert [stored.key for stored in first.list("")] == ["a"]
    assert second.read_range("a", 0, 1) == b"2"
    assert sorted(stored.key for stored in whole.list("apart")) == ["apart/1/a", "apart/2/a"]
    assert make_client(s3_server).get_object(Bucket=s3_server.bucket, Key="apart/1/a")["Body"].read() == b"1"


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:", "s3:bucket", "s3:///prefix", "s3://bucket/a//b", "s3://bucket/../a", "s3://b/a?b", "s3://b/a#b"],
)
def test_url_that_is_not_understood_is_an_invalid_setting(url: str) -> None:
    with pytest.raises(Invalid, match="s3://bucket/prefix") as caught:
        open_storage(url, signing_key=b"", base_url="")
    assert caught.value.code is ErrorCode.INVALID_SETTING


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_keys_is_an_invalid_setting(name: str) -> None:
    with pytest.raises(Invalid, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") as caught:
        open_s3("s3://bucket", environment={name: "a"})
    assert caught.value.code is ErrorCode.INVALID_SETTING


def test_missing_package_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(Invalid, match="extra 's3'") as caught:
        open_storage("s3://bucket", signing_key=b"", base_url="")
    assert caught.value.code is ErrorCode.MISSING_PACKAGE


def test_local_storage_loads_no_s3_library() -> None:
    code = (
        "import sys, assay.storage.base, assay.storage.local;"
        "sys.exit(bool({'obstore', 'boto3', 'botocore'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_opening_s3_does_not_load_boto3() -> None:
    code = (
        "import sys, assay.storage.s3 as s3; s3.open_s3('s3://bucket', environment={});"
        "sys.exit(bool({'boto3', 'botocore'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("ask", [lambda storage: storage.stat("a"), lambda storage: list(storage.list("a"))])
def test_store_that_never_answers_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[S3Storage], object]
) -> None:
    """It takes the connection, as a store does whose disk hangs."""
    monkeypatch.setattr(s3, "QUESTION_SECONDS", 0.5)
    monkeypatch.setattr(s3, "QUESTION_RETRY_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        storage = open_s3("s3://bucket", environment=environment)
        started = time.monotonic()
        with pytest.raises(Unavailable, match="can't be reached"):
            ask(storage)
        assert time.monotonic() - started < 10
