"""Write the tables below docs/reference from the code: field types, rejection reasons, settings, routes.

Run it when tests/test_docs.py says that one of the pages shows what was, and read the difference before you commit it.
What the code can't say of itself, in words and examples, stands here: a type, a constraint or a code without them is a
`KeyError`, and the test runs every example through the kernel.
"""

import json
import runpy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import FunctionType
from typing import Any

from assay import fieldtypes, rejections, schema
from assay.fieldtypes import FIELD_TYPES, Refused
from assay.rejections import REJECTION_CODES
from assay.schema import CONSTRAINTS

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
START = "<!-- Below, all is written by scripts/write_reference_docs.py -->\n"
FILES = {"jsonl": "JSON Lines", "csv": "CSV"}


@dataclass(frozen=True)
class Example:
    """A value as it stands in a file of this format, and what becomes of it: `value`, or `reason` for a rejection."""

    format: str
    raw: str
    value: object = None
    reason: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)


def in_json(raw: str, value: object = None, reason: str = "", **settings: object) -> Example:
    return Example("jsonl", raw, value, reason, settings)


def in_csv(raw: str, value: object = None, reason: str = "", **settings: object) -> Example:
    return Example("csv", raw, value, reason, settings)


@dataclass(frozen=True)
class TypeNotes:
    """What a type is for and what it accepts, in words and by examples."""

    meaning: str
    json: str
    csv: str
    examples: Sequence[Example]


URL_SENTENCE = "Value must be an absolute http or https URL"
AUDIO_SENTENCE = "Audio URL must end with one of .aac, .m4a, .mp3, .wav"
VIDEO_SENTENCE = "Video URL must end with one of .mp4, .webm, .mov"
URL_WORDS = "an absolute `http` or `https` URL of at most 8,192 characters, without spaces"

TYPE_NOTES = {
    "text": TypeNotes(
        "Any text.",
        "A string. A number, `true` or `false` becomes text as it is spelled. Arrays and objects are refused.",
        "Any cell, kept as it is, spaces too.",
        [
            in_json('"blue"', "blue"),
            in_json("1.50", "1.50"),
            in_csv("007", "007"),
            in_csv('"a, b"', "a, b"),
            in_json('["blue"]', reason="Value must be text"),
            in_csv("blue", reason="Value must be at most 3 characters", maxLength=3),
        ],
    ),
    "image_url": TypeNotes(
        "The address of an image. Nothing is fetched, and the ending may be any.",
        f"A string that is {URL_WORDS}.",
        f"A cell that is {URL_WORDS}.",
        [
            in_json('"https://example.org/1.png"', "https://example.org/1.png"),
            in_csv("http://localhost:8000/image?id=7", "http://localhost:8000/image?id=7"),
            in_json('"images/1.png"', reason=URL_SENTENCE),
            in_csv("ftp://example.org/1.png", reason=URL_SENTENCE),
        ],
    ),
    "audio_url": TypeNotes(
        "The address of a sound file. Nothing is fetched.",
        f"A string that is {URL_WORDS}, whose path ends with `.aac`, `.m4a`, `.mp3` or `.wav`, in any case.",
        "A cell that is such a URL.",
        [
            in_json('"https://example.org/1.mp3?v=2"', "https://example.org/1.mp3?v=2"),
            in_csv("https://example.org/1.WAV", "https://example.org/1.WAV"),
            in_json('"https://example.org/1.ogg"', reason=AUDIO_SENTENCE),
            in_csv("1.mp3", reason=URL_SENTENCE),
        ],
    ),
    "video_url": TypeNotes(
        "The address of a film. Nothing is fetched.",
        f"A string that is {URL_WORDS}, whose path ends with `.mp4`, `.webm` or `.mov`, in any case.",
        "A cell that is such a URL.",
        [
            in_json('"https://example.org/1.mp4"', "https://example.org/1.mp4"),
            in_csv("https://example.org/1.webm#t=10", "https://example.org/1.webm#t=10"),
            in_json('"https://example.org/watch?v=1.mp4"', reason=VIDEO_SENTENCE),
            in_csv("example.org/1.mp4", reason=URL_SENTENCE),
        ],
    ),
    "metadata": TypeNotes(
        "Whatever goes with a record and is of no concern to the schema, as text.",
        "Any value. A string becomes its text, anything else its JSON as it stands.",
        "Any cell, kept as it is.",
        [
            in_json('"batch 7"', "batch 7"),
            in_json('{"batch": 7}', '{"batch": 7}'),
            in_csv("batch 7", "batch 7"),
            in_json("null", reason="Field is required", required=True),
            in_csv("batch 7", reason="Value must match ^[0-9]+$", pattern="^[0-9]+$"),
        ],
    ),
    "task_group_id": TypeNotes(
        "Says which records belong together. A schema has at most one such field.",
        "A string that is more than white space, or a number, which becomes text as it is spelled.",
        "Any cell that is more than white space.",
        [
            in_json('"group-1"', "group-1"),
            in_json("17", "17"),
            in_csv("17", "17"),
            in_json("true", reason="Value must be a non-empty identifier"),
            in_csv('" "', reason="Value must be a non-empty identifier"),
        ],
    ),
    "integer": TypeNotes(
        "A whole number in 64 bits.",
        "A number of whole value, however it is spelled. No strings.",
        "The same spellings: no `+`, no leading zeros, no spaces, no thousands.",
        [
            in_json("-5", -5),
            in_json("5.0", 5),
            in_csv("5e2", 500),
            in_json("5.5", reason="Value must be an integer"),
            in_json('"5"', reason="Value must be an integer"),
            in_csv("007", reason="Value must be an integer"),
            in_csv("9223372036854775808", reason="Value must be an integer in 64 bits"),
        ],
    ),
    "number": TypeNotes(
        "A number, as a 64-bit float holds it.",
        "A number that is finite as a float. No strings.",
        "The same spellings: no `+`, no leading zeros, no spaces, a point for the decimals, no `NaN`.",
        [
            in_json("-5", -5.0),
            in_json("1e3", 1000.0),
            in_csv("0.25", 0.25),
            in_json('"0.25"', reason="Value must be a number"),
            in_json("1e999", reason="Value must be a number"),
            in_csv(".5", reason="Value must be a number"),
        ],
    ),
    "boolean": TypeNotes(
        "Yes or no.",
        "`true`, `false`, or a string that says so in any case.",
        "`true` or `false` in any case. Not `1`, not `yes`.",
        [
            in_json("true", True),
            in_json('"False"', False),
            in_csv("TRUE", True),
            in_json("1", reason="Value must be true or false"),
            in_csv("yes", reason="Value must be true or false"),
        ],
    ),
    "date": TypeNotes(
        "A day of the calendar, years 0001 to 9999.",
        "A string `YYYY-MM-DD` of a day that there is.",
        "A cell `YYYY-MM-DD` of a day that there is.",
        [
            in_json('"2024-02-29"', date(2024, 2, 29)),
            in_csv("2025-12-31", date(2025, 12, 31)),
            in_json('"2023-02-29"', reason="Value must be a date (YYYY-MM-DD)"),
            in_csv("31.12.2025", reason="Value must be a date (YYYY-MM-DD)"),
        ],
    ),
    "datetime": TypeNotes(
        "A moment, kept in UTC by the microsecond; finer digits are cut off.",
        "A string that RFC 3339 calls a date-time: date, time to the second or finer, and `Z` or an offset. A space "
        "may stand for the `T`. No leap seconds.",
        "A cell of the same form.",
        [
            in_json('"2024-05-01T12:00:00Z"', datetime(2024, 5, 1, 12, tzinfo=UTC)),
            in_json('"2024-05-01T12:00:00.1234567+02:00"', datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)),
            in_csv("2024-05-01 12:00:00-05:00", datetime(2024, 5, 1, 17, tzinfo=UTC)),
            in_json('"2024-05-01T12:00:00"', reason="Value must be an RFC 3339 date-time"),
            in_csv("2024-05-01", reason="Value must be an RFC 3339 date-time"),
        ],
    ),
    "json": TypeNotes(
        "Any JSON value, kept as JSON text.",
        "Any value, kept as it stands.",
        "A cell that is JSON, with no key twice in an object, is kept as it stands; any other text becomes a JSON "
        "string. No cell is refused.",
        [
            in_json('{"a": [1, 2]}', '{"a": [1, 2]}'),
            in_json('"blue"', '"blue"'),
            in_csv('"[1, 2]"', "[1, 2]"),
            in_csv("blue", '"blue"'),
            in_json("null", reason="Field is required", required=True),
            in_csv("", reason="Field is required", required=True),
        ],
    ),
}


@dataclass(frozen=True)
class ConstraintNotes:
    """What a constraint asks, the codes that it gives, and a type with a value that passes and one that doesn't."""

    meaning: str
    codes: Sequence[str]
    type: str
    examples: Sequence[Example]


CONSTRAINT_NOTES = {
    "enum": ConstraintNotes(
        "The value is one of these, at most 10,000.",
        ["not_in_enum"],
        "text",
        [
            in_json('"red"', "red", enum=["red", "blue"]),
            in_json('"Red"', reason="Value must be one of: red, blue", enum=["red", "blue"]),
        ],
    ),
    "pattern": ConstraintNotes(
        "The regular expression ([RE2](https://github.com/google/re2/wiki/Syntax)) has a match somewhere in the value; "
        "`^` and `$` tie it to both ends.",
        ["pattern_mismatch"],
        "text",
        [
            in_json('"P0042"', "P0042", pattern="^P[0-9]{4}$"),
            in_json('"P42"', reason="Value must match ^P[0-9]{4}$", pattern="^P[0-9]{4}$"),
        ],
    ),
    "minLength": ConstraintNotes(
        "So many characters (Unicode code points) at least.",
        ["too_short"],
        "text",
        [
            in_json('"née"', "née", minLength=3),
            in_json('"né"', reason="Value must be at least 3 characters", minLength=3),
        ],
    ),
    "maxLength": ConstraintNotes(
        "So many characters at most.",
        ["too_long"],
        "text",
        [
            in_json('"née"', "née", maxLength=3),
            in_json('"nées"', reason="Value must be at most 3 characters", maxLength=3),
        ],
    ),
    "minimum": ConstraintNotes(
        "At least this.",
        ["below_minimum", "not_positive"],
        "integer",
        [
            in_json("18", 18, minimum=18),
            in_json("17", reason="Value must be at least 18", minimum=18),
            in_json("0", reason="Value must be a positive integer", minimum=1),
        ],
    ),
    "maximum": ConstraintNotes(
        "At most this.",
        ["above_maximum"],
        "number",
        [
            in_json("1", 1.0, maximum=1),
            in_json("1.01", reason="Value must be at most 1", maximum=1),
        ],
    ),
    "exclusiveMinimum": ConstraintNotes(
        "More than this.",
        ["not_above", "not_positive"],
        "number",
        [
            in_json("0.1", 0.1, exclusiveMinimum=0),
            in_json("0", reason="Value must be greater than 0", exclusiveMinimum=0),
        ],
    ),
    "exclusiveMaximum": ConstraintNotes(
        "Less than this.",
        ["not_below"],
        "integer",
        [
            in_json("99", 99, exclusiveMaximum=100),
            in_json("100", reason="Value must be less than 100", exclusiveMaximum=100),
        ],
    ),
}

LIMITS = [
    ("fields", f"1 to {schema.MAX_FIELDS}"),
    ("characters of a field's key", f"1 to {schema.MAX_KEY_CHARACTERS}"),
    ("characters of a `label`", f"at most {schema.MAX_LABEL_CHARACTERS}"),
    ("fields of the type `task_group_id`", "at most 1"),
    ("values of an `enum`, each once", f"1 to {schema.MAX_ENUM_VALUES:,}"),
    ("characters of a `pattern`", f"at most {schema.MAX_PATTERN_CHARACTERS:,}"),
    ("`minLength` and `maxLength`", f"0 to {schema.MAX_LENGTH:,}"),
]

# Codes that a bound gives only to one type: it has a plainer sentence for `minimum: 1` and `exclusiveMinimum: 0`.
ONLY_OF_TYPES = {"not_positive": ["integer"]}

SCHEMA = {
    "strict": True,
    "fields": {
        "participant_id": {"type": "text", "pattern": "^P[0-9]{4}$"},
        "age": {"type": "integer", "minimum": 18},
        "seen_on": {"type": "date"},
        "photo": {"type": "image_url", "required": False},
    },
}
RECORDS = """\
{"participant_id": "P0001", "age": 42, "seen_on": "2024-05-01", "photo": "https://example.org/1.png"}
{"participant_id": "P0002", "age": 17, "seen_on": "2024-05-01"}
{"participant_id": "P0003", "age": 30, "seen_on": "1 May 2024", "note": "not in the schema, so left out"}
{"participant_id": "P0004", "age": 51, "seen_on": null}
{"participant_id": "P0005", "age": 29, "seen_on": "2024-05-02"}
"""
FAULTS = [
    (1, "age", "Value must be at least 18"),
    (2, "seen_on", "Value must be a date (YYYY-MM-DD)"),
    (3, "seen_on", "Field is required"),
]


@dataclass(frozen=True)
class RecordExample:
    """A whole record that can't be read, of the fields `x` and `y`; `shown` is how to print it, if not as it is."""

    format: str
    record: bytes
    reason: str
    shown: str = ""
    limit_bytes: int = 16 * 1024 * 1024


RECORD_EXAMPLES = {
    "malformed_json": [
        RecordExample("jsonl", b'{"x": "a",}', "Malformed JSON in record: trailing comma in object at byte 10"),
        RecordExample("jsonl", b'{"x": NaN}', "Malformed JSON in record: NaN and Infinity are not JSON at byte 6"),
    ],
    "not_an_object": [RecordExample("jsonl", b'["a", "b"]', "Record must be a JSON object, not an array")],
    "repeated_key": [
        RecordExample("jsonl", b'{"x": "a", "x": "b"}', "Key appears more than once in an object: x"),
    ],
    "nested_too_deeply": [
        RecordExample(
            "jsonl",
            b'{"x": ' + b"[" * 256 + b"]" * 256 + b"}",
            "Record is nested too deeply: at most 256 levels",
            shown='`{"x": [[[…]]]}`, 256 brackets within the object',
        ),
    ],
    "malformed_csv": [
        RecordExample("csv", b'"a"b,c', "Malformed CSV in record: text after a closing quote at byte 3"),
    ],
    "wrong_cell_count": [RecordExample("csv", b"a,b,c", "Record has 3 cells, but the header has 2")],
    "invalid_utf8": [
        RecordExample(
            "jsonl",
            b'{"x": "\xff"}',
            "Record is not valid UTF-8: invalid byte at byte 7; save the file as UTF-8",
            shown='`{"x": "…"}`, where `…` is the byte FF',
        ),
        RecordExample(
            "csv",
            b"\xff,b",
            "Record is not valid UTF-8: invalid byte at byte 0; save the file as UTF-8",
            shown="`…,b`, where `…` is the byte FF",
        ),
    ],
    "record_too_long": [
        RecordExample(
            "jsonl",
            b'{"x": "' + b"a" * 1020 + b'"}',
            "Record is 1,029 bytes long; at most 1,024 are allowed",
            shown='`{"x": "aaa…"}`, with `--record-limit-bytes 1024`',
            limit_bytes=1024,
        ),
        RecordExample(
            "csv",
            b"a" * 1024 + b",b",
            "Record is 1,026 bytes long; at most 1,024 are allowed",
            shown="`aaa…,b`, with `--record-limit-bytes 1024`",
            limit_bytes=1024,
        ),
    ],
}


def codes_of_type(name: str) -> set[str]:
    """What the type itself can refuse with: the `Refused` that its functions, and those that they call, name."""
    type_ = FIELD_TYPES[name]
    return set(_refusals([type_.parse_json, type_.parse_text]))


def _refusals(functions: Iterable[object]) -> Iterator[str]:
    waiting, seen = list(functions), set[object]()
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, Refused):
            yield thing.code
        elif isinstance(thing, FunctionType) and thing not in seen and thing.__module__ == fieldtypes.__name__:
            seen.add(thing)
            waiting += [vars(fieldtypes).get(word) for word in thing.__code__.co_names]


def givers() -> dict[str, tuple[list[str], list[str]]]:
    """For each code of a field: the constraints that give it, and the types whose fields can."""
    found: dict[str, tuple[list[str], list[str]]] = {"required": ([], list(FIELD_TYPES))}
    for name in FIELD_TYPES:
        for code in codes_of_type(name):
            found.setdefault(code, ([], []))[1].append(name)
    for constraint in CONSTRAINTS:
        for code in CONSTRAINT_NOTES[constraint].codes:
            constraints, types = found.setdefault(code, ([], []))
            constraints.append(constraint)
            taking = [name for name, row in FIELD_TYPES.items() if constraint in row.constraints]
            types += [name for name in ONLY_OF_TYPES.get(code, taking) if name not in types]
    return found


def code(text: object) -> str:
    return f"`{text}`"


def sentence(name: str) -> str:
    """A code's sentence, without what Python wants to know about how a number is written."""
    return REJECTION_CODES[name].template.replace(":,}", "}")


def codes(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def table(*rows: Sequence[str]) -> str:
    head, *body = rows
    cells = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in body)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def shown(value: object) -> str:
    """A value as the pages show it: texts in quotes, unless they have their own."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date) or (isinstance(value, str) and '"' in value):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def settings_of(settings: Mapping[str, object]) -> str:
    return ", ".join(code(json.dumps({key: of})[1:-1]) for key, of in settings.items())


def value_of(example: Example) -> str:
    return code(example.raw) if example.raw else "an empty cell"


def became(example: Example) -> str:
    return f"rejected: {example.reason}" if example.reason else code(shown(example.value))


def field_types_page() -> Iterator[str]:
    yield f"## An example\n\n```json\n{json.dumps(SCHEMA, indent=2)}\n```\n"
    yield f"With this schema, of these five records\n\n```json\n{RECORDS}```\n"
    yield "the first and the last are accepted, and the others are rejected:\n"
    yield table(("`record_index`", "field", "reason"), *((str(at), code(key), why) for at, key, why in FAULTS)) + "\n"
    yield "## All types\n"
    rows = [
        (f"[{code(name)}](#{name})", code(row.arrow), codes(row.constraints) or "none")
        for name, row in FIELD_TYPES.items()
    ]
    yield table(("type", "Arrow type of the column", "constraints"), *rows)
    for name in FIELD_TYPES:
        yield from _type(name)
    yield from _constraints()
    yield "\n## Limits of a schema\n"
    yield table(("what", "how much"), *LIMITS)


def _type(name: str) -> Iterator[str]:
    notes = TYPE_NOTES[name]
    yield f"\n## `{name}`\n\n{notes.meaning}\n"
    yield f"- **JSON Lines:** {notes.json}"
    yield f"- **CSV:** {notes.csv}\n"
    rows = [
        (
            FILES[each.format],
            value_of(each) + (f", with {settings_of(each.settings)}" if each.settings else ""),
            became(each),
        )
        for each in notes.examples
    ]
    yield table(("file", "value in the file", "becomes"), *rows)


def _constraints() -> Iterator[str]:
    yield "\n## Constraints\n"
    meanings = []
    for name in CONSTRAINTS:
        types = codes(type_name for type_name, row in FIELD_TYPES.items() if name in row.constraints)
        meanings.append((code(name), CONSTRAINT_NOTES[name].meaning, types))
    yield table(("constraint", "what it asks", "types"), *meanings) + "\n"
    rows = [
        (settings_of({"type": notes.type, **each.settings}), value_of(each), became(each))
        for notes in (CONSTRAINT_NOTES[name] for name in CONSTRAINTS)
        for each in notes.examples
    ]
    yield table(("field", "value in JSON Lines", "becomes"), *rows)


def rejection_reasons_page() -> Iterator[str]:
    of_fields = givers()
    of_records = [name for name in REJECTION_CODES if name not in of_fields]
    yield "## A record that can't be read\n\nThe field is `_raw`, and there is one fault.\n"
    raw = [(code(name), REJECTION_CODES[name].title, sentence(name), ", ".join(_formats(name))) for name in of_records]
    yield table(("code", "title", "sentence", "files"), *raw) + "\n"
    yield "For example, with the two fields `x` and `y`:\n"
    examples = [
        (FILES[each.format], each.shown or code(each.record.decode()), each.reason)
        for name in of_records
        for each in RECORD_EXAMPLES[name]
    ]
    yield table(("file", "record", "reason"), *examples) + "\n"
    yield "## A field of a record\n"
    named = [(name, *of_fields[name]) for name in REJECTION_CODES if name in of_fields]
    rows = [
        (
            code(name),
            REJECTION_CODES[name].title,
            sentence(name),
            codes(constraints),
            "every type" if len(types) == len(FIELD_TYPES) else codes(types),
        )
        for name, constraints, types in named
    ]
    yield table(("code", "title", "sentence", "constraints", "types"), *rows) + "\n"
    yield (
        f"Of an `enum`, `{{values}}` shows the first {rejections.MAX_LISTED_VALUES} values, each cut to "
        f"{rejections.MAX_LISTED_CHARACTERS} characters, and says how many more there are: `… (7 more)`."
    )


def _formats(name: str) -> list[str]:
    return [words for format, words in FILES.items() if any(each.format == format for each in RECORD_EXAMPLES[name])]


def settings_page() -> Iterator[str]:
    refresh: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("refresh_readme.py")))
    yield "| option | variable | default | meaning |\n| --- | --- | --- | --- |"
    yield from refresh["settings_rows"]()


def routes_page() -> Iterator[str]:
    routes: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("list_routes.py")))
    yield from routes["routes_page"]()


PAGES = {
    "field-types.md": field_types_page,
    "rejection-reasons.md": rejection_reasons_page,
    "settings.md": settings_page,
    "routes.md": routes_page,
}


def page_of(name: str, text: str) -> str:
    """The page with its generated part as it is now."""
    return text.split(START, maxsplit=1)[0] + START + "\n" + "\n".join(PAGES[name]()) + "\n"


def main() -> None:
    for name in PAGES:
        path = REFERENCE / name
        path.write_text(page_of(name, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
