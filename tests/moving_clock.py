"""A clock for tests: injected where the service would ask the database for the time."""

from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that stands still until a test moves it, or goes on by `step` whenever it is asked."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.step = timedelta(0)

    def __call__(self) -> datetime:
        self.time += self.step
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
