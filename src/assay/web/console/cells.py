"""The cells of a table of records: aligned by type, long values cut with the rest behind an expander."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.reading import Datapoint

SUMMARY_CHARACTERS = 48
WHOLE_CHARACTERS = 4000
NUMBER_TYPES = {"integer", "number"}
LINK_TYPES = {"image_url", "audio_url", "video_url"}


@dataclass(frozen=True)
class Column:
    key: str
    type: str
    is_number: bool


@dataclass(frozen=True)
class Cell:
    """`rest` is the whole value where `text` is only its beginning; `is_cut` where even that is too long to show."""

    text: str
    rest: str | None = None
    is_cut: bool = False
    href: str | None = None
    is_absent: bool = False
    is_number: bool = False


@dataclass(frozen=True)
class Row:
    """`position` is its place in the dataset, counted from 1."""

    position: int
    id: str
    record_index: int
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    columns: list[Column]
    rows: list[Row]


def table_of(datapoints: Sequence[Datapoint], schema: dict[str, Any] | None, *, first: int = 1) -> Table:
    """The columns are those of the records, which may be of an older schema than the newest."""
    fields = {} if schema is None else schema["fields"]
    keys = list(datapoints[0].data) if datapoints else []
    types = [fields.get(key, {}).get("type", "text") for key in keys]
    columns = [Column(key, type, type in NUMBER_TYPES) for key, type in zip(keys, types, strict=True)]
    rows = [
        Row(
            position=position,
            id=str(datapoint.id),
            record_index=datapoint.record_index,
            cells=[cell_of(datapoint.data.get(column.key), column) for column in columns],
        )
        for position, datapoint in enumerate(datapoints, start=first)
    ]
    return Table(columns=columns, rows=rows)


def cell_of(value: Any, column: Column) -> Cell:
    if value is None:
        return Cell(text="–", is_absent=True, is_number=column.is_number)
    if isinstance(value, bool):
        return Cell(text="true" if value else "false")
    text = value if isinstance(value, str) else json.dumps(value)
    if column.type == "datetime":
        text = text.replace(".000000Z", "Z")
    href = text if column.type in LINK_TYPES and text.lower().startswith(("http://", "https://")) else None
    if len(text) <= SUMMARY_CHARACTERS:
        return Cell(text=text, href=href, is_number=column.is_number)
    is_cut = len(text) > WHOLE_CHARACTERS
    return Cell(text=text[: SUMMARY_CHARACTERS - 1] + "…", rest=text[:WHOLE_CHARACTERS], is_cut=is_cut, href=href)
