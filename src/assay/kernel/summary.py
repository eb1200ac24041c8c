"""Counts the faults of a chunk by field and reason, in columns."""

import pyarrow as pa
import pyarrow.compute as pc

from assay.error_summary import REASONS_A_CODE, FaultCount

_OF_CODE = ["field", "code"]


def count_faults(rejections: pa.Table) -> list[FaultCount]:
    """The counts of a table of rejections, ready for an `ErrorSummary`; few, however many faults there are."""
    if not rejections.num_rows:
        return []
    reasons = rejections.group_by([*_OF_CODE, "reason"], use_threads=False).aggregate([([], "count_all")])
    reasons = reasons.rename_columns([*_OF_CODE, "reason", "count"])
    codes = reasons.group_by(_OF_CODE, use_threads=False).aggregate([([], "count_all"), ("count", "sum")])
    is_told = pc.less_equal(codes.column("count_all"), REASONS_A_CODE)
    told = reasons.join(codes.filter(is_told).select(_OF_CODE), keys=_OF_CODE, join_type="left semi", use_threads=False)
    folded = codes.filter(pc.invert(is_told))
    counts = zip(*(told.column(name).to_pylist() for name in ("field", "code", "reason", "count")), strict=True)
    sums = zip(*(folded.column(name).to_pylist() for name in ("field", "code", "count_sum")), strict=True)
    return [FaultCount(*row) for row in counts] + [FaultCount(field, code, None, count) for field, code, count in sums]
