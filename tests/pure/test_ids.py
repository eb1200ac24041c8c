"""New ids: UUIDs of version 7, which sort by their age; and which texts are ids."""

import time
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest

from assay import ids
from assay.ids import new_id, parse_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    for _ in range(1000):
        made = new_id()
        assert (made.version, made.variant) == (7, RFC_4122)


def test_an_id_says_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id().int >> 80
    assert before <= made <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("step_nanoseconds", [250, 1_000, 999_999, 1_000_000, 10**9, 10**15])
def test_ids_and_their_texts_sort_by_time(monkeypatch: pytest.MonkeyPatch, step_nanoseconds: int) -> None:
    start = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp()) * 10**9
    made = []
    for number in range(50):
        moment = start + number * step_nanoseconds
        monkeypatch.setattr(ids.time, "time_ns", lambda moment=moment: moment)
        made.append(new_id())
    assert made == sorted(made)
    assert [str(each) for each in made] == sorted(str(each) for each in made)


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_767_000_000_000_000_000)
    assert len({new_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("text", ["01976a1b-2c3d-7e4f-8a5b-6c7d8e9f0a1b", "01976A1B-2C3D-7E4F-8A5B-6C7D8E9F0A1B"])
def test_the_usual_form_of_a_uuid_is_an_id(text: str) -> None:
    assert parse_id(text) == UUID(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "not-a-uuid",
        "01976a1b2c3d7e4f8a5b6c7d8e9f0a1b",
        "{01976a1b-2c3d-7e4f-8a5b-6c7d8e9f0a1b}",
        "urn:uuid:01976a1b-2c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "01976a1b-2c3d-7e4f-8a5b-6c7d8e9f0a1b ",
        "01976a1b-2c3d-7e4f-8a5b-6c7d8e9f0a1",
        "01976a1b-2c3d-7e4f-8a5b-6c7d8e9f0a1g",
        "٠1976a1b-2c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "\x00",
    ],
)
def test_anything_else_is_no_id(text: str) -> None:
    assert parse_id(text) is None
