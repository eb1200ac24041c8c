"""FORMATS: what the kernel does differently for each file format."""

from collections.abc import Callable
from dataclasses import dataclass

from assay.kernel.csv import csv_judge
from assay.kernel.framing import CSV, JSONL, Framing
from assay.kernel.jsonl import jsonl_judge
from assay.kernel.judge import Judge
from assay.schema import DatasetSchema


@dataclass(frozen=True)
class Format:
    """`judge` takes the header's names, empty for a format without header."""

    framing: Framing
    has_header: bool
    judge: Callable[[DatasetSchema, tuple[str, ...]], Judge]


FORMATS = {
    "csv": Format(framing=CSV, has_header=True, judge=csv_judge),
    "jsonl": Format(framing=JSONL, has_header=False, judge=lambda schema, header: jsonl_judge(schema)),
}
