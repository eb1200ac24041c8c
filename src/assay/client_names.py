"""The schemas that a client knows, and what it tells of a file before it is sent: names that they don't share."""

import time

from assay.client_calls import Upload
from assay.client_faults import Id
from assay.schema_names import names_of_header, names_of_records
from assay.wire import DatasetBody, SchemaBody

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
    tell = names_of_header if upload.filename.lower().endswith(".csv") else names_of_records
    return [f"{upload.filename}: {sentence}" for sentence in tell(start, list(schema.fields))]
