"""Records of which the fast pass leaves little to judge: that is judged here, exactly.

It vouches for a record's grammar and for all its fields but some, so a value or two are left; or for all there is of a
record that is torn. A record with a fault then costs a fraction of what it costs to read all of it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from assay.fieldtypes import Refused
from assay.kernel.columns import Rejected
from assay.kernel.framing import Offsets
from assay.kernel.judge import FieldJudge
from assay.rejections import Fault

KNOWN_VALUES = 4096  # what is wrong with a column is often the same in many records


@dataclass(frozen=True)
class Doubts:
    """One field of one record a row, by record and then in the schema's order.

    `data[starts[i]:stops[i]]` is the value, as JSON has it or as a cell's text. The two are equal where there is none,
    and -1 where it doesn't stand in the data as it is.

    `torn[i]` is of record `torn_rows[i]`: in CSV the number of its cells, which is not the header's; in JSONL the
    number of bytes after which it ends too soon.
    """

    rows: Offsets
    fields: Offsets
    starts: Offsets
    stops: Offsets
    torn_rows: Offsets
    torn: Offsets


def judge_torn(doubts: Doubts, fault_of: Callable[[int], Fault]) -> Rejected:
    return Rejected(doubts.torn_rows, [fault_of(found) for found in doubts.torn.tolist()])


def judge_doubts(
    data: bytes, doubts: Doubts, judges: Sequence[FieldJudge], value_of: Callable[[bytes], object]
) -> Rejected:
    """The records whose doubtful fields are all at fault. The others are for the exact pass to judge as a whole."""
    rows: list[int] = []
    faults: list[Fault] = []
    unsettled: set[int] = set()

    @lru_cache(maxsize=KNOWN_VALUES)
    def fault_of(field: int, value: bytes) -> Fault | None:
        parsed = judges[field].parse(value_of(value))
        return judges[field].faults[parsed.code] if isinstance(parsed, Refused) else None

    places = (doubts.rows, doubts.fields, doubts.starts, doubts.stops)
    for row, field, start, stop in zip(*(each.tolist() for each in places), strict=True):
        found = None
        if 0 <= start < stop:
            found = fault_of(field, data[start:stop])
        elif start == stop >= 0:
            found = judges[field].missing
        if found is None:
            unsettled.add(row)
        else:
            rows.append(row)
            faults.append(found)
    if unsettled:
        settled = [at for at, row in enumerate(rows) if row not in unsettled]
        rows, faults = [rows[at] for at in settled], [faults[at] for at in settled]
    return Rejected(np.array(rows, np.int64), faults)
