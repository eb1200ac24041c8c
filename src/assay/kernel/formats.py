"""FORMATS: what the kernel does differently for each file format."""

from collections.abc import Callable
from dataclasses import dataclass

from assay.kernel.csv import csv_judge, wrong_cell_count
from assay.kernel.framing import CSV, JSONL, Framing
from assay.kernel.jsonl import ends_too_soon, jsonl_judge
from assay.kernel.judge import FieldJudge, Judge, json_judges, text_judges
from assay.rejections import Fault
from assay.schema import DatasetSchema


@dataclass(frozen=True)
class Format:
    """`judge` takes the header's names, empty for a format without header. `value_of` makes of a value's bytes what the
    `field_judges` take. `torn` gives the fault of a torn record for what `Doubts` has of it and the header's names."""

    framing: Framing
    has_header: bool
    judge: Callable[[DatasetSchema, tuple[str, ...]], Judge]
    field_judges: Callable[[DatasetSchema], list[FieldJudge]]
    value_of: Callable[[bytes], object]
    torn: Callable[[int, tuple[str, ...]], Fault]


FORMATS = {
    "csv": Format(
        framing=CSV,
        has_header=True,
        judge=csv_judge,
        field_judges=text_judges,
        value_of=bytes.decode,
        torn=lambda cells, header: wrong_cell_count(cells, len(header)),
    ),
    "jsonl": Format(
        framing=JSONL,
        has_header=False,
        judge=lambda schema, header: jsonl_judge(schema),
        field_judges=json_judges,
        value_of=bytes,
        torn=lambda length, header: ends_too_soon(length),
    ),
}
