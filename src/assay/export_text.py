"""Batches of records as lines of JSON and of CSV, made column by column: no value is looked at in Python.

A line is the join of texts that are made for whole columns, so the bytes of the joined column are the lines.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# RFC 8259 lets these stand in no string as they are.
_CONTROLS = {chr(code): f"\\u{code:04x}" for code in range(0x20)} | {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NEEDS_ESCAPES = r'["\\\x00-\x1f]'

# https://owasp.org/www-community/attacks/CSV_Injection; what is a plain number stays one. Quotes keep no cell whole
# where lines are split at `;` or tabs: they count at the beginning of a cell only, and these cells begin elsewhere.
_FORMULA = r'(\A|[;\t\r\n])([ \x00"]*[=+\-@＝＋－＠])'
_PLAIN_NUMBER = r"\A[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"
# `;` and tab for the spreadsheets that split at these too.
_NEEDS_QUOTES = r'\A\z|[",;\t\r\n]|\A | \z'
_HEX = np.frombuffer(b"".join(b"%02x" % value for value in range(256)), np.uint8).reshape(256, 2)
_UUID_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def json_lines(batch: pa.RecordBatch, *, json_fields: frozenset[str]) -> bytes:
    """One object a line, with every column; what is absent is null. Columns of JSON text stand as what they are."""
    pieces: list[Any] = []
    opening = "{"
    for field, column in zip(batch.schema, batch.columns, strict=True):
        pieces.append(pa.scalar(f"{opening}{_json_text(field.name)}:"))
        pieces.append(pc.fill_null(_json_values(column, field.name in json_fields), "null"))
        opening = ","
    return _joined([*pieces, pa.scalar("}\n")])


def _json_values(column: pa.Array, is_json: bool) -> pa.Array:
    kind = column.type
    if is_json:
        # A line feed in JSON text stands between its tokens only: within a string it would be an escape.
        return pc.replace_substring(pc.replace_substring(column, "\n", " "), "\r", " ")
    if kind in (pa.int64(), pa.float64(), pa.bool_()):
        return _text(column)
    return pc.binary_join_element_wise('"', _escaped(_text(column)), '"', "")


def _escaped(column: pa.Array) -> pa.Array:
    return _with_changed(column, pc.match_substring_regex(column, _NEEDS_ESCAPES), _escaped_all)


def _escaped_all(column: pa.Array) -> pa.Array:
    escaped = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
    for control, escape in _CONTROLS.items():
        escaped = pc.replace_substring(escaped, control, escape)
    return escaped


def _with_changed(column: pa.Array, is_changed: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The column with these values changed: usually few, and to change all of them would take many times as long."""
    is_changed = pc.fill_null(is_changed, False)
    if not pc.any(is_changed).as_py():
        return column
    return pc.replace_with_mask(column, is_changed, change(column.filter(is_changed)))


def _json_text(key: str) -> str:
    return f'"{_escaped(pa.array([key]))[0].as_py()}"'


def csv_header(names: Sequence[str], *, formula_safe: bool) -> bytes:
    """The header by the same rules as the cells."""
    return _csv_joined([pa.array([name]) for name in names], formula_safe=formula_safe)


def csv_lines(batch: pa.RecordBatch, *, formula_safe: bool) -> bytes:
    """RFC 4180: lines end with CRLF; what is absent is an empty cell, an empty text a pair of quotes.

    With `formula_safe`, what a spreadsheet would take for a formula gets an apostrophe before it, also behind a `;`, a
    tab or a line break in a text.
    """
    return _csv_joined(list(batch.columns), formula_safe=formula_safe)


def _csv_joined(columns: list[pa.Array], *, formula_safe: bool) -> bytes:
    pieces: list[Any] = []
    for column in columns:
        cells = _text(column)
        if column.type == pa.string():
            cells = _quoted(_defused(cells) if formula_safe else cells)
        pieces += [pc.fill_null(cells, ""), pa.scalar(",")]
    return _joined([*pieces[:-1], pa.scalar("\r\n")])


def _defused(cells: pa.Array) -> pa.Array:
    is_number = pc.match_substring_regex(cells, _PLAIN_NUMBER)
    return pc.if_else(is_number, cells, pc.replace_substring_regex(cells, _FORMULA, r"\1'\2"))


def _quoted(cells: pa.Array) -> pa.Array:
    return _with_changed(cells, pc.match_substring_regex(cells, _NEEDS_QUOTES), _quoted_all)


def _quoted_all(cells: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', pc.replace_substring(cells, '"', '""'), '"', "")


def _text(column: pa.Array) -> pa.Array:
    """A column's values as text: numbers in full, times in ISO 8601."""
    kind = column.type
    if kind == pa.string():
        return column
    if kind == pa.uuid():
        return _uuid_text(column.storage)
    if pa.types.is_timestamp(kind):
        # Arrow writes `2026-01-02 03:04:05.000000`, and ten times slower where it knows that this is UTC.
        text = column.cast(pa.timestamp(kind.unit)).cast(pa.string())
        return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")
    return column.cast(pa.string())


def _uuid_text(column: pa.Array) -> pa.Array:
    """Arrow has no cast for these: the hex digits of each byte are looked up, and the dashes put between."""
    values = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, 16)[column.offset :][: len(column)]
    digits = _HEX[values].reshape(-1, 32)
    text = np.full((len(column), 36), ord("-"), np.uint8)
    for dashes, (start, stop) in enumerate(_UUID_GROUPS):
        text[:, start + dashes : stop + dashes] = digits[:, start:stop]
    offsets = np.arange(0, 36 * len(column) + 1, 36, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(column), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _joined(pieces: list[Any]) -> bytes:
    lines = pc.binary_join_element_wise(*pieces, "")
    _, offsets, data = lines.buffers()
    if not len(lines) or data is None:
        return b""
    bounds = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(data)[bounds[0] : bounds[-1]])
