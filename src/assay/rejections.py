"""Why a record is rejected: a catalogue of stable codes, and the sentence that each one becomes.

A reason never quotes the record beyond a key's name or a position: a report may be shown where the data may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

RAW_FIELD = "_raw"
"""The field name of a fault of the whole record."""

MAX_QUOTED_KEY = 128
MAX_LISTED_VALUES = 20
MAX_LISTED_CHARACTERS = 60


@dataclass(frozen=True)
class RejectionCode:
    """`template` has the fault's parameters in braces."""

    title: str
    template: str


REJECTION_CODES = {
    # A record that can't be read at all: the field is `_raw`.
    "malformed_json": RejectionCode("Malformed JSON", "Malformed JSON in record: {what} at byte {position}"),
    "not_an_object": RejectionCode("Not an object", "Record must be a JSON object, not {kind}"),
    "repeated_key": RejectionCode("Repeated key", "Key appears more than once in an object: {key}"),
    "nested_too_deeply": RejectionCode("Nested too deeply", "Record is nested too deeply: at most {limit} levels"),
    "malformed_csv": RejectionCode("Malformed CSV", "Malformed CSV in record: {what} at byte {position}"),
    "wrong_cell_count": RejectionCode("Wrong cell count", "Record has {found}, but the header has {expected}"),
    "invalid_utf8": RejectionCode(
        "Invalid UTF-8", "Record is not valid UTF-8: invalid byte at byte {position}; save the file as UTF-8"
    ),
    "record_too_long": RejectionCode(
        "Record too long", "Record is {found:,} bytes long; at most {limit:,} are allowed"
    ),
    # A field of the record.
    "required": RejectionCode("Missing", "Field is required"),
    "not_text": RejectionCode("Not text", "Value must be text"),
    "not_a_url": RejectionCode("Not a URL", "Value must be an absolute http or https URL"),
    "not_an_audio_url": RejectionCode("Not an audio URL", "Audio URL must end with one of .aac, .m4a, .mp3, .wav"),
    "not_a_video_url": RejectionCode("Not a video URL", "Video URL must end with one of .mp4, .webm, .mov"),
    "not_an_identifier": RejectionCode("Not an identifier", "Value must be a non-empty identifier"),
    "not_an_integer": RejectionCode("Not an integer", "Value must be an integer"),
    "integer_too_large": RejectionCode("Integer too large", "Value must be an integer in 64 bits"),
    "not_a_number": RejectionCode("Not a number", "Value must be a number"),
    "not_a_boolean": RejectionCode("Not a boolean", "Value must be true or false"),
    "not_a_date": RejectionCode("Not a date", "Value must be a date (YYYY-MM-DD)"),
    "not_a_datetime": RejectionCode("Not a date-time", "Value must be an RFC 3339 date-time"),
    "not_in_enum": RejectionCode("Not one of the values", "Value must be one of: {values}"),
    "not_positive": RejectionCode("Not positive", "Value must be a positive integer"),
    "below_minimum": RejectionCode("Below the minimum", "Value must be at least {limit}"),
    "not_above": RejectionCode("Not above the limit", "Value must be greater than {limit}"),
    "above_maximum": RejectionCode("Above the maximum", "Value must be at most {limit}"),
    "not_below": RejectionCode("Not below the limit", "Value must be less than {limit}"),
    "too_short": RejectionCode("Too short", "Value must be at least {limit}"),
    "too_long": RejectionCode("Too long", "Value must be at most {limit}"),
    "pattern_mismatch": RejectionCode("Pattern not matched", "Value must match {pattern}"),
}


class Fault(NamedTuple):
    """One failing field of one record. `reason` is the code's sentence, rendered."""

    field: str
    code: str
    reason: str


@lru_cache(maxsize=4096, typed=True)  # to word one takes longer than to judge a value, and most come again and again
def fault(field: str, code: str, **parameters: object) -> Fault:
    """The parameters are those in the code's template."""
    return Fault(field, code, REJECTION_CODES[code].template.format(**parameters))


def quoted_key(key: str) -> str:
    """A key's name as a reason may show it: on one line, and cut."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in key)
    return shown if len(shown) <= MAX_QUOTED_KEY else shown[: MAX_QUOTED_KEY - 1] + "…"


def counted(count: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `16,777,216 characters`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(values: tuple[object, ...]) -> str:
    """The values of an enum in a sentence: long lists and long values are cut, and say so."""
    shown = [_shown(value) for value in values[:MAX_LISTED_VALUES]]
    rest = len(values) - len(shown)
    return ", ".join(shown) + (f", … ({rest:,} more)" if rest else "")


def named(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - MAX_LISTED_VALUES:,} more" if len(names) > MAX_LISTED_VALUES else ""
    return ", ".join(names[:MAX_LISTED_VALUES]) + more


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= MAX_LISTED_CHARACTERS else text[: MAX_LISTED_CHARACTERS - 1] + "…"
