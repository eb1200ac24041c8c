"""How a line of the log is written, and what it is told with besides its text: the request or the job it belongs to."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_noted: ContextVar[dict[str, object] | None] = ContextVar("_noted", default=None)
_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
MOST_CAUSE_CHARACTERS = 500  # an object store's client tells pages, and what counts at their beginning


def with_cause(error: Exception) -> str:
    """In one line, for what is no fault of the service: the error, and what came first. Of a value that could not be
    read only that: it may be a record's."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is error:
        return str(error)
    words = "" if isinstance(cause, ValueError) else f": {' '.join(str(cause).split())[:MOST_CAUSE_CHARACTERS]}"
    return f"{error} Cause: {type(cause).__name__}{words}"


@contextmanager
def telling_of(**fields: object) -> Iterator[None]:
    """Every line that is logged in this block, and in threads that take its context with them, has these fields."""
    before = _noted.set({**(_noted.get() or {}), **fields})
    try:
        yield
    finally:
        _noted.reset(before)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What a line is told with: what its block noted, and what the call gave as `extra`."""
    given = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    return {**(_noted.get() or {}), **given}


class TextFormatter(logging.Formatter):
    """Lines for people. The ids follow the text, unless the text names them itself."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        ids = {name: str(value) for name, value in fields_of(record).items() if name.endswith("_id")}
        return line + "".join(f" {name}={value}" for name, value in ids.items() if value not in record.message)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no terminal or collector can break it."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in fields_of(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
