# ruff: noqa: SIM905  # a table of tokens reads better as text
"""Schemas and records of every kind, valid, nearly valid and hostile, each made from a seeded generator of chances."""

import json
import random

from assay.errors import InvalidFields
from assay.fieldtypes import FIELD_TYPES, NUMBER_CONSTRAINTS, TEXT_CONSTRAINTS, Refused
from assay.schema import parse_schema

KEYS = [
    "a",
    "b",
    "text",
    "é",
    "日本",
    'q"uote',
    "dot.s",
    "sp ace",
    "back\\slash",
    "tab\t",
    "😀",
    "k" * 40,
    "l" * 70,
    "0",
    "comma,",
]
OTHER_KEYS = ["x", "unknown", "ü", "A", "a ", "", "line\nbreak", *KEYS]
HOSTILE_BYTES = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\x00",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\xc0\xaf",
]
HOSTILE_BYTES += [
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xff",
    b" ",
    b"\t",
    b"null",
    b"NaN",
    b"-",
    b".",
    b"e",
    b"0",
]
HOSTILE_BYTES += [
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\u12",
    b"\\x",
    b'""',
    b"'",
    b"\xef\xbb\xbf",
    "é".encode(),
    "😀".encode(),
]

WORDS = [
    "",
    " ",
    "a",
    "ab",
    "hello world",
    "é",
    "日本語",
    "😀",
    'quote"d',
    "back\\slash",
    "a/b",
    "line\nbreak",
    "cr\rlf\r\n",
    "tab\t",
]
WORDS += [
    "\u2028",
    "\u00a0",
    "\x7f",
    "\x00",
    "\x01",
    "\ufeff",
    "null",
    "true",
    "12",
    "a,b",
    "x" * 31,
    "y" * 32,
    "z" * 33,
    "é" * 40,
]
WORDS += ["v" * 63, "w" * 64, "w" * 65, "w" * 200, '"', '""', "[1]", '{"a":1}', "\u3000", "\x1f", "\x85", "=1+1", "'"]
NUMBERS = """
0 -0 1 -1 7 42 5.0 5.00 -5.0 5.5 0.1 0.5 1e2 1E+2 5e-1 50e-1 1e400 -1e400 9223372036854775807
9223372036854775808 -9223372036854775808 -9223372036854775809 9007199254740993 9007199254740992.0
123456789012345678 1234567890123456789 999999999999999999 -999999999999999999 1e22 1e23 1e-22 1e-23 4.9e-324
2e-324 1.7976931348623157e308 1.7976931348623159e308 0.30000000000000004 3.141592653589793
2.2250738585072014e-308 100000000000000000000 0e0 0.0 -0.0 -0e5 1e00005 1e-00005
0.0000000000000000000000000000001 1000000000000000000000000000000 1111111111111111111111111e-25 1e99999999999
0e99999999999 1e-99999999999 18.0e0
""".split()
BAD_NUMBERS = """
01 +1 .5 5. 1e 1e+ --1 0x1 NaN Infinity - 1_0 1,0 -01 1.e1 ١
""".split()
BAD_NUMBERS += ["1 ", " 1"]
DATES = """
2024-02-29 2023-02-29 2024-01-01 0001-01-01 0000-01-01 9999-12-31 1970-01-01 1969-12-31 2024-13-01 2024-00-10
2024-01-00 2024-04-31 1900-02-29 2000-02-29 2024-1-1 24-01-01 2024/01/01 -001-01-01
""".split()
DATES += ["2024-01-01 "]
CLOCKS = """
00:00:00 23:59:59 23:59:60 24:00:00 12:34:56 12:60:00 1:00:00 12:34 12:34:56.5 12:34:56.123456789 12:34:56.
00:00:00.000001 12:34:56,5 12:34:56.1234567
""".split()
ZONES = """
Z z +00:00 -00:00 +23:59 -23:59 +24:00 +5:00 +0530 +05:30 UTC +05:3
""".split()
ZONES += ["", " Z"]
URLS = """
https://example.com http://example.com/a.mp3 HTTPS://EXAMPLE.com:8080/b.MP4?x=1#y http://e.com:99999/
http://e.com:65535 http://e.com:/x.png ftp://e.com/a http:// http:///x https://é.com/ä.webm
http://u:p@h.com/x.wav //e.com http:/e.com http://[::1]:80/x.mov http://-e.com http://.e http://e.com/<
http://e.com?.mp3 http://e.com/x.mp3?q http://e.com/.m4a http://e.com/x.aac# http http://e.com/日本.mov
http://e.com/K.mp4 http://a~b.com/ http://e.com/x.mp
""".split()
URLS += [
    "http://e_.com/a b",
    "http://e.com/a\u3000b",
    "https://e.com/" + "p" * 8200,
    "https://e.com/" + "p" * 8178,
    "http://e.com/x\xa0.mp4",
    "http://e.com\\x",
    "http://" + "h" * 64 + ".com/" + "p" * 64 + "/a.mp3",
    "http://" + "h" * 70 + "_/" + "p" * 120 + "<",
    "http://" + "h" * 57 + " /",
]
FLAGS = """
true false TRUE False tRuE yes 1 fals ſalse
""".split()
FLAGS += ["truE "]
SPACES = ["", "", "", "", " ", "  ", "\t", "\r", " \t "]

TEXTS = {
    **dict.fromkeys(("text", "metadata", "json"), WORDS),
    "task_group_id": [*WORDS, "g-1", "g-2", "\u2003", "\x1c"],
    **dict.fromkeys(("image_url", "audio_url", "video_url"), URLS),
    "integer": [*NUMBERS, *BAD_NUMBERS],
    "number": [*NUMBERS, *BAD_NUMBERS],
    "boolean": FLAGS,
    "date": DATES,
    "datetime": [
        day + mark + clock + zone for day in DATES[:8] for mark in "Tt _" for clock in CLOCKS for zone in ZONES
    ],
}
VALID = {
    type_name: [text for text in texts if text and not isinstance(FIELD_TYPES[type_name].parse_text(text), Refused)]
    for type_name, texts in TEXTS.items()
}


def made_schema(chance: random.Random):
    while True:
        keys = chance.sample(KEYS, chance.randint(1, 6))
        fields = {key: _field(chance) for key in keys}
        try:
            return parse_schema({"strict": chance.random() < 0.3, "fields": fields})
        except InvalidFields:  # two groups, or bounds that contradict each other
            continue


def _field(chance):
    type_name = chance.choice(list(FIELD_TYPES))
    field = {"type": type_name}
    if chance.random() < 0.3:
        field["required"] = chance.random() < 0.5
    for constraint in FIELD_TYPES[type_name].constraints:
        if chance.random() < 0.15:
            field[constraint] = _constraint(chance, type_name, constraint)
    return field


def _constraint(chance, type_name, constraint):
    if constraint == "enum":
        return _enum(chance, type_name)
    if constraint == "pattern":
        return chance.choice(
            ["a", "^[a-z ]+$", "é", "(?i)HELLO", r"\d", r"^\PL*$", ".", "^$", "https", "[^a]", r"\bworld", "日.語"]
        )
    if constraint in TEXT_CONSTRAINTS:
        return chance.choice([0, 1, 2, 5, 32, 40])
    assert constraint in NUMBER_CONSTRAINTS
    return chance.choice([0, 1, -1, 5, 1.5, -0.5, 100, 2**53 + 1, -(10**18), 0.1])


def _enum(chance, type_name):
    if type_name == "boolean":
        return chance.choice([[True], [False], [False, True]])
    if type_name == "integer":
        return chance.choice([[1, 5, 42], [0], [5.0, 7]])
    if type_name == "number":
        return chance.choice([[0.1, 5], [0], [0.30000000000000004, 1e22, 42]])
    if type_name.endswith("_url"):
        return ["http://example.com/a.mp3", "http://[::1]:80/x.mov", "HTTPS://EXAMPLE.com:8080/b.MP4?x=1#y"]
    return chance.sample(["a", "ab", "é", "hello world", "g-1", "12", "true", 'quote"d', "😀"], 3)


class Chance(random.Random):
    """A seeded generator of chances; the share `wild` of what it makes may be anything, the rest is likely valid."""

    def __init__(self, made_from: int, wild: float) -> None:
        super().__init__(made_from)
        self.wild = wild

    def is_wild(self) -> bool:
        return self.random() < self.wild


def _text(chance, type_name):
    if not chance.is_wild():
        if type_name == "number" and chance.random() < 0.5:
            return repr(chance.choice([chance.random(), chance.uniform(-1e9, 1e9), float(f"{chance.random():.5}")]))
        return (
            str(chance.randint(0, 10 ** chance.randint(1, 18)))
            if type_name == "integer"
            else chance.choice(VALID[type_name])
        )
    if chance.random() < 0.1:
        return "".join(chance.choices('ab "\\/é日😀\n,', k=chance.randint(0, 70)))
    return chance.choice(TEXTS[type_name])


def _json_string(chance, text):
    style = chance.random()
    if style < 0.6:
        return json.dumps(text, ensure_ascii=False)
    if style < 0.8:
        return json.dumps(text)
    if style < 0.9:
        return json.dumps(text, ensure_ascii=False).replace("/", "\\/")
    return '"' + "".join(f"\\u{unit:04x}" for unit in _utf16(text)) + '"'


def _utf16(text):
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(encoded[at : at + 2], "little") for at in range(0, len(encoded), 2)]


def _json_key(chance, key):
    """Now and then what looks like another key: its own text where escapes should be, or the text of its escapes."""
    if not chance.is_wild():
        return _json_string(chance, key)
    return chance.choice([f'"{key}"', json.dumps(json.dumps(key, ensure_ascii=False)[1:-1], ensure_ascii=False)])


def _json_value(chance, type_name):
    if chance.is_wild():
        return chance.choice([_json_scalar, _json_container])(chance, chance.choice(list(TEXTS)))
    if type_name in ("text", "metadata", "json"):
        return chance.choice([_json_scalar, _json_scalar, _json_container])(chance, "text")
    return _json_scalar(chance, type_name)


def _json_scalar(chance, type_name):
    if chance.is_wild():
        return chance.choice(["null", "true", "false", "Null", "tru", "nulll", *NUMBERS, *BAD_NUMBERS])
    if type_name in ("integer", "number"):
        return _text(chance, type_name)
    if type_name == "boolean" and chance.random() < 0.7:
        return chance.choice(["true", "false"])
    return _json_string(chance, _text(chance, type_name))


def _json_container(chance, type_name, depth=0):
    space = chance.choice(SPACES)
    inner = [
        _json_container(chance, type_name, depth + 1)
        if depth < 4 and chance.random() < 0.3
        else chance.choice(["null", "true", *NUMBERS, _json_scalar(chance, type_name)])
        for _ in range(chance.randint(0, 3))
    ]
    if chance.random() < 0.5:
        return f"[{space}" + f"{space},{space}".join(inner) + "]"
    names = chance.choices(OTHER_KEYS, k=len(inner)) if chance.is_wild() else chance.sample(OTHER_KEYS, len(inner))
    keyed = [f"{_json_string(chance, name)}{space}:{space}{value}" for name, value in zip(names, inner, strict=True)]
    return f"{{{space}" + f"{space},".join(keyed) + f"{space}}}"


def jsonl_record(chance: Chance, schema) -> bytes:
    space = chance.choice(SPACES)
    members = [
        (
            field.key,
            "null"
            if not field.is_required(schema.strict) and chance.random() < 0.1
            else _json_value(chance, field.type),
        )
        for field in schema.fields
        if field.is_required(schema.strict) or chance.random() < 0.9
    ]
    known = {key for key, _ in members}
    if chance.random() < 0.5:
        members += [(name, _json_value(chance, "text")) for name in chance.sample(OTHER_KEYS, 2) if name not in known]
    if chance.is_wild() and members:
        members.append(chance.choice(members))
    if chance.random() < 0.2:
        chance.shuffle(members)
    written = [f"{_json_key(chance, key)}{space}:{space}{value}" for key, value in members]
    record = f"{space}{{{space}" + f"{space},{space}".join(written) + f"{space}}}{space}"
    return _mutated(chance, record.encode("utf-8", "surrogatepass"))


def csv_record(chance: Chance, schema, header) -> bytes:
    fields = {field.key: field for field in schema.fields}
    cells = [_csv_cell(chance, fields.get(name), schema.strict) for name in header]
    if chance.is_wild():
        cells = cells[:-1] if chance.random() < 0.5 else [*cells, "x"]
    return _mutated(chance, ",".join(cells).encode("utf-8", "surrogatepass"))


def _csv_cell(chance, field, strict):
    if (field is None or not field.is_required(strict) or chance.is_wild()) and chance.random() < 0.1:
        return chance.choice(["", '""'])
    type_name = "text" if field is None else field.type
    text = _json_value(chance, "text") if type_name == "json" and chance.random() < 0.7 else _text(chance, type_name)
    if chance.random() < 0.3 or any(character in text for character in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_header(chance: Chance, schema) -> tuple[str, ...]:
    names = [field.key for field in schema.fields if field.is_required(schema.strict) or chance.random() < 0.9]
    names += [name for name in ("x", "unknown") if chance.random() < 0.3]
    chance.shuffle(names)
    return tuple(names or ["x"])


def _mutated(chance, record):
    while chance.is_wild():
        at = chance.randint(0, len(record))
        cut = chance.choice([0, 0, 1, 1, 2, 8])
        after = b"" if chance.random() < 0.2 else chance.choice(HOSTILE_BYTES) + record[at + cut :]
        record = record[:at] + after
        if chance.random() < 0.5:
            break
    return record
