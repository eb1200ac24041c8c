"""What is known of a field from its values, and the type that they have: the one that refuses the fewest of them."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assay.fieldtypes import INTEGER_TOO_LARGE, Refused

# The one that refuses the fewest values of a field is its type, the first of equals; text where all refuse too many.
TYPES = ("boolean", "integer", "number", "date", "datetime", "audio_url", "video_url", "image_url")
GROUP = "task_group_id"
ANYTHING = "json"
TOLERATED_ONE_IN = 20  # so with fewer values than that, none is
GIVEN_UP_AFTER = 1000  # more values refused than taken: hardly a type any more, and each one costs time

GROUP_NAMES = ("taskgroupid", "taskgroup", "groupid")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".avif", ".tif", ".tiff")
IMAGE_WORDS = ("image", "img", "photo", "picture", "thumbnail", "avatar")

# No number is written so, and one of more than 64 bits would lose digits as a float: both are identifiers.
LEADING_ZERO = re.compile(r"[+-]?0[0-9]+")
# From 2 ** 53 on a float holds only some of the integers, and a field of them becomes no `number`.
LONG_INTEGER = re.compile(r"[+-]?[0-9]{16,19}")
# What spreadsheets make of an integer of 12 digits or more: the digits that are not there are lost.
SHORTENED = re.compile(r"-?[0-9](?:\.[0-9]{1,5})?E\+[0-9]{2}")
SHORTENED_DIGITS = 12

MAX_ENUM_VALUES = 20
MAX_ENUM_CHARACTERS = 60
RECORDS_A_VALUE = 5  # an enum's values come again: each so often, on average

# These alone are ever quoted of a file's values.
NULL_WORDS = frozenset(
    ["NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NaT", "None", "none", "NULL", "Null", "null", "nil", "\\N", "-"]
)

Parse = Callable[[Any], Any]


@dataclass(frozen=True)
class Refusals:
    """How many of a field's values the proposed type refuses."""

    key: str
    type: str
    refused: int
    looked_at: int


@dataclass(frozen=True)
class NullWords:
    """A field of texts that would have the type but for the words by which some programs write absence."""

    key: str
    type: str
    words: tuple[str, ...]
    count: int
    looked_at: int


@dataclass(frozen=True)
class Shortened:
    """How many of a field's values look as if a spreadsheet had made them of longer integers."""

    key: str
    count: int
    looked_at: int


@dataclass(eq=False)
class SeenField:
    """What is known of a field: how many of its values each type refuses, and, while they are few, its texts.

    `unfit` counts what a type accepts and yet speaks against it. A type that was given up is in `refused` no more.
    """

    key: str
    refused: dict[str, int]
    unfit: Counter[str] = field(default_factory=Counter)
    present: int = 0
    blank: int = 0
    nulls: Counter[str] = field(default_factory=Counter)
    long_integers: int = 0
    shortened: int = 0
    is_text: bool = True
    texts: dict[str, None] | None = field(default_factory=dict)

    def look_at(self, raw: Any, parses: dict[str, Parse]) -> None:
        self.present += 1
        text = parses["text"](raw)
        is_blank = isinstance(text, str) and not text.strip()
        self.blank += is_blank
        refusals = {name: parsed for name in self.refused if isinstance(parsed := parses[name](raw), Refused)}
        if is_blank:
            refusals.pop(GROUP, None)
        for name in refusals:
            self.refused[name] += 1
            if 2 * self.refused[name] > self.present + GIVEN_UP_AFTER:
                del self.refused[name]
        if isinstance(text, Refused):
            self.is_text = False
            self.texts = None
            return
        if text in NULL_WORDS:
            self.nulls[text] += 1
        if LEADING_ZERO.fullmatch(text) or (
            refusals.get("integer") is INTEGER_TOO_LARGE and text.lstrip("-").isdigit()
        ):
            self.refused.pop("integer", None)
            self.refused.pop("number", None)
        elif "number" not in refusals and LONG_INTEGER.fullmatch(text) and int(float(text)) != int(text):
            self.refused.pop("number", None)
        self.long_integers += len(text) >= SHORTENED_DIGITS and text.lstrip("-").isdigit()
        self.shortened += bool(SHORTENED.fullmatch(text)) and int(text[-2:]) >= SHORTENED_DIGITS - 1
        # 5.0 is an integer by its value, but whoever writes it so measures something.
        self.unfit["integer"] += "integer" not in refusals and any(letter in text for letter in ".eE")
        self.unfit["image_url"] += "image_url" not in refusals and not _is_image(text)
        self._note_text(text)

    def _note_text(self, text: str) -> None:
        if self.texts is None:
            return
        self.texts[text] = None
        if len(self.texts) > MAX_ENUM_VALUES or len(text) > MAX_ENUM_CHARACTERS:
            self.texts = None

    def is_group(self) -> bool:
        """Blank texts are taken for absent there, as long as they are no more than the others."""
        named = self.present - self.blank
        return named >= max(self.blank, 1) and self.refused.get(GROUP, named) <= named // TOLERATED_ONE_IN

    def type(self) -> str:
        if not self.present:
            return "text"
        return self._best(excused=0) or ("text" if self.is_text else ANYTHING)

    def _best(self, *, excused: int) -> str | None:
        """The type that refuses the fewest values, and few enough; so many of those that are refused don't count."""
        against = {name: self.refused[name] + self.unfit[name] for name in TYPES if name in self.refused}
        if "image_url" in against and any(word in self.key.lower() for word in IMAGE_WORDS):
            against["image_url"] = self.refused["image_url"]
        best = min(against, key=against.__getitem__, default=None)
        counted = self.present - excused
        return best if best and counted and against[best] - excused <= counted // TOLERATED_ONE_IN else None

    def null_words(self) -> NullWords | None:
        """Every type refuses these words, so each has one more value for each of them."""
        count = self.nulls.total()
        if not count or not self.is_text or self._best(excused=0):
            return None
        best = self._best(excused=count)
        return NullWords(self.key, best, tuple(sorted(self.nulls)), count, self.present) if best else None

    def refusals(self, type_name: str) -> Refusals:
        refused = self.refused.get(type_name, 0) + (self.blank if type_name == GROUP else 0)
        return Refusals(self.key, type_name, refused, self.present)

    def has_shortened(self) -> bool:
        """A measure may be written so too, but hardly beside integers of that length, and not with five digits each."""
        return self.shortened > 0 and (self.long_integers > 0 or self.shortened == self.present)

    def enum(self) -> list[str] | None:
        """The texts, if they are few and come again and again."""
        if self.texts is None or len(self.texts) < 2 or len(self.texts) * RECORDS_A_VALUE > self.present:
            return None
        return list(self.texts)


def _is_image(url: str) -> bool:
    return url.partition("?")[0].lower().endswith(IMAGE_ENDINGS)


def group_rank(key: str) -> int:
    """0 for a name that no task group has; else the smaller, the surer."""
    name = "".join(letter for letter in key.lower() if letter.isalnum())
    return GROUP_NAMES.index(name) + 1 if name in GROUP_NAMES else 0
