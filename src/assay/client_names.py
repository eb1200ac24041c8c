"""What an upload's columns or keys are called against the names of a schema, told before it is sent: the service leaves
out what no field is named after, as it must. Only the start of a file is looked at; what can't be read is not judged
here, for the import tells of it."""

import csv
import io
import json
import time
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Any

from assay.client_calls import Upload
from assay.client_faults import Id
from assay.wire import DatasetBody, SchemaBody

LOOKED_AT_RECORDS = 1000
SHOWN_NAMES = 20
KNOWN_SECONDS = 60


class KnownSchemas:
    """The schemas that a client has lately seen, so that one that imports many files doesn't ask before each."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, SchemaBody]] = {}

    def of(self, dataset_id: Id) -> SchemaBody | None:
        seen_at, schema = self._known.get(str(dataset_id), (0.0, None))
        return schema if time.monotonic() - seen_at < KNOWN_SECONDS else None

    def see(self, dataset: DatasetBody) -> DatasetBody:
        if dataset.schema_ is not None:
            self._known[str(dataset.id)] = (time.monotonic(), dataset.schema_)
        return dataset


def names_told(upload: Upload, schema: SchemaBody | None) -> list[str]:
    """A sentence for each kind of name that the file and the schema don't have in common. No schema has no names."""
    if schema is None:
        return []
    start = next(upload.read(), b"")
    tell = _of_header if upload.filename.lower().endswith(".csv") else _of_records
    return [f"{upload.filename}: {sentence}" for sentence in tell(start, list(schema.fields))]


def _of_header(start: bytes, keys: list[str]) -> list[str]:
    columns = _columns(start)
    if not set(columns) & set(keys):
        return []  # The import is refused, with the names that are nearly the same.
    return [
        *_told("columns that the schema doesn't name, whose values are not kept", columns, keys),
        *_told("fields without a column, null in each record", keys, columns),
    ]


def _columns(start: bytes) -> list[str]:
    text = start.decode("utf-8-sig", errors="replace")  # what is wrong further down is a matter of its record
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [name.strip() for name in next(filter(None, rows), [])]
    except csv.Error:
        return []


def _of_records(start: bytes, keys: list[str]) -> list[str]:
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
    more = f" and {len(others) - SHOWN_NAMES:,} more" if len(others) > SHOWN_NAMES else ""
    return [f"{what}: {', '.join(others[:SHOWN_NAMES])}{more}"] if others else []
