"""Server-sent events of an import, over a real server and a real connection: in order, and no longer than needed."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from assay.db import leases, tokens
from assay.errors import ErrorCode, NotFound, Unavailable
from assay.jobs import Counts
from assay.operations import cancel_import, revoke_token
from assay.web import events, limits
from assay.web.services import Services
from services.callers import AGES, API, Caller, ages_csv, wait_until
from services.in_thread import served
from web.conftest import make_app, make_token
from web.public_shapes import IMPORT_JOB, assert_shape
from web.test_errors import assert_error

TERMINAL = {"complete", "partial", "failed"}


@pytest.fixture
def watcher(services: Services) -> Iterator[Caller]:
    """A caller of a real server without a worker."""
    with served(make_app(services)) as client:
        yield Caller(client, "home", make_token(services.db, workspace_id="home"))


@pytest.fixture
def importing_watcher(busy_services: Services) -> Iterator[Caller]:
    with served(make_app(busy_services)) as client:
        yield Caller(client, "watched", make_token(busy_services.db, workspace_id="watched"))


@dataclass
class Stream:
    """The events of one import, read as they come."""

    answer: httpx.Response
    lines: Iterator[str]

    def next(self) -> dict[str, Any] | None:
        """The next event's job; None at the end of the stream."""
        fields: dict[str, str] = {}
        for line in self.lines:
            if not line and fields:
                assert fields["event"] == "import"
                job: dict[str, Any] = json.loads(fields["data"])
                assert_shape(job, IMPORT_JOB)
                return job
            name, _, text = line.partition(": ")
            if name:
                fields[name] = text
        assert not fields, "the stream ended within an event"
        return None

    def rest(self) -> list[dict[str, Any]]:
        found = []
        while (job := self.next()) is not None:
            found.append(job)
        return found


def watch(caller: Caller, dataset_id: str, import_id: str) -> Any:
    path = f"{API}/datasets/{dataset_id}/imports/{import_id}/events"
    return caller.client.stream("GET", path, headers={"Authorization": f"Token {caller.token}"})


def stream_of(answer: httpx.Response) -> Stream:
    assert answer.status_code == 200
    return Stream(answer, answer.iter_lines())


def test_an_import_is_watched_from_its_url_to_its_end(importing_watcher: Caller) -> None:
    dataset_id = importing_watcher.make_dataset(schema=AGES)
    offer = importing_watcher.ask_for_url(dataset_id)
    with watch(importing_watcher, dataset_id, offer["import_id"]) as answer:
        stream = stream_of(answer)
        first = stream.next()
        assert first is not None
        assert first["status"] == "uninitialised"
        importing_watcher.put(offer, ages_csv(1, 2, "x"))
        seen = stream.rest()
    assert seen[-1] == importing_watcher.job(dataset_id, offer["import_id"])
    # Each one is there, however short its time was between two looks.
    assert list(dict.fromkeys(job["status"] for job in seen)) == ["queued", "processing", "partial"]
    assert [job["status"] in TERMINAL for job in seen] == [False] * (len(seen) - 1) + [True]


def test_progress_is_an_event_and_no_change_is_none(watcher: Caller, services: Services) -> None:
    dataset_id = watcher.make_dataset(schema=AGES)
    import_id = watcher.upload(dataset_id, ages_csv(*range(1, 100)))
    with watch(watcher, dataset_id, import_id) as answer:
        stream = stream_of(answer)
        assert (stream.next() or {})["status"] == "queued"
        lease = wait_until(lambda: claim(services), what="a claim")
        assert (stream.next() or {})["processed_offset"] == 0
        with services.db.write() as tx:
            leases.record_progress(tx, lease, Counts(accepted=3, rejected=1, processed_offset=20))
        shown = stream.next() or {}
        assert (shown["status"], shown["processed_offset"], shown["rejected_seen_count"]) == ("processing", 20, 1)
        cancel_import(services.db, UUID(dataset_id), UUID(import_id))
        rest = stream.rest()
    assert [job["status"] for job in rest] == ["failed"]
    assert rest[0]["reason"] == "Cancelled"


def test_an_import_that_waits_for_a_schema_ends_the_stream_until_it_is_watched_again(watcher: Caller) -> None:
    dataset_id = watcher.make_dataset()
    import_id = watcher.upload(dataset_id, ages_csv(1))
    with watch(watcher, dataset_id, import_id) as answer:
        assert [job["status"] for job in stream_of(answer).rest()] == ["pending_schema"]


def claim(services: Services) -> Any:
    with services.db.write() as tx:
        return leases.claim_next(tx, lease=timedelta(seconds=60), running_limit=10)


def test_an_import_that_has_ended_is_one_event(watcher: Caller, services: Services) -> None:
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    cancel_import(services.db, UUID(dataset_id), UUID(import_id))
    with watch(watcher, dataset_id, import_id) as answer:
        assert [job["status"] for job in stream_of(answer).rest()] == ["failed"]


def test_nothing_on_the_way_may_keep_or_hold_back_events(watcher: Caller, services: Services) -> None:
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    with watch(watcher, dataset_id, import_id) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "content-length" not in answer.headers


def test_revoked_token_ends_the_stream(watcher: Caller, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ASK_AGAIN_SECONDS", 0)
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    with services.db.read() as tx:
        (token,) = tokens.list_tokens(tx)
    with watch(watcher, dataset_id, import_id) as answer:
        stream = stream_of(answer)
        assert (stream.next() or {})["status"] == "uninitialised"
        revoke_token(services.db, token.id)
        assert stream.rest() == []


def test_streams_of_one_token_are_limited(watcher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_STREAMS", 1)
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    with watch(watcher, dataset_id, import_id) as answer:
        stream = stream_of(answer)
        stream.next()
        with watch(watcher, dataset_id, import_id) as refused:
            refused.read()
            assert_error(refused, 429, ErrorCode.RATE_LIMITED)
            assert int(refused.headers["Retry-After"]) >= 1


def test_a_reader_that_goes_away_ends_the_stream(
    watcher: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    looks: list[float] = []
    look = events.look_again
    monkeypatch.setattr(events, "look_again", lambda *given: looks.append(time.monotonic()) or look(*given))
    caplog.set_level(logging.INFO, logger="assay.requests")
    with watch(watcher, dataset_id, import_id) as answer:
        stream = stream_of(answer)
        stream.next()
        wait_until(lambda: len(looks) > 1, what="two looks at the import")
        assert not ended_streams(caplog)
    wait_until(lambda: ended_streams(caplog), what="the end of the request", seconds=10)
    ended_at = time.monotonic()
    time.sleep(3 * events.LOOK_SECONDS)
    assert max(looks) < ended_at, "the import is still looked at"


def ended_streams(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for record in caplog.records if "/events" in (text := record.getMessage())]


@pytest.mark.parametrize("path", ["datasets/nothing/imports/1", "datasets/{dataset_id}/imports/nothing"])
def test_a_fault_before_the_first_event_is_an_ordinary_answer(watcher: Caller, path: str) -> None:
    answer = watcher.get(f"/{path}/events".format(dataset_id=watcher.make_dataset()))
    assert answer.status_code == 404
    assert_error(answer, 404, ErrorCode(answer.json()["error"]["error_code"]))


def test_a_stopping_server_ends_the_stream(watcher: Caller, services: Services) -> None:
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    with watch(watcher, dataset_id, import_id) as answer:
        stream = stream_of(answer)
        stream.next()
        services.is_stopping.set()
        assert stream.rest() == []


def test_a_deleted_import_ends_the_stream(watcher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise NotFound("It is gone.", code=ErrorCode.UNKNOWN_IMPORT)

    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    with watch(watcher, dataset_id, import_id) as answer:
        stream = stream_of(answer)
        stream.next()
        monkeypatch.setattr(events, "look_again", gone)
        assert stream.rest() == []


def test_a_database_that_is_away_for_a_while_does_not_end_the_stream(
    watcher: Caller, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    misses = []

    def away(*_: object) -> None:
        misses.append(1)
        raise Unavailable("No database.", code=ErrorCode.DATABASE_UNAVAILABLE)

    with watch(watcher, dataset_id, import_id) as answer:
        stream = stream_of(answer)
        stream.next()
        with monkeypatch.context() as patched:
            patched.setattr(events, "look_again", away)
            wait_until(lambda: len(misses) > 1, what="two failed looks")
        cancel_import(services.db, UUID(dataset_id), UUID(import_id))
        assert [job["status"] for job in stream.rest()] == ["failed"]


def test_an_idle_stream_is_kept_alive(watcher: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.1)
    dataset_id = watcher.make_dataset()
    import_id = watcher.ask_for_url(dataset_id)["import_id"]
    with watch(watcher, dataset_id, import_id) as answer:
        assert any(line.startswith(":") for line in answer.iter_lines())
