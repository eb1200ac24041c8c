"""One CSV record, exactly: RFC 4180's cells, as many as the header has, and its fields judged."""

import re

from assay.fieldtypes import Refused, Value
from assay.kernel.judge import Judge, Verdict, text_judges
from assay.rejections import RAW_FIELD, Fault, counted, fault
from assay.schema import DatasetSchema

_QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
_BARE = re.compile(r'[^",\r]*+')


def csv_judge(schema: DatasetSchema, header: tuple[str, ...]) -> Judge:
    positions = {name: position for position, name in enumerate(header)}
    judges = [(positions.get(judge.key), judge.parse, judge.missing, judge.faults) for judge in text_judges(schema)]
    width = len(header)

    def judge_record(record: bytes) -> Verdict:
        cells = split_cells(record)
        if isinstance(cells, Fault):
            return [], [cells]
        if len(cells) != width:
            return [], [_wrong_count(len(cells), width)]
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
    cells: list[str] = []
    at = 0
    while True:
        quoted = _QUOTED.match(text, at)
        if quoted is not None:
            cells.append(quoted[1].replace('""', '"'))
            at = quoted.end()
        elif text.startswith('"', at):
            return _malformed("a quote is never closed", text, at)
        else:
            end = _BARE.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty string
            cells.append(text[at:end])
            at = end
        if at == len(text):
            return cells
        if text[at] != ",":
            return _malformed(_stray(text[at], quoted is not None), text, at)
        at += 1


def _stray(character: str, after_quotes: bool) -> str:
    if character == "\r":
        return "a carriage return without a line feed, outside quotes,"
    return "text after a closing quote" if after_quotes else "a quote inside a cell that doesn't begin with one,"


def _malformed(what: str, text: str, at: int) -> Fault:
    return fault(RAW_FIELD, "malformed_csv", what=what, position=len(text[:at].encode()))


def _wrong_count(found: int, expected: int) -> Fault:
    return fault(RAW_FIELD, "wrong_cell_count", found=counted(found, "cell"), expected=f"{expected:,}")
