"""Records in which the fast pass has doubts about some fields only: these alone are judged, exactly.

It vouches for such a record's grammar and for all its other fields, so what is left is a value or two, and a record
with a fault costs a fraction of what it costs to read all of it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from assay.fieldtypes import Refused
from assay.kernel.columns import Rejected
from assay.kernel.framing import Offsets
from assay.kernel.judge import FieldJudge
from assay.rejections import Fault


@dataclass(frozen=True)
class Doubts:
    """One field of one record a row, by record and then in the schema's order.

    `data[starts[i]:stops[i]]` is the value, as JSON has it or as a cell's text. The two are equal where there is none,
    and -1 where it doesn't stand in the data as it is.
    """

    rows: Offsets
    fields: Offsets
    starts: Offsets
    stops: Offsets


def judge_doubts(
    data: bytes, doubts: Doubts, judges: Sequence[FieldJudge], value_of: Callable[[bytes], object]
) -> Rejected:
    """The records whose doubtful fields are all at fault. The others are for the exact pass to judge as a whole."""
    rows: list[int] = []
    faults: list[Fault] = []
    unsettled: set[int] = set()
    known: dict[tuple[int, bytes], Fault | None] = {}  # what is wrong with a column is often the same in many records
    places = (doubts.rows, doubts.fields, doubts.starts, doubts.stops)
    for row, field, start, stop in zip(*(each.tolist() for each in places), strict=True):
        judge = judges[field]
        found = None
        if 0 <= start < stop:
            place = field, data[start:stop]
            if place not in known:
                value = judge.parse(value_of(place[1]))
                known[place] = judge.faults[value.code] if isinstance(value, Refused) else None
            found = known[place]
        elif start == stop >= 0:
            found = judge.missing
        if found is None:
            unsettled.add(row)
        else:
            rows.append(row)
            faults.append(found)
    if unsettled:
        settled = [at for at, row in enumerate(rows) if row not in unsettled]
        rows, faults = [rows[at] for at in settled], [faults[at] for at in settled]
    return Rejected(np.array(rows, np.int64), faults)
