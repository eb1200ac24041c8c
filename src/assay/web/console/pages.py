"""Renders the templates: how numbers, sizes, times and states are written for people. Every text is escaped."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from assay import __version__
from assay.jobs import SETTLED, TERMINAL, State
from assay.web.console.sessions import FORM_TOKEN, Visitor
from assay.web.console.static import static_url

TEMPLATES = Path(__file__).parent.parent / "templates"
STATE_MEANINGS = {
    State.UNINITIALISED: "Nobody has uploaded it yet",
    State.PENDING_SCHEMA: "Waiting for the dataset to get a schema",
    State.QUEUED: "Waiting for its turn",
    State.PROCESSING: "Its records are being checked",
    State.COMPLETE: "Every record was accepted",
    State.PARTIAL: "Some records were rejected",
    State.FAILED: "Nothing was taken from it",
}
RECORD_NUMBER = re.compile(r"\bRecord (\d+),")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "number": number,
        "size": size,
        "duration": duration,
        "iso": iso,
        "moment": moment,
        "state_name": state_name,
        "counted_from_one": counted_from_one,
        "query": query,
    }
    environment.globals |= {
        "static_url": static_url,
        "state_meanings": STATE_MEANINGS,
        "form_token_name": FORM_TOKEN,
        "version": __version__,
        "is_terminal": TERMINAL.__contains__,
        "is_settled": SETTLED.__contains__,
    }
    return environment


def render(
    template: str, visitor: Visitor | None, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """A page, or a piece of one where the template is one."""
    text = _environment().get_template(template).render(visitor=visitor, **values)
    return HTMLResponse(text, status_code=status, headers=headers)


def number(value: int) -> str:
    return f"{value:,}"


def size(size_bytes: int | None) -> str:
    """`812 bytes`, `1.4 MB`: in powers of ten, as file managers show it."""
    if size_bytes is None:
        return "–"
    if size_bytes < 1000:
        return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{value:,.0f} PB"


def duration(seconds: float | timedelta) -> str:
    """`< 0.1 s`, `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    total = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if total < 0.05:
        return "< 0.1 s"
    if total < 9.95:
        return f"{total:.1f} s"
    if total < 60:
        return f"{total:.0f} s"
    minutes, rest = divmod(round(total), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def state_name(state: State) -> str:
    """The API's word as a label, where it is one that people use."""
    return "Waiting for a file" if state is State.UNINITIALISED else state.value.replace("_", " ").capitalize()


def counted_from_one(reason: str) -> str:
    """A reason as the API gives it counts records from 0; the console's pages count them, as its rows, from 1."""
    return RECORD_NUMBER.sub(lambda found: f"Record {int(found[1]) + 1},", reason)


def query(values: dict[str, Any]) -> str:
    """`?a=1&b=2` without what is None or empty, or nothing."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return "?" + urlencode(given) if given else ""
