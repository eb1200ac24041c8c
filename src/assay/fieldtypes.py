"""The field types: for each its Arrow type, its constraints, and the two functions that define what a valid value is.

`parse_json` reads the bytes of one JSON value, already known to be valid JSON and not null; `parse_text` reads the
text of one CSV cell, never empty. Both give the column's value, or a `Refused`. The kernel may recognise
valid values faster, but these functions are the definition of correct.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv6Address

import msgspec

MAX_NESTING = 256
MAX_URL_CHARACTERS = 8192
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

TEXT_CONSTRAINTS = ("enum", "pattern", "minLength", "maxLength")
NUMBER_CONSTRAINTS = ("enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


@dataclass(frozen=True)
class Refused:
    """A value that its type doesn't accept; `code` is a key of `rejections.REJECTION_CODES`."""

    code: str


Value = str | int | float | bool | date
Parsed = Value | Refused

NOT_TEXT = Refused("not_text")
NOT_A_URL = Refused("not_a_url")
NOT_AN_AUDIO_URL = Refused("not_an_audio_url")
NOT_A_VIDEO_URL = Refused("not_a_video_url")
NOT_AN_IDENTIFIER = Refused("not_an_identifier")
NOT_AN_INTEGER = Refused("not_an_integer")
INTEGER_TOO_LARGE = Refused("integer_too_large")
NOT_A_NUMBER = Refused("not_a_number")
NOT_A_BOOLEAN = Refused("not_a_boolean")
NOT_A_DATE = Refused("not_a_date")
NOT_A_DATETIME = Refused("not_a_datetime")

# A JSON value's first byte tells its kind.
_QUOTE, _BRACE, _BRACKET = b'"'[0], b"{"[0], b"["[0]
_NUMBER_STARTS = frozenset(b"-0123456789")
_decode_string: Callable[[bytes], str] = msgspec.json.Decoder(str).decode
# Reads the grammar and builds no value, so a number may have any size.
_read_any: Callable[[str], object] = msgspec.json.Decoder(msgspec.Raw).decode


def text_from_json(raw: bytes) -> Parsed:
    kind = raw[0]
    if kind == _QUOTE:
        return _decode_string(raw)
    return NOT_TEXT if kind in (_BRACE, _BRACKET) else raw.decode()


def text_from_text(text: str) -> Parsed:
    return text


def metadata_from_json(raw: bytes) -> Parsed:
    return _decode_string(raw) if raw[0] == _QUOTE else raw.decode()


def identifier_from_json(raw: bytes) -> Parsed:
    if raw[0] == _QUOTE:
        return identifier_from_text(_decode_string(raw))
    return raw.decode() if raw[0] in _NUMBER_STARTS else NOT_AN_IDENTIFIER


def identifier_from_text(text: str) -> Parsed:
    return text if text.strip() else NOT_AN_IDENTIFIER


# The characters that RFC 3986 lets stand nowhere and that no browser takes as they are. Letters beyond ASCII are fine.
_NEVER = r'\s\x00-\x1f\x7f<>"\\'
_URL = re.compile(
    rf"(?:[hH][tT][tT][pP][sS]?)://(?:[^{_NEVER}/?#@]*@)?"
    rf"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?![-.])(?:[A-Za-z0-9._~-]|[^{_NEVER}\x00-\x7f])+)"
    rf"(?::(?P<port>[0-9]{{0,5}}))?(?P<path>/[^{_NEVER}?#]*)?(?:[?#][^{_NEVER}]*)?"
)
_AUDIO_ENDINGS = (".aac", ".m4a", ".mp3", ".wav")
_VIDEO_ENDINGS = (".mp4", ".webm", ".mov")


def _path_of_url(text: str) -> str | None:
    """The path of an absolute http(s) URL (empty if it has none), or None for any other text."""
    match = _URL.fullmatch(text) if len(text) <= MAX_URL_CHARACTERS else None
    if match is None or int(match["port"] or 0) > 65_535:
        return None
    if match["address"] is not None and not _is_ipv6(match["address"]):
        return None
    return match["path"] or ""


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def url_from_text(text: str) -> Parsed:
    return NOT_A_URL if _path_of_url(text) is None else text


def audio_url_from_text(text: str) -> Parsed:
    path = _path_of_url(text)
    if path is None:
        return NOT_A_URL
    return text if path.lower().endswith(_AUDIO_ENDINGS) else NOT_AN_AUDIO_URL


def video_url_from_text(text: str) -> Parsed:
    path = _path_of_url(text)
    if path is None:
        return NOT_A_URL
    return text if path.lower().endswith(_VIDEO_ENDINGS) else NOT_A_VIDEO_URL


def url_from_json(raw: bytes) -> Parsed:
    return url_from_text(_decode_string(raw)) if raw[0] == _QUOTE else NOT_A_URL


def audio_url_from_json(raw: bytes) -> Parsed:
    return audio_url_from_text(_decode_string(raw)) if raw[0] == _QUOTE else NOT_A_URL


def video_url_from_json(raw: bytes) -> Parsed:
    return video_url_from_text(_decode_string(raw)) if raw[0] == _QUOTE else NOT_A_URL


# RFC 8259's number; a CSV cell has to be written the same way, so 007 or +5 isn't silently made something else.
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_PLAIN_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)


def integer_from_json(raw: bytes) -> Parsed:
    return integer_from_text(raw.decode()) if raw[0] in _NUMBER_STARTS else NOT_AN_INTEGER


def integer_from_text(text: str) -> Parsed:
    return int(text) if _PLAIN_INTEGER.fullmatch(text) else _integer_by_digits(text)


def _integer_by_digits(text: str) -> Parsed:
    """5.0, 5e2, 0.5e1: exact for any number of digits and any exponent, without ever building a huge integer."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return NOT_AN_INTEGER
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", match[4] or "0"
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    significant = digits.rstrip("0")
    power = _bounded(exponent) - len(fraction) + len(digits) - len(significant)
    if power < 0:
        return NOT_AN_INTEGER
    if len(significant) + power > 19:
        return INTEGER_TOO_LARGE
    value = int(sign + significant + "0" * power)
    return value if INT64_MIN <= value <= INT64_MAX else INTEGER_TOO_LARGE


def _bounded(exponent: str) -> int:
    """Past twelve digits, zeros before them not counted, an exponent outweighs all digits that a record can have."""
    size = int(exponent.lstrip("+-").lstrip("0")[:13] or "0")
    return -size if exponent.startswith("-") else size


def number_from_json(raw: bytes) -> Parsed:
    return _finite(raw.decode()) if raw[0] in _NUMBER_STARTS else NOT_A_NUMBER


def number_from_text(text: str) -> Parsed:
    return _finite(text) if _NUMBER.fullmatch(text) else NOT_A_NUMBER


def _finite(text: str) -> Parsed:
    value = float(text)
    return value if value - value == 0 else NOT_A_NUMBER


def boolean_from_json(raw: bytes) -> Parsed:
    if raw[0] == _QUOTE:
        return boolean_from_text(_decode_string(raw))
    return True if raw == b"true" else False if raw == b"false" else NOT_A_BOOLEAN


def boolean_from_text(text: str) -> Parsed:
    lowered = text.lower()
    return True if lowered == "true" else False if lowered == "false" else NOT_A_BOOLEAN


_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))",
    re.ASCII,
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MICROSECONDS = 86_400_000_000
# Years 1 to 9999 in UTC: what every reader of the column can hold.
_FIRST_MICROSECOND = (date.min.toordinal() - _EPOCH_DAY) * _DAY_MICROSECONDS
_LAST_MICROSECOND = (date.max.toordinal() - _EPOCH_DAY + 1) * _DAY_MICROSECONDS - 1


def date_from_json(raw: bytes) -> Parsed:
    return date_from_text(_decode_string(raw)) if raw[0] == _QUOTE else NOT_A_DATE


def date_from_text(text: str) -> Parsed:
    match = _DATE.fullmatch(text)
    if match is None:
        return NOT_A_DATE
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return NOT_A_DATE


def datetime_from_json(raw: bytes) -> Parsed:
    return datetime_from_text(_decode_string(raw)) if raw[0] == _QUOTE else NOT_A_DATETIME


def datetime_from_text(text: str) -> Parsed:
    """Microseconds since 1970 in UTC; finer digits are cut off. A leap second has no place in the column: refused."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        return NOT_A_DATETIME
    try:
        day = date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH_DAY
    except ValueError:
        return NOT_A_DATETIME
    seconds = int(match[4]) * 3600 + int(match[5]) * 60 + int(match[6])
    if match[8]:
        offset = int(match[9]) * 3600 + int(match[10]) * 60
        seconds += offset if match[8] == "-" else -offset
    microseconds = (day * 86_400 + seconds) * 1_000_000 + int((match[7] or "")[:6].ljust(6, "0"))
    return microseconds if _FIRST_MICROSECOND <= microseconds <= _LAST_MICROSECOND else NOT_A_DATETIME


def json_from_json(raw: bytes) -> Parsed:
    return raw.decode()


def json_from_text(text: str) -> Parsed:
    """A cell that is JSON stays as it stands; any other text becomes a JSON string."""
    return text if is_json(text) else msgspec.json.encode(text).decode()


def is_json(text: str) -> bool:
    """Whether a JSONL record may have it as a value: RFC 8259, not too many levels, and no key twice in an object."""
    if is_nested_deeper(text, MAX_NESTING - 1):
        return False
    try:
        _read_any(text)
    except msgspec.DecodeError:
        return False
    return "{" not in text or repeated_key(text) is None


_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def is_nested_deeper(text: str, limit: int) -> bool:
    """Whether brackets outside strings are nested more than `limit` levels; right for any text, JSON or not."""
    if limit > 0 and text.find("{", 1) < 0 and "[" not in text:  # this takes a quarter of the time that counting takes
        return False
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth > limit:
                return True
        elif token[0] in ("]", "}"):
            depth -= 1
    return False


class _RepeatedKeyError(Exception):
    pass


def _only_keys(pairs: list[tuple[str, object]]) -> None:
    twice = key_twice_in(pairs)
    if twice is not None:
        raise _RepeatedKeyError(twice)


def key_twice_in(pairs: list[tuple[str, object]]) -> str | None:
    """The first key of an object that stands there before."""
    if len(pairs) > 1 and len(dict(pairs)) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                return key
            seen.add(key)
    return None


# The numbers are of no interest, and int() refuses those of more than 4,300 digits.
_walk = json.JSONDecoder(object_pairs_hook=_only_keys, parse_int=len, parse_float=len).decode


def repeated_key(text: str) -> str | None:
    """The first key that stands twice in an object at any level of valid JSON, as the innermost object has it."""
    try:
        _walk(text)
    except _RepeatedKeyError as error:
        return str(error.args[0])
    return None


@dataclass(frozen=True)
class FieldType:
    """`arrow` is a type's name as pyarrow prints it; `constraints` are the schema keys that fit the type."""

    arrow: str
    constraints: tuple[str, ...]
    parse_json: Callable[[bytes], Parsed]
    parse_text: Callable[[str], Parsed]


FIELD_TYPES = {
    "text": FieldType("string", TEXT_CONSTRAINTS, text_from_json, text_from_text),
    "image_url": FieldType("string", TEXT_CONSTRAINTS, url_from_json, url_from_text),
    "audio_url": FieldType("string", TEXT_CONSTRAINTS, audio_url_from_json, audio_url_from_text),
    "video_url": FieldType("string", TEXT_CONSTRAINTS, video_url_from_json, video_url_from_text),
    "metadata": FieldType("string", TEXT_CONSTRAINTS, metadata_from_json, text_from_text),
    "task_group_id": FieldType("string", TEXT_CONSTRAINTS, identifier_from_json, identifier_from_text),
    "integer": FieldType("int64", NUMBER_CONSTRAINTS, integer_from_json, integer_from_text),
    "number": FieldType("double", NUMBER_CONSTRAINTS, number_from_json, number_from_text),
    "boolean": FieldType("bool", ("enum",), boolean_from_json, boolean_from_text),
    "date": FieldType("date32[day]", (), date_from_json, date_from_text),
    "datetime": FieldType("timestamp[us, tz=UTC]", (), datetime_from_json, datetime_from_text),
    "json": FieldType("string", (), json_from_json, json_from_text),
}
