"""One CSV record, exactly: RFC 4180's cells, as many as the header has, and its fields judged."""

import re

from assay.fieldtypes import Refused, Value
from assay.kernel.judge import Judge, Verdict, text_judges
from assay.rejections import RAW_FIELD, Fault, counted, fault
from assay.schema import DatasetSchema

_QUOTED = r'"([^"]*+(?:""[^"]*+)*+)"'
_BARE = r'([^",\r]*+)'
_CELL = re.compile(rf"(?:\A|,)(?:{_QUOTED}|{_BARE})")
_CELLS = re.compile(rf"(?:{_QUOTED}|{_BARE})(?:,(?:{_QUOTED}|{_BARE}))*+")


def csv_judge(schema: DatasetSchema, header: tuple[str, ...]) -> Judge:
    positions = {name: position for position, name in enumerate(header)}
    judges = [(positions.get(judge.key), judge.parse, judge.missing, judge.faults) for judge in text_judges(schema)]
    width = len(header)

    def judge_record(record: bytes) -> Verdict:
        cells = split_cells(record)
        if isinstance(cells, Fault):
            return [], [cells]
        if len(cells) != width:
            return [], [wrong_cell_count(len(cells), width)]
        values: list[Value | None] = []
        faults: list[Fault] = []
        for position, parse, missing, known_faults in judges:
            text = "" if position is None else cells[position]
            if not text:
                values.append(None)
                if missing is not None:
                    faults.append(missing)
                continue
            value = parse(text)
            if isinstance(value, Refused):
                faults.append(known_faults[value.code])
                values.append(None)
            else:
                values.append(value)
        return values, faults

    return judge_record


def split_cells(record: bytes) -> list[str] | Fault:
    """The cells of a record without its line end, quotes undone; or why they can't be told."""
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        return fault(RAW_FIELD, "invalid_utf8", position=error.start)
    if b'"' not in record and b"\r" not in record:
        return text.split(",")
    match = _CELLS.match(text)
    end = match.end() if match else 0
    if end < len(text):
        return _malformed(text, end)
    return [quoted.replace('""', '"') if quoted else bare for quoted, bare in _CELL.findall(text)]


def _malformed(text: str, at: int) -> Fault:
    """`at` is where the longest run of well-formed cells ends."""
    if text[at] == "\r":
        what = "a carriage return without a line feed, outside quotes,"
    elif text[at] != '"':
        what = "text after a closing quote"
    elif at == 0 or text[at - 1] == ",":
        what = "a quote is never closed"
    else:
        what = "a quote inside a cell that doesn't begin with one,"
    return fault(RAW_FIELD, "malformed_csv", what=what, position=len(text[:at].encode()))


def wrong_cell_count(found: int, expected: int) -> Fault:
    return fault(RAW_FIELD, "wrong_cell_count", found=counted(found, "cell"), expected=f"{expected:,}")
