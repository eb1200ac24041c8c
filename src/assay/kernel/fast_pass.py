"""The fast pass over a chunk: accepts, without an object per value, the records that are surely valid.

What it doesn't vouch for is left to be judged exactly, valid or not: a record, or some fields of one whose grammar and
other fields are sure. What it accepts is what the exact pass would have made of it. This module is imported when a
chunk is big enough to pay for loading the compiled code.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from assay.kernel import fast_framing  # noqa: F401  # `framing` uses it once it is loaded
from assay.kernel.columns import Accepted, field_types
from assay.kernel.doubts import Doubts
from assay.kernel.fast_bytes import Bytes
from assay.kernel.fast_columns import text_columns, value_column
from assay.kernel.fast_csv import walk_rows
from assay.kernel.fast_fields import Recogniser, Values, allowed_kinds, recognisers
from assay.kernel.fast_hashes import content_hashes
from assay.kernel.fast_json import walk_lines
from assay.kernel.fast_keys import new_keys
from assay.kernel.fast_nested import new_nest
from assay.kernel.fast_spans import ABSENT, STRING, SUSPECT, Numbers, Spans, new_spans
from assay.kernel.fast_values import mark_kinds
from assay.kernel.framing import Frames
from assay.schema import DatasetSchema

__all__ = ["content_hashes", "recognise"]

Walk = Callable[[Bytes, Frames, Spans, int], None]
"""Fills the spans of some records; the number is the first one's in the chunk."""

# So many records that their bytes, walked over a moment ago, are still in a core's cache when the values are read.
BATCH_ROWS = 2048

# Room for keys that the schema doesn't name. A record with one more is left to the exact pass.
SPARE_KEYS = 4096
SPARE_KEY_BYTES = 1 << 16


def jsonl_walk(schema: DatasetSchema, _: tuple[str, ...]) -> Walk:
    keys = new_keys((field.key for field in schema.fields), spare_slots=SPARE_KEYS, spare_bytes=SPARE_KEY_BYTES)
    raw = _raw_fields(schema)
    nest = new_nest()

    def walk(data: Bytes, frames: Frames, spans: Spans, number: int) -> None:
        walk_lines(data, *frames.bounds, number, keys, spans, raw, nest)

    return walk


def csv_walk(schema: DatasetSchema, header: tuple[str, ...]) -> Walk:
    places = {field.key: at for at, field in enumerate(schema.fields)}
    fields = np.array([places.get(name, -1) for name in header], np.int64)

    def walk(data: Bytes, frames: Frames, spans: Spans, number: int) -> None:
        walk_rows(data, frames.starts, frames.stops, fields, spans)

    return walk


WALKS = {"jsonl": jsonl_walk, "csv": csv_walk}


def recognise(
    data: bytes,
    frames: Frames,
    format: str,
    *,
    schema: DatasetSchema,
    header: tuple[str, ...],
    among: NDArray[np.bool_],
) -> tuple[Accepted, Doubts]:
    """The records that are surely valid, of those `among` which to look; and what is in doubt in others of them."""
    whole = np.frombuffer(data, np.uint8)
    spans = new_spans(len(frames), len(schema.fields), side_bytes=len(data))
    walk = WALKS[format](schema, header)
    values, doubtful = _read(whole, frames, spans, walk, recognisers(schema), allowed_kinds(schema))
    rows = np.flatnonzero((spans.status != SUSPECT) & among)
    texts = [at for at, found in enumerate(values) if found is None]
    text_column = dict(zip(texts, text_columns(whole, spans, texts, rows), strict=True))
    columns = [
        text_column[at] if found is None else value_column(spans, at, rows, found, arrow_type)
        for at, (found, arrow_type) in enumerate(zip(values, field_types(schema), strict=True))
    ]
    doubts = _doubts(spans, doubtful[among[doubtful[:, 0]]], _raw_fields(schema), size=len(data), among=among)
    return Accepted(rows, columns), doubts


def _read(
    data: Bytes, frames: Frames, spans: Spans, walk: Walk, fields: list[Recogniser], allowed: Numbers
) -> tuple[list[Values | None], Numbers]:
    """Walks the records, batch by batch, and reads their fields.

    Gives the values of those that aren't text, and pairs of a record that the walk vouches for and a field in doubt.
    """
    batches: list[list[Values | None]] = []
    doubtful = [np.empty((0, 2), np.int64)]
    for first in range(0, len(frames), BATCH_ROWS):
        rows = slice(first, first + BATCH_ROWS)
        part = Frames(*(bounds[rows] for bounds in frames.bounds))
        seen = spans._replace(
            starts=spans.starts[rows],
            lengths=spans.lengths[rows],
            kinds=spans.kinds[rows],
            status=spans.status[rows],
            torn=spans.torn[rows],
        )
        walk(data, part, seen, first)
        marks = np.empty((len(fields), len(part)), np.uint8)  # [field, row]: a status for each value
        mark_kinds(seen, allowed, marks)
        pairs = zip(fields, marks, strict=True)
        batches.append([recognise_field(data, seen._replace(status=status)) for recognise_field, status in pairs])
        worst = np.maximum.reduce(marks)
        in_doubt = np.flatnonzero(worst != seen.status)
        found = np.argwhere(marks[:, in_doubt].T)
        found[:, 0] = in_doubt[found[:, 0]] + first
        doubtful.append(found)
        seen.status[:] = worst
    columns = [None if found[0] is None else np.concatenate(found) for found in zip(*batches, strict=True)]
    return columns, np.concatenate(doubtful)


def _raw_fields(schema: DatasetSchema) -> NDArray[np.bool_]:
    """The fields of which a JSON string's span includes its quotes."""
    return np.array([field.type == "json" for field in schema.fields], np.bool_)


def _doubts(spans: Spans, doubtful: Numbers, raw: NDArray[np.bool_], *, size: int, among: NDArray[np.bool_]) -> Doubts:
    rows, fields = doubtful[:, 0], doubtful[:, 1]
    kinds = spans.kinds[rows, fields]
    quotes = (kinds == STRING) & ~raw[fields]
    starts = spans.starts[rows, fields].astype(np.int64)
    stops = starts + spans.lengths[rows, fields] + quotes
    starts -= quotes
    stands_elsewhere = starts + quotes >= size
    starts[stands_elsewhere] = stops[stands_elsewhere] = -1
    is_absent = kinds == ABSENT
    starts[is_absent] = stops[is_absent] = 0
    torn_rows = np.flatnonzero((spans.torn > 0) & among)
    return Doubts(rows, fields, starts, stops, torn_rows, spans.torn[torn_rows])
