"""What another schema does to the records that are there, told before it is saved: by its fields, and by a sample."""

from dataclasses import dataclass

from assay.db.datasets import Dataset
from assay.errors import Unavailable
from assay.jobs import Import
from assay.previewing import preview, sample_of_upload
from assay.schema import DatasetSchema, fingerprint_of, schema_to_json, stored_schema
from assay.storage.base import Storage


@dataclass(frozen=True)
class SampleLoss:
    """Of the first `record_count` records of a file that the schema accepts now, `lost_count` would lose a value."""

    filename: str
    record_count: int
    lost_count: int
    reasons: list[tuple[str, str]]


@dataclass(frozen=True)
class SchemaChange:
    """A change that may take values from records. `confirmation` is what a form says that wants it all the same."""

    removed: list[str]
    narrowed: list[str]
    sample: SampleLoss | None
    confirmation: str


def risky_change(
    storage: Storage, dataset: Dataset, schema: DatasetSchema, newest: Import | None
) -> SchemaChange | None:
    """None where no record can lose a value: there are none, or every field of the old schema stays as it is.

    Whether a changed field takes values is known for a sample alone; for all records the migration finds it out.
    """
    if not dataset.record_count or dataset.schema is None:
        return None
    old = stored_schema(dataset.schema)
    fields = {field.key: field for field in schema.fields}
    removed = [field.key for field in old.fields if field.key not in fields]
    narrowed = [
        field.key
        for field in old.fields
        if field.key in fields
        and (field.type, field.constraints) != (fields[field.key].type, fields[field.key].constraints)
    ]
    if not removed and not narrowed:
        return None
    return SchemaChange(
        removed=removed,
        narrowed=narrowed,
        sample=_sample_loss(storage, old, schema, newest),
        confirmation=fingerprint_of(schema_to_json(schema)),
    )


def _sample_loss(storage: Storage, old: DatasetSchema, new: DatasetSchema, newest: Import | None) -> SampleLoss | None:
    if newest is None:
        return None
    try:
        sample = sample_of_upload(storage, newest)
    except Unavailable:
        return None
    pairs = zip(preview(old, sample).records, preview(new, sample).records, strict=False)
    accepted = [after for before, after in pairs if not before.faults]
    if not accepted:
        return None
    reasons = {(fault.field, fault.reason): None for record in accepted for fault in record.faults}
    return SampleLoss(
        filename=newest.filename,
        record_count=len(accepted),
        lost_count=sum(bool(record.faults) for record in accepted),
        reasons=list(reasons)[:5],
    )
