"""Lines of the log, in both formats: whole, one line each, and told with the ids they belong to."""

import json
import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from assay.errors import ErrorCode, Unavailable
from assay.log import JsonFormatter, TextFormatter, telling_of, with_cause

Made = list[str]


class Keeper(logging.Handler):
    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> logging.Logger:
    found = logging.getLogger("assay.test_log")
    found.setLevel(logging.INFO)
    found.propagate = False
    return found


@pytest.fixture
def texts(log: logging.Logger) -> Iterator[Made]:
    keeper = Keeper(TextFormatter())
    log.addHandler(keeper)
    yield keeper.lines
    log.removeHandler(keeper)


@pytest.fixture
def objects(log: logging.Logger) -> Iterator[Made]:
    keeper = Keeper(JsonFormatter())
    log.addHandler(keeper)
    yield keeper.lines
    log.removeHandler(keeper)


def test_json_line_has_time_level_logger_and_message(log: logging.Logger, objects: Made) -> None:
    log.warning("%d things", 3)
    line = json.loads(objects[0])
    assert list(line) == ["time", "level", "logger", "message"]
    assert (line["level"], line["logger"], line["message"]) == ("warning", "assay.test_log", "3 things")
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2026-01-02T03:04:05.678Z")


def test_extra_fields_and_those_of_the_block_are_in_the_line(log: logging.Logger, objects: Made) -> None:
    with telling_of(request_id="r1"), telling_of(job_id="j1"):
        log.info("within", extra={"attempt": 2})
    log.info("after")
    within, after = map(json.loads, objects)
    assert {name: within[name] for name in ("request_id", "job_id", "attempt")} == {
        "request_id": "r1",
        "job_id": "j1",
        "attempt": 2,
    }
    assert "request_id" not in after


def test_no_extra_field_takes_the_place_of_a_plain_one(log: logging.Logger, objects: Made) -> None:
    log.info("true", extra={"level": "forged", "time": "never"})
    assert json.loads(objects[0])["level"] == "info"
    assert json.loads(objects[0])["time"] != "never"


@pytest.mark.parametrize("text", ["two\nlines", "a\r\u2028b", "\x1b[31mred", "nul\x00", "😀"], ids=ascii)
def test_json_line_stays_one_line_of_ascii(log: logging.Logger, objects: Made, text: str) -> None:
    log.info("%s", text)
    assert objects[0].isascii()
    assert len(objects[0].splitlines()) == 1
    assert json.loads(objects[0])["message"] == text


def test_lone_surrogate_is_written_as_its_escape() -> None:
    # Not by way of a parameter: the processes that run the tests tell one another of them in UTF-8.
    line = JsonFormatter().format(logging.makeLogRecord({"msg": chr(0xD800)}))
    assert line.isascii()
    assert json.loads(line)["message"] == chr(0xD800)


def test_traceback_is_a_field(log: logging.Logger, objects: Made) -> None:
    try:
        raise ValueError("the cause")
    except ValueError:
        log.exception("it failed")
    line = json.loads(objects[0])
    assert line["message"] == "it failed"
    assert "ValueError: the cause" in line["exception"]


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (OSError("first line\n  second line" + " and on" * 1000), "Cause: OSError: first line second line and on and"),
        (ValueError("could not convert string to float: 'a secret'"), "Cause: ValueError"),
    ],
)
def test_cause_is_told_in_a_short_line_without_what_may_be_a_records_value(cause: Exception, told: str) -> None:
    error = Unavailable("The file is damaged.", code=ErrorCode.STORAGE_DAMAGED)
    error.__cause__ = RuntimeError("in between")
    error.__cause__.__cause__ = cause
    line = with_cause(error)
    assert line.startswith(f"The file is damaged. {told}")
    assert "secret" not in line
    assert "\n" not in line
    assert len(line) < 600


def test_text_line_ends_with_the_ids_that_it_does_not_name(log: logging.Logger, texts: Made) -> None:
    with telling_of(request_id="r1", job_id="j1", attempt=1):
        log.info("import j1 starts")
    assert texts[0].endswith("import j1 starts request_id=r1")


def test_ids_go_with_the_context_and_no_further(log: logging.Logger, objects: Made) -> None:
    with telling_of(request_id="r1"):
        context = copy_context()
        alone = threading.Thread(target=log.info, args=("alone",))
        alone.start()
        alone.join()
    context.run(log.info, "taken along")
    alone_line, along_line = map(json.loads, objects)
    assert "request_id" not in alone_line
    assert along_line["request_id"] == "r1"
