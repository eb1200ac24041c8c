"""What every kind of storage promises; each test runs on a local directory and on a real S3 server."""

import array
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from assay.errors import ErrorCode, Unavailable
from assay.storage.base import Storage, check_storage, open_storage

MEBIBYTE = 1024 * 1024
HOSTILE_KEYS = [
    *["", "/", "/etc/passwd", "a//b", "a/", "/a", ".", "..", "../a", "a/../b", "a/..", "a/./b"],
    *["a\\b", "..\\a", "a\0b", "a\nb", "a\x7fb", "\ud800", "x" * 256, "é" * 128, "/".join(["x" * 100] * 10)],
    *["tmp", "tmp/a"],
]
ODD_KEYS = [
    *[
        "a/with space.csv",
        "a/é ü 名前.jsonl",
        "a/😀.csv",
        "a/100%25 #1?&=+;.csv",
        "a/'\"<>|*~{}[]^`!$(),:@",
        "a/...",
        "a/.a",
    ],
    *["tmpx/a", "a/tmp/b", "a/" + "x" * 255],
]
EVERY_METHOD: list[Callable[[Storage, str], object]] = [
    lambda storage, key: storage.stat(key),
    lambda storage, key: storage.read_range(key, 0, 1),
    lambda storage, key: storage.put(key, b"x"),
    lambda storage, key: storage.delete(key),
    lambda storage, key: storage.delete_many([key]),
]


def keys_below(storage: Storage, prefix: str) -> list[str]:
    return sorted(stored.key for stored in storage.list(prefix))


def test_what_is_put_is_there(storage: Storage) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    storage.put("datasets/1/a.csv", b"hello")
    stored = storage.stat("datasets/1/a.csv")
    assert stored is not None
    assert (stored.key, stored.size_bytes) == ("datasets/1/a.csv", 5)
    assert before < stored.modified_at < datetime.now(UTC) + timedelta(seconds=2)
    assert storage.read_range("datasets/1/a.csv", 0, 5) == b"hello"


@pytest.mark.parametrize(
    "data", [b"12345678", bytearray(b"12345678"), memoryview(b"0123456789")[1:9], array.array("Q", b"12345678")]
)
def test_any_buffer_can_be_put(storage: Storage, data: bytes) -> None:
    storage.put("a", data)
    assert storage.read_range("a", 0, 100) == b"12345678"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 10, b"0123456789"),
        (0, 1, b"0"),
        (3, 4, b"3456"),
        (9, 1, b"9"),
        (8, 5, b"89"),
        (0, 1000, b"0123456789"),
        (10, 1, b""),
        (11, 5, b""),
        (10**12, 5, b""),
        (4, 0, b""),
        (10, 0, b""),
    ],
)
def test_range_is_cut_at_the_end(storage: Storage, offset: int, length: int, expected: bytes) -> None:
    storage.put("a", b"0123456789")
    assert storage.read_range("a", offset, length) == expected


def test_empty_object_has_no_bytes(storage: Storage) -> None:
    storage.put("a", b"")
    stored = storage.stat("a")
    assert stored is not None
    assert stored.size_bytes == 0
    assert storage.read_range("a", 0, 10) == b""


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_negative_range_is_a_bug(storage: Storage, offset: int, length: int) -> None:
    storage.put("a", b"0123456789")
    with pytest.raises(ValueError, match="range"):
        storage.read_range("a", offset, length)


def test_missing_object_is_none_but_reading_it_fails(storage: Storage) -> None:
    storage.put("a/b", b"x")
    for key in ("none", "none/none", "a", "a/c"):
        assert storage.stat(key) is None
        with pytest.raises(Unavailable, match=key):
            storage.read_range(key, 0, 1)


def test_put_replaces_and_the_version_tells(storage: Storage) -> None:
    storage.put("a", b"old and long")
    old = storage.stat("a")
    storage.put("a", b"new")
    new = storage.stat("a")
    assert old is not None
    assert new is not None
    assert storage.read_range("a", 0, 100) == b"new"
    assert new.version != old.version
    assert [stored.version for stored in storage.list("")] == [new.version]


def test_reader_sees_old_or_new_never_a_part(storage: Storage) -> None:
    bodies = [bytes([letter]) * (MEBIBYTE + letter) for letter in range(8)]
    storage.put("a", bodies[0])

    def write_often() -> None:
        for body in bodies * 3:
            storage.put("a", body)

    with ThreadPoolExecutor(1) as pool:
        writes = pool.submit(write_often)
        while not writes.done():
            assert storage.read_range("a", 0, 2 * MEBIBYTE) in bodies
        writes.result()


def test_big_object_is_read_in_ranges(storage: Storage) -> None:
    block = bytes(range(256)) * 4096
    data = b"".join(block[shift:] + block[:shift] for shift in range(64))
    storage.put("big", data)
    stored = storage.stat("big")
    assert stored is not None
    assert stored.size_bytes == len(data) == 64 * MEBIBYTE
    assert storage.read_range("big", 0, len(data)) == data
    for offset in (0, 5 * MEBIBYTE - 7, 63 * MEBIBYTE):
        assert storage.read_range("big", offset, 3 * MEBIBYTE) == data[offset : offset + 3 * MEBIBYTE]


def test_delete_removes_that_object_only(storage: Storage) -> None:
    for key in ("a/b/1", "a/b/2", "a/bc/1"):
        storage.put(key, b"x")
    storage.delete("a/b/1")
    assert storage.stat("a/b/1") is None
    assert keys_below(storage, "") == ["a/b/2", "a/bc/1"]


def test_deleting_what_is_missing_is_fine(storage: Storage) -> None:
    storage.delete("none")
    storage.delete("none/none")
    storage.put("a", b"x")
    storage.delete("a")
    storage.delete("a")


def test_delete_of_many_removes_those_only(storage: Storage) -> None:
    for number in range(5):
        storage.put(f"a/with space é+&<{number}>", b"1")
    storage.delete_many(["none", *(f"a/with space é+&<{number}>" for number in range(4))])
    storage.delete_many([])
    assert keys_below(storage, "") == ["a/with space é+&<4>"]


def test_key_is_free_again_after_a_delete(storage: Storage) -> None:
    storage.put("a/b/c", b"x")
    storage.delete("a/b/c")
    storage.put("a/b", b"now an object, before a folder")
    assert keys_below(storage, "") == ["a/b"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["a/b/1", "a/b/c/2", "a/bc/3", "ab/4", "top"]),
        ("a", ["a/b/1", "a/b/c/2", "a/bc/3"]),
        ("a/b", ["a/b/1", "a/b/c/2"]),
        ("a/b/", ["a/b/1", "a/b/c/2"]),
        ("a/b/c", ["a/b/c/2"]),
        ("top", []),
        ("none", []),
        ("a/b/1/none", []),
    ],
)
def test_list_takes_whole_segments(storage: Storage, prefix: str, expected: list[str]) -> None:
    for key in ("a/b/1", "a/b/c/2", "a/bc/3", "ab/4", "top"):
        storage.put(key, key.encode())
    assert keys_below(storage, prefix) == expected
    assert all(stored.size_bytes == len(stored.key) for stored in storage.list(prefix))


def test_list_has_every_page(storage: Storage) -> None:
    keys = [f"many/{number:04}" for number in range(1050)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: storage.put(key, b""), keys))
    assert keys_below(storage, "many") == keys


def test_objects_can_be_deleted_while_listed(storage: Storage) -> None:
    for number in range(20):
        storage.put(f"a/{number % 4}/{number}", b"x")
    for stored in storage.list("a"):
        storage.delete(stored.key)
    assert keys_below(storage, "") == []


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_hostile_key_is_refused(storage: Storage, key: str) -> None:
    for method in EVERY_METHOD:
        with pytest.raises(ValueError, match=r"key|surrogates"):
            method(storage, key)
    with pytest.raises(ValueError, match=r"key|surrogates"):
        storage.upload_url(key, content_type="text/csv", expires_at=datetime.now(UTC), max_bytes=1)


@pytest.mark.parametrize("prefix", ["..", "a/../..", "a//b", "tmp", "a\0"])
def test_hostile_prefix_is_refused(storage: Storage, prefix: str) -> None:
    with pytest.raises(ValueError, match="key"):
        list(storage.list(prefix))


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_key_is_kept_as_it_is(storage: Storage, key: str) -> None:
    storage.put(key, b"x")
    stored = storage.stat(key)
    assert stored is not None
    assert stored.key == key
    assert storage.read_range(key, 0, 1) == b"x"
    assert keys_below(storage, "") == [key]
    storage.delete(key)
    assert keys_below(storage, "") == []


def test_sweep_of_leftovers_spares_objects(storage: Storage) -> None:
    storage.put("a", b"x")
    assert storage.sweep_temporary(datetime.now(UTC) + timedelta(days=1)) == 0
    assert keys_below(storage, "") == ["a"]


def test_present_store_passes_its_check(storage: Storage) -> None:
    check_storage(storage)


@pytest.mark.parametrize("method", [*EVERY_METHOD, lambda storage, key: list(storage.list(key))])
def test_unreachable_store_is_unavailable(unreachable: Storage, method: Callable[[Storage, str], object]) -> None:
    with pytest.raises(Unavailable) as caught:
        method(unreachable, "a/b")
    assert caught.value.code is ErrorCode.STORAGE_UNAVAILABLE
    assert caught.value.__cause__ is not None
    with pytest.raises(Unavailable):
        check_storage(unreachable)


def read_elsewhere(url: str) -> bytes:
    return open_storage(url, signing_key=b"", base_url="").read_range("a", 0, 100)


def test_pool_child_reopens_it_by_its_url(storage: Storage, storage_url: str) -> None:
    storage.put("a", b"from the parent")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(read_elsewhere, storage_url).result() == b"from the parent"
