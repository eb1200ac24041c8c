"""The summary of an import's faults: how many there are of each field and reason, in memory that stays bounded.

A reason may name a position or a length, so there may be as many reasons as records. Past `REASONS_A_CODE` of them a
field's faults of one code are one row, under the code's title. Whether that happens depends on the whole file alone,
not on where it was cut into chunks.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from assay.rejections import REJECTION_CODES

SUMMARY_ROWS = 100
REASONS_A_CODE = 100


@dataclass(frozen=True)
class FaultCount:
    """How often a field failed for a reason. `reason` is None where its code had too many to tell apart."""

    field: str
    code: str
    reason: str | None
    count: int


@dataclass(frozen=True)
class SummaryRow:
    """A row of the summary, as an import job shows it."""

    field: str
    reason: str
    count: int


class ErrorSummary:
    """Holds the counts so far; those of chunks may be added in any order."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], Counter[str]] = {}
        self._folded: Counter[tuple[str, str]] = Counter()

    def add(self, counts: Iterable[FaultCount]) -> None:
        for new in counts:
            of_code = (new.field, new.code)
            if new.reason is None:
                self._fold(of_code)
            if new.reason is None or of_code in self._folded:
                self._folded[of_code] += new.count
            else:
                reasons = self._reasons.setdefault(of_code, Counter())
                reasons[new.reason] += new.count
                if len(reasons) > REASONS_A_CODE:
                    self._fold(of_code)

    def counts(self) -> list[FaultCount]:
        """Everything counted, to be added to another summary."""
        told = [
            FaultCount(field, code, reason, count)
            for (field, code), reasons in self._reasons.items()
            for reason, count in reasons.items()
        ]
        return told + [FaultCount(field, code, None, count) for (field, code), count in self._folded.items()]

    def rows(self) -> tuple[SummaryRow, ...]:
        """The largest counts, the largest first; equal ones by field and reason."""
        rows = [
            SummaryRow(
                counted.field,
                REJECTION_CODES[counted.code].title if counted.reason is None else counted.reason,
                counted.count,
            )
            for counted in self.counts()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.count, row.field, row.reason))[:SUMMARY_ROWS])

    def _fold(self, of_code: tuple[str, str]) -> None:
        self._folded[of_code] += sum(self._reasons.pop(of_code, Counter()).values())
