"""What a file's columns or keys are called against the names of a schema.

What no field is named after is left out, as it must be, and whoever has the file should hear of it. Only the start of a
file is looked at; what can't be read is not judged here, for the check tells of it.
"""

import csv
import io
import json
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Any

from assay.rejections import named

START_BYTES = 1024 * 1024
LOOKED_AT_RECORDS = 1000
UNKNOWN_COLUMNS = "columns that the schema doesn't name, whose values are not kept"
MISSING_COLUMNS = "fields without a column, null in each record"


def names_of_header(start: bytes, keys: list[str]) -> list[str]:
    columns = _columns(start)
    if not set(columns) & set(keys):
        return []  # The import is refused, with the names that are nearly the same.
    return [
        *_told(UNKNOWN_COLUMNS, columns, keys),
        *_told(MISSING_COLUMNS, keys, columns),
    ]


def _columns(start: bytes) -> list[str]:
    text = start.decode("utf-8-sig", errors="replace")  # what is wrong further down is a matter of its record
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [name.strip() for name in next(filter(None, rows), [])]
    except csv.Error:
        return []


def names_of_records(start: bytes, keys: list[str]) -> list[str]:
    """That a key is absent says little, as a later record may have it: it is told where another may be meant for it."""
    records = list(_records(start))
    found = dict.fromkeys(key for record in records for key in record)
    unknown = _told("keys that the schema doesn't name, whose values are not kept", found, keys)
    if not unknown:
        return []
    first = f"the first {len(records):,} records" if len(records) > 1 else "its first record"
    if set(found) & set(keys):
        return [*unknown, *_told(f"fields without a value in {first}", keys, found)]
    nothing = f"no key of {first} is a field of the schema: none of its values is kept"
    return [nothing, *unknown, *_told("fields of the schema", keys, ())]


def _records(start: bytes) -> Iterator[dict[str, Any]]:
    for line in islice(filter(bytes.strip, start.splitlines()), LOOKED_AT_RECORDS):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # such as a last one that is cut
            continue
        if isinstance(record, dict):
            yield record


def _told(what: str, names: Iterable[str], known: Container[str]) -> list[str]:
    others = [repr(name) for name in names if name not in known]
    return [f"{what}: {named(others)}"] if others else []
