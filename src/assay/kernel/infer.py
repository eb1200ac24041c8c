"""Proposes a schema for a file, from its first records or from all of them.

A type is proposed if it accepts the values that were looked at, a few of many excepted: one wrong value among a
thousand numbers is better rejected and told of than kept in a field of texts. It is a proposal: what stands further
down may need another.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from assay.fieldtypes import FIELD_TYPES, INTEGER_TOO_LARGE, Refused
from assay.kernel.chunks import DEFAULT_RECORD_LIMIT_BYTES, plan_chunks
from assay.kernel.csv import split_cells
from assay.kernel.files import FileFault, ReadRange
from assay.kernel.formats import FORMATS
from assay.kernel.jsonl import read_members
from assay.rejections import Fault, quoted_key
from assay.schema import MAX_FIELDS, MAX_KEY_CHARACTERS, RESERVED_KEYS, DatasetSchema, Field, parse_schema

SAMPLE_BYTES = 1024 * 1024
BLOCK_BYTES = 4 * 1024 * 1024
START_BYTES = DEFAULT_RECORD_LIMIT_BYTES + BLOCK_BYTES  # as far as a sample ever goes
MAX_KEYS = 2000  # that are kept in mind, of a file whose every record may have keys of its own

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

TOO_MANY = f"a schema has at most {MAX_FIELDS} fields, those that most records have"

Values = dict[str, Any]
Parse = Callable[[Any], Any]


@dataclass(frozen=True)
class Refusals:
    """How many of a field's values the proposed type refuses."""

    key: str
    type: str
    refused: int
    looked_at: int


@dataclass(frozen=True)
class Shortened:
    """How many of a field's values look as if a spreadsheet had made them of longer integers."""

    key: str
    count: int
    looked_at: int


@dataclass(frozen=True)
class LeftOut:
    """Names that can't be a schema's, or are too many, each once. `is_all` is False where there were more still."""

    why: str
    keys: tuple[str, ...]
    is_all: bool


@dataclass(frozen=True)
class Proposal:
    """A schema, and what its reader should know: the fields of which it refuses values that were looked at, those whose
    identifiers seem damaged, and what is not in it."""

    schema: DatasetSchema
    refusals: tuple[Refusals, ...]
    shortened: tuple[Shortened, ...]
    left_out: tuple[LeftOut, ...]


def infer_schema(read: ReadRange, *, size_bytes: int, format: str, whole: bool = False) -> Proposal:
    """A schema for the file. Raises `FileFault`, with a reason, when none can be told.

    No more than about a megabyte is read, or the first record if that is longer, unless `whole` is asked for.
    """
    inference = Inference()
    parses = {name: getattr(kind, _PARSES[format]) for name, kind in FIELD_TYPES.items()}
    for record in _records(read, size_bytes=size_bytes, format=format, whole=whole):
        inference.look_at(record, parses)
    return inference.proposal()


_PARSES = {"csv": "parse_text", "jsonl": "parse_json"}


@dataclass(eq=False)
class _Seen:
    """What is known of a field: how many of its values each type refuses, and, while they are few, its texts.

    `unfit` counts what a type accepts and yet speaks against it. A type that was given up is in `refused` no more.
    """

    key: str
    refused: dict[str, int]
    unfit: Counter[str] = field(default_factory=Counter)
    present: int = 0
    blank: int = 0
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
        against = {name: self.refused[name] + self.unfit[name] for name in TYPES if name in self.refused}
        if "image_url" in against and any(word in self.key.lower() for word in IMAGE_WORDS):
            against["image_url"] = self.refused["image_url"]
        best = min(against, key=against.__getitem__, default="text")
        if against.get(best, self.present) <= self.present // TOLERATED_ONE_IN:
            return best
        return "text" if self.is_text else ANYTHING

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


_ANY = DatasetSchema(strict=False, fields=(Field("any", ANYTHING),))
"""Requires nothing, so any file can be planned with it."""


class Inference:
    """Gathers what the records say; bounded, whatever they say."""

    def __init__(self) -> None:
        self._fields: dict[str, _Seen] = {}
        self._left_out: dict[str, dict[int, str]] = {}  # by their reasons; not whole, as names may be very long
        self._record_count = 0
        self._first_fault: Fault | None = None

    def look_at(self, values: Values | Fault, parses: dict[str, Parse]) -> None:
        """A record's values, absent ones None or left out; or why it can't be read."""
        if isinstance(values, Fault):
            self._first_fault = self._first_fault or values
            return
        self._record_count += 1
        for key, raw in values.items():
            seen = self._fields.get(key)
            if seen is None:
                if why := TOO_MANY if len(self._fields) == MAX_KEYS else _unfit_as(key):
                    self._leave_out(key, why)
                    continue
                seen = self._fields[key] = _Seen(key, dict.fromkeys([*TYPES, GROUP] if _group_rank(key) else TYPES, 0))
            if raw is not None:
                seen.look_at(raw, parses)

    def _leave_out(self, key: str, why: str) -> None:
        keys = self._left_out.setdefault(why, {})
        if len(keys) <= MAX_KEYS:
            keys[hash(key)] = quoted_key(key)

    def proposal(self) -> Proposal:
        if not self._record_count:
            why = f" The first one: {self._first_fault.reason}." if self._first_fault else ""
            raise FileFault(f"No schema can be told from the file: none of the records looked at can be read.{why}")
        if not self._fields:
            raise FileFault("No schema can be told from the file: its records have no keys that can name a field.")
        # The fields that most records have, in the order of the file.
        common = set(sorted(self._fields.values(), key=lambda seen: -seen.present)[:MAX_FIELDS])
        chosen = [seen for seen in self._fields.values() if seen in common]
        group = min((seen for seen in chosen if seen.is_group()), key=lambda seen: _group_rank(seen.key), default=None)
        types = [GROUP if seen is group else seen.type() for seen in chosen]
        are_required = [seen.present - (seen.blank if seen is group else 0) == self._record_count for seen in chosen]
        fields: dict[str, dict[str, object]] = {}
        for seen, type_name, is_required in zip(chosen, types, are_required, strict=True):
            settings: dict[str, object] = {"type": type_name}
            if is_required and not all(are_required):
                settings["required"] = True
            enum = seen.enum() if type_name == "text" else None
            fields[seen.key] = settings if enum is None else settings | {"enum": enum}
        refusals = (seen.refusals(type_name) for seen, type_name in zip(chosen, types, strict=True))
        return Proposal(
            schema=parse_schema({"strict": all(are_required), "fields": fields}),
            refusals=tuple(each for each in refusals if each.refused),
            shortened=tuple(
                Shortened(seen.key, seen.shortened, seen.present) for seen in chosen if seen.has_shortened()
            ),
            left_out=self._all_left_out([seen.key for seen in self._fields.values() if seen not in common]),
        )

    def _all_left_out(self, outnumbered: list[str]) -> tuple[LeftOut, ...]:
        left_out = {why: list(keys.values()) for why, keys in self._left_out.items()}
        is_all = {why: len(keys) <= MAX_KEYS for why, keys in left_out.items()}
        if outnumbered:
            left_out[TOO_MANY] = outnumbered + left_out.get(TOO_MANY, [])
        return tuple(LeftOut(why, tuple(keys), is_all.get(why, True)) for why, keys in left_out.items())


def _is_image(url: str) -> bool:
    return url.partition("?")[0].lower().endswith(IMAGE_ENDINGS)


def _unfit_as(key: str) -> str | None:
    """Why the name can be no field's, if it can't."""
    if not key:
        return "a field needs a name"
    if len(key) > MAX_KEY_CHARACTERS:
        return f"a name has at most {MAX_KEY_CHARACTERS} characters"
    return "Assay's own columns have these names" if key.lower() in RESERVED_KEYS else None


def _group_rank(key: str) -> int:
    """0 for a name that no task group has; else the smaller, the surer."""
    name = "".join(letter for letter in key.lower() if letter.isalnum())
    return GROUP_NAMES.index(name) + 1 if name in GROUP_NAMES else 0


def _records(read: ReadRange, *, size_bytes: int, format: str, whole: bool) -> Iterator[Values | Fault]:
    framing = FORMATS[format].framing
    for data, header in _pieces(read if whole else _start_only(read), size_bytes, format, whole):
        frames = framing.frames(data)
        for start, stop in zip(frames.starts.tolist(), frames.stops.tolist(), strict=True):
            yield _values(data[start:stop], header)


def _pieces(
    read: ReadRange, size_bytes: int, format: str, whole: bool
) -> Iterator[tuple[bytes, tuple[str, ...] | None]]:
    """The file, or its start, in pieces of whole records."""
    looked_at = 0
    chunk_bytes = BLOCK_BYTES if whole else SAMPLE_BYTES
    for chunk in plan_chunks(read, size_bytes=size_bytes, format=format, schema=_ANY, chunk_bytes=chunk_bytes):
        if chunk.length:  # one that has none is a record that is too long to be taken
            yield read(chunk.offset, chunk.length), chunk.header
        looked_at += chunk.length
        if not whole and looked_at >= SAMPLE_BYTES // 2:
            return


def _start_only(read: ReadRange) -> ReadRange:
    """The start of a file, for a sample: whoever reads on and on finds no record there."""

    def read_start(offset: int, length: int) -> bytes:
        if offset + length > START_BYTES:
            raise FileFault(
                f"No schema can be told from the first {START_BYTES // SAMPLE_BYTES} MiB of the file: a record there "
                "is longer than records may be, or has a quote that is never closed."
            )
        return read(offset, length)

    return read_start


def _values(record: bytes, header: tuple[str, ...] | None) -> Values | Fault:
    if header is None:
        members = read_members(record)
        if isinstance(members, Fault):
            return members
        raws = ((key, bytes(raw)) for key, raw in members.items())
        return {key: None if raw == b"null" else raw for key, raw in raws}
    cells = split_cells(record)
    if isinstance(cells, Fault):
        return cells
    if len(cells) != len(header):
        return Fault("_raw", "wrong_cell_count", "a record has not as many cells as the header")
    return {name: cell or None for name, cell in zip(header, cells, strict=True)}
