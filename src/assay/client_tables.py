"""DataFrames, Arrow tables and lists of records as JSON Lines, as an import takes them.

What JSON can't say is settled here, in lists and dicts too: NaN is absence, as null is; a whole float is written as an
integer is; a time without a zone is taken for UTC; an infinity becomes a text, so that it is rejected or kept, never
lost; bytes are refused.
"""

import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import IO, Any

BATCH_ROWS = 8192
EXACT_BELOW = 2**53
BYTES = bytes | bytearray | memoryview


def write_lines(source: Any, file: IO[bytes]) -> None:
    """Each row as an object; null values are left out, as they mean absence.

    Raises `TypeError` for what is no table, or has columns that can't be told apart or can't be sent.
    """
    import msgspec

    encode = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain_value).encode
    for rows in _batches(source):
        file.write(b"".join(encode(_record(row)) + b"\n" for row in rows))


def require_table(source: Any) -> None:
    """Raises `TypeError` for what is no table."""
    is_pandas = type(source).__module__.startswith("pandas") and hasattr(source, "columns")
    if not is_pandas and not (hasattr(source, "__arrow_c_stream__") and hasattr(source, "schema")):
        raise TypeError(
            f"Can't import a {type(source).__name__}: give a path, a binary file object such as io.BytesIO(data), "
            "a pandas or Polars DataFrame, or an Arrow table."
        )


def append_lines(records: list[dict[str, Any]]) -> bytes:
    """Records as the body of an append, told as a table's rows are: the same record is the same by both ways.

    Raises `TypeError` for what is no dict, and for what can't be sent.
    """
    import msgspec

    encode = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain_value).encode
    lines = []
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise TypeError(f"Record {number} is a {type(record).__name__}: give a list of dicts.")
        lines.append(encode(_record(record)) + b"\n")
    return b"".join(lines)


def _record(row: dict[str, Any]) -> dict[str, Any]:
    record = {}
    for key, value in row.items():
        try:
            told = _told(value)
        except _BytesInside:
            message = f"Field {key!r} holds bytes, which JSON has no form for: make them a text first."
            raise TypeError(message) from None
        if told is not None:
            record[key] = told
    return record


def _told(value: Any) -> Any:
    if isinstance(value, str | int):
        return value
    if isinstance(value, dict):
        return {key: _told(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_told(inner) for inner in value]
    if isinstance(value, float):
        return _number(value) if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Decimal):
        return value if value.is_finite() else None if value.is_nan() else str(value)
    if isinstance(value, BYTES):
        raise _BytesInside
    if _is_missing(value):
        return None
    if isinstance(value, datetime):
        return _moment(value)
    return _told(_of_numpy(value)) if hasattr(value, "tolist") else value


class _BytesInside(Exception):
    """Somewhere in a field's value, which is to be named."""


def _of_numpy(value: Any) -> Any:
    """What a scalar or an array is in Python: NumPy makes an integer of a time in nanoseconds, which is none."""
    is_finer = str(getattr(value, "dtype", "")) == "datetime64[ns]"
    return (value.astype("datetime64[us]") if is_finer else value).tolist()


def _is_missing(value: Any) -> bool:
    """Whether it is pandas' NA or NaT, of which there is one each. Who has one of them has loaded pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def _number(value: float) -> float | int:
    """A whole one as an integer is spelled: pandas makes floats of a column's integers where a value is missing, and a
    record that says 1.0 is another than one that says 1. Zero keeps its sign, and large ones their own form.
    """
    is_whole = value.is_integer() and abs(value) < EXACT_BELOW
    return int(value) if is_whole and (value or math.copysign(1, value) > 0) else value


def _moment(value: datetime) -> datetime:
    """What is written of a zone has minutes and no seconds, which some of long ago have, and others of one's making."""
    offset = value.utcoffset()
    if offset is None:
        return value.replace(tzinfo=UTC)
    return value.astimezone(UTC) if offset % timedelta(minutes=1) else value


def _batches(source: Any) -> Iterator[list[dict[str, Any]]]:
    import pyarrow as pa

    require_table(source)
    if type(source).__module__.startswith("pandas"):
        source = _with_index(source)
        try:
            table = pa.Table.from_pandas(source, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError, OverflowError):
            # Numbers and texts in one column, or numbers of more than 64 bits: the import tells which are wrong.
            yield from _mixed_rows(source)
            return
    else:
        table = source if isinstance(source, pa.Table) else pa.table(source)
    for batch in _sendable(table).to_batches(max_chunksize=BATCH_ROWS):
        yield _rows(batch)


def _with_index(frame: Any) -> Any:
    """What an index is called by makes a column of it, as it came from one; a count of rows has no name."""
    named = [level for level, name in enumerate(frame.index.names) if name is not None]
    names = [str(frame.index.names[level]) for level in named] + [str(name) for name in frame.columns]
    _refuse_repeated(names, what="column or index level")
    return frame.reset_index(named).set_axis(names, axis="columns") if named else frame


def _rows(batch: Any) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (OverflowError, ValueError):
        _refuse_far_times(batch)
        raise
    return rows


def _refuse_far_times(batch: Any) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.to_pylist()
        except (OverflowError, ValueError) as error:
            raise _far_time(name) from error


def _far_time(name: str) -> TypeError:
    return TypeError(f"Column {name!r} holds a time outside of the years 1 to 9999: make it a text or null first.")


def _sendable(table: Any) -> Any:
    """The table with times that Python's types can hold. Raises `TypeError` where a column can't be sent."""
    import pyarrow as pa

    _refuse_repeated(table.column_names)
    for column in table.schema:
        if _holds_bytes(column.type):
            raise TypeError(f"Column {column.name!r} holds bytes, which JSON has no form for: make them a text first.")
    schema = pa.schema([column.with_type(_with_zone(column.type)) for column in table.schema])
    return table if schema.equals(table.schema) else pa.table(list(map(_cast, table.columns, schema)), schema=schema)


def _cast(column: Any, field: Any) -> Any:
    """Finer digits of a time are cut off; a time that microseconds can't say would become another one."""
    import pyarrow as pa
    from pyarrow.compute import CastOptions, floor_temporal

    if column.type != field.type and pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        # To cast them cuts towards 1970: of a time before it, that is a later one.
        column = floor_temporal(column.cast(pa.timestamp("ns")), unit="microsecond")
    try:
        return column.cast(options=CastOptions(field.type, allow_time_truncate=True))
    except pa.ArrowInvalid as error:
        raise _far_time(field.name) from error


def _refuse_repeated(names: list[str], *, what: str = "column") -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TypeError(f"More than one {what} is named {', '.join(map(repr, repeated))}: rename them.")


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    is_bytes = is_bytes or pa.types.is_fixed_size_binary(kind)
    return is_bytes or any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))


def _with_zone(kind: Any) -> Any:
    """The type with all times in microseconds, and with a zone."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz or "UTC")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_with_zone(kind.value_type)))
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return pa.struct([field.with_type(_with_zone(field.type)) for field in fields])
    return kind


def _mixed_rows(frame: Any) -> Iterator[list[dict[str, Any]]]:
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), BATCH_ROWS):
        part = frame.iloc[start : start + BATCH_ROWS]
        columns = [_values(part.iloc[:, index], name) for index, name in enumerate(names)]
        yield [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: Any, name: str) -> list[Any]:
    absent = column.isna()
    values = [None if gone else value for value, gone in zip(column.tolist(), absent.tolist(), strict=True)]
    if any(isinstance(value, BYTES) for value in values):
        raise TypeError(f"Column {name!r} holds bytes, which JSON has no form for: make them a text first.")
    return values


def _plain_value(value: Any) -> Any:
    """What a library's own value is in Python."""
    if isinstance(value, datetime):  # pandas has a kind of its own
        return _moment(datetime.fromisoformat(value.isoformat(timespec="microseconds")))
    if isinstance(value, str):  # NumPy has a kind of its own
        return str(value)
    raise TypeError(f"Can't send a {type(value).__name__}: make it a number, a text, a list or a dict first.")
