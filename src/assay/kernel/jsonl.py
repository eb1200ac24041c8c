"""One JSONL record, exactly: RFC 8259 in every detail, no key twice, and its fields judged.

msgspec reads the grammar without building values. What it leaves undone is done here: invalid UTF-8 in values,
keys that stand twice, nesting, and faults said in words.
"""

import re

import msgspec

from assay.fieldtypes import MAX_NESTING, Refused, Value, is_nested_deeper, repeated_key
from assay.kernel.judge import Judge, Verdict, json_judges
from assay.rejections import RAW_FIELD, Fault, fault, quoted_key
from assay.schema import DatasetSchema

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def jsonl_judge(schema: DatasetSchema) -> Judge:
    judges = [(judge.key, judge.parse, judge.missing, judge.faults) for judge in json_judges(schema)]

    def judge_record(record: bytes) -> Verdict:
        members = read_members(record)
        if isinstance(members, Fault):
            return [], [members]
        values: list[Value | None] = []
        faults: list[Fault] = []
        for key, parse, missing, known_faults in judges:
            raw = members.get(key)
            if raw is None or (raw_bytes := bytes(raw)) == b"null":
                values.append(None)
                if missing is not None:
                    faults.append(missing)
                continue
            value = parse(raw_bytes)
            if isinstance(value, Refused):
                faults.append(known_faults[value.code])
                values.append(None)
            else:
                values.append(value)
        return values, faults

    return judge_record


def read_members(record: bytes) -> dict[str, msgspec.Raw] | Fault:
    """The members of the record's object with their raw values, or why it is none."""
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        return fault(RAW_FIELD, "invalid_utf8", position=error.start)
    if is_nested_deeper(text, MAX_NESTING):
        return fault(RAW_FIELD, "nested_too_deeply", limit=MAX_NESTING)
    try:
        members = _decode_members(record)
    except msgspec.ValidationError as error:
        return fault(RAW_FIELD, "not_an_object", kind=_kind(str(error)))
    except msgspec.DecodeError as error:
        return _malformed(record, str(error))
    raw_values = b"".join(members.values())
    # Every member has a colon outside its value, so the counts differ if one was dropped because its key came again.
    # (A colon within a key makes them differ too; then the slow look finds nothing.)
    if b"{" in raw_values or record.count(b":") != len(members) + raw_values.count(b":"):
        repeated = repeated_key(text)
        if repeated is not None:
            return fault(RAW_FIELD, "repeated_key", key=quoted_key(repeated))
    return members


def _kind(message: str) -> str:
    """msgspec says: Expected `object`, got `array`; of a number that no float holds, that it is out of range."""
    given = message.rsplit("`", 2)[1] if "`" in message else ""
    kinds = {"array": "an array", "str": "a string", "null": "null", "bool": "a boolean"}
    return kinds.get(given, "a number")


# What msgspec says → what we say, and how far its position stands past the byte that is at fault.
_MALFORMATIONS = {
    "trailing characters": ("something follows the object", 1),
    "invalid character in unicode escape": ("invalid \\u escape", 1),
    "invalid escaped character": ("invalid escape in a string", 0),
    "invalid escape character in string": ("invalid escape in a string", 1),  # of a key
    "expected '\"'": ("object keys must be strings", 0),
}
_SAID = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")
_ESCAPE = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_CONSTANT = re.compile(rb"-?(?:NaN|Infinity)\b")
_WORDS = (b"true", b"false", b"null")
_COUNTED = re.compile(rb"[tfn].{0,3}\Z|\\u", re.DOTALL)
_TOO_SHORT = "the record ends too soon"
_NO_SECOND_HALF = "unexpected end of hex escape"  # after the first half of a surrogate pair, whatever follows
_MISSPELLED = "misspelled true, false or null"
_BARE_WORD = re.compile(rb"[ \t\r\n]*(?=[tfn])")


def _malformed(record: bytes, message: str) -> Fault:
    said = _SAID.fullmatch(message)
    if said is None or "surrogate" in said[1] or said[1] == _NO_SECOND_HALF:
        lone = _lone_surrogate(record)
        what, position = _too_short(record) if lone is None else ("lone surrogate", lone)
    elif said[1] == "invalid character":
        what, position = _invalid_character(record, int(said[2]))
    else:
        what, past = _MALFORMATIONS.get(said[1], (said[1], 0))
        position = int(said[2]) - past
    return _malformed_at(what, position)


def _malformed_at(what: str, position: int) -> Fault:
    return fault(RAW_FIELD, "malformed_json", what=what, position=position)


def ends_too_soon(length: int) -> Fault:
    """Of a record that is all right as far as it goes, for so many bytes."""
    return _malformed_at(_TOO_SHORT, length)


def _lone_surrogate(record: bytes) -> int | None:
    if b"\\" not in record:
        return None
    return next((escape.start() for escape in _ESCAPE.finditer(record) if escape[2]), None)


def _too_short(record: bytes) -> tuple[str, int]:
    """msgspec counts a word's letters, and an escape's digits, before it looks: `{"a":no}` lacks one by its count."""
    too_short = _TOO_SHORT, len(record)
    if not _COUNTED.search(record, max(len(record) - 7, 0)):
        return too_short
    try:
        _decode_members(record + b"    ")
    except msgspec.DecodeError as error:
        said = _SAID.fullmatch(str(error))
        if said is not None and said[1] == "invalid character":
            what, start = _invalid_character(record, int(said[2]))
            if not any(word.startswith(record[start:].rstrip()) for word in _WORDS):
                return what, start
        elif said is not None and said[1] in _MALFORMATIONS:
            what, past = _MALFORMATIONS[said[1]]
            if int(said[2]) - past < len(record):
                return what, int(said[2]) - past
    return too_short


def _invalid_character(record: bytes, position: int) -> tuple[str, int]:
    """The commonest of them said more plainly. In a string only a control character is invalid."""
    if bare_word := _BARE_WORD.match(record):  # only here msgspec's position stands behind the word
        return _MISSPELLED, bare_word.end()
    start = position - record[:position].endswith(b"-")
    if _CONSTANT.match(record, start):
        return "NaN and Infinity are not JSON", start
    if position >= len(record):  # after a minus
        return _TOO_SHORT, len(record)
    if record[position] < 0x20:
        return "control character", position
    if record[:position].endswith((b"t", b"f", b"n")):
        return _MISSPELLED, position - 1
    return "invalid character", position
