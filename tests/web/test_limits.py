"""How often a token may call: counted over a sliding minute, told with the time to wait, each token by itself."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from assay.errors import ErrorCode
from assay.web.limits import MOST_STREAMS, LongWork, OpenStreams, RateLimiter, RateLimitExceeded
from assay.web.services import Services
from services.callers import Caller
from services.in_process import client_of
from web.conftest import make_app, make_token
from web.test_errors import assert_error

LIMIT = 3


@pytest.fixture
def limited(services: Services) -> Iterator[Caller]:
    """A caller of a service that takes few requests a minute."""
    few = replace(services, settings=replace(services.settings, rate_limit_per_minute=LIMIT))
    with client_of(make_app(few)) as client:
        yield Caller(client, "home", make_token(services.db, workspace_id="home"))


@pytest.fixture
def minute(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The limiter's time, to be moved; whole minutes, since its windows begin there."""
    now = [60_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


def test_calls_above_the_limit_have_to_wait(minute: list[float]) -> None:
    limiter = RateLimiter(LIMIT)
    for _ in range(LIMIT):
        limiter.count("a")
    with pytest.raises(RateLimitExceeded) as refused:
        limiter.count("a")
    assert 1 <= refused.value.retry_after_seconds <= 60
    assert refused.value.retryable


def test_a_caller_that_waits_as_told_is_served_again(minute: list[float]) -> None:
    limiter = RateLimiter(LIMIT)
    minute[0] += 13.5
    for _ in range(LIMIT):
        limiter.count("a")
    with pytest.raises(RateLimitExceeded) as refused:
        limiter.count("a")
    minute[0] += refused.value.retry_after_seconds
    limiter.count("a")


def test_each_caller_has_its_own_minute(minute: list[float]) -> None:
    limiter = RateLimiter(1)
    limiter.count("a")
    limiter.count("b")
    with pytest.raises(RateLimitExceeded):
        limiter.count("a")


def test_zero_sets_no_limit() -> None:
    limiter = RateLimiter(0)
    for _ in range(1000):
        limiter.count("a")


def test_too_many_requests_are_a_429_with_retry_after(limited: Caller) -> None:
    answers = [limited.get("/datasets") for _ in range(2 * LIMIT + 2)]
    refused = answers[-1]
    detail = assert_error(refused, 429, ErrorCode.RATE_LIMITED)
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["Retry-After"] in detail
    assert [answer.status_code for answer in answers[:LIMIT]] == [200] * LIMIT


def test_other_tokens_and_open_routes_are_served_meanwhile(limited: Caller, services: Services) -> None:
    for _ in range(2 * LIMIT + 2):
        limited.get("/datasets")
    other = Caller(limited.client, "home", make_token(services.db, workspace_id="home"))
    assert other.get("/datasets").status_code == 200
    assert limited.client.get("/healthz").status_code == 200


def test_streams_of_one_caller_are_limited_and_of_others_are_not() -> None:
    streams = OpenStreams()
    with ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            stack.enter_context(streams.one_more("a"))
        with pytest.raises(RateLimitExceeded):
            streams.check("a")
        streams.check("b")
        stack.enter_context(streams.one_more("b"))
        assert streams.count == MOST_STREAMS + 1
    assert streams.count == 0
    streams.check("a")


def test_long_work_of_one_workspace_leaves_threads_to_the_others() -> None:
    at_work: set[str] = set()
    most = 0
    may_end = threading.Event()

    def work(name: str) -> Callable[[], str]:
        def run() -> str:
            nonlocal most
            at_work.add(name)
            most = max(most, sum(name.startswith("greedy") for name in at_work))
            assert may_end.wait(20)
            at_work.remove(name)
            return name

        return run

    async def all_of_it() -> list[str]:
        long_work = LongWork()
        greedy = [asyncio.create_task(long_work.run("greedy", work(f"greedy {number}"))) for number in range(20)]
        await asyncio.sleep(0.05)
        modest = asyncio.create_task(long_work.run("modest", work("modest")))
        while "modest" not in at_work:
            await asyncio.sleep(0.01)
        may_end.set()
        return await asyncio.gather(*greedy, modest)

    done = asyncio.run(asyncio.wait_for(all_of_it(), 20))
    assert len(done) == 21
    assert most == 1


def test_every_route_with_a_token_describes_the_limit(caller: Caller) -> None:
    document: dict[str, Any] = caller.client.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert ("429" in operation["responses"]) == ("security" in operation), (method, path)
            if "security" in operation:
                assert "Retry-After" in operation["responses"]["429"]["headers"], (method, path)
