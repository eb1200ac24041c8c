"""Proposes a schema for a file, from some of its records or from all of them.

A type is proposed if it accepts the values that were looked at, a few of many excepted: one wrong value among a
thousand numbers is better rejected and told of than kept in a field of texts. It is a proposal: what was not
looked at may need another.
"""

from dataclasses import dataclass

from assay.fieldtypes import FIELD_TYPES
from assay.kernel.files import FileFault, ReadRange
from assay.kernel.infer_fields import GROUP, TYPES, NullWords, Parse, Refusals, SeenField, Shortened, group_rank
from assay.kernel.infer_records import EMPTY, SMALL_BYTES, Values, pieces_of
from assay.rejections import Fault, quoted_key
from assay.schema import MAX_FIELDS, MAX_KEY_CHARACTERS, RESERVED_KEYS, DatasetSchema, parse_schema

MAX_KEYS = 2000  # that are kept in mind, of a file whose every record may have keys of its own
TOO_MANY = f"a schema has at most {MAX_FIELDS} fields, those that most records have"


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
    null_words: tuple[NullWords, ...]
    left_out: tuple[LeftOut, ...]
    looked_at_bytes: int
    record_count: int
    empty_count: int


def infer_schema(read: ReadRange, *, size_bytes: int, format: str, whole: bool = False) -> Proposal:
    """A schema for the file. Raises `FileFault`, with a reason, when none can be told.

    No more than about a megabyte is read of a large file, from everywhere in it, unless `whole` is asked for.
    """
    inference = Inference()
    parses = {name: getattr(kind, _PARSES[format]) for name, kind in FIELD_TYPES.items()}
    looked_at = 0
    for piece_bytes, records in pieces_of(read, size_bytes=size_bytes, format=format, whole=whole):
        looked_at += piece_bytes
        for record in records:
            inference.look_at(record, parses)
    is_sample = not whole and size_bytes > SMALL_BYTES
    return inference.proposal(looked_at_bytes=looked_at if is_sample else size_bytes, is_sample=is_sample)


_PARSES = {"csv": "parse_text", "jsonl": "parse_json"}


class Inference:
    """Gathers what the records say; bounded, whatever they say."""

    def __init__(self) -> None:
        self._fields: dict[str, SeenField] = {}
        self._left_out: dict[str, dict[int, str]] = {}  # by their reasons; not whole, as names may be very long
        self._record_count = 0
        self._empty_count = 0
        self._first_fault: Fault | None = None

    def look_at(self, values: Values | Fault, parses: dict[str, Parse]) -> None:
        """A record's values, absent ones None or left out; or why it can't be read."""
        if isinstance(values, Fault):
            self._empty_count += values is EMPTY
            self._first_fault = self._first_fault or values
            return
        self._record_count += 1
        for key, raw in values.items():
            seen = self._fields.get(key)
            if seen is None:
                if why := TOO_MANY if len(self._fields) == MAX_KEYS else _unfit_as(key):
                    self._leave_out(key, why)
                    continue
                seen = self._fields[key] = SeenField(
                    key, dict.fromkeys([*TYPES, GROUP] if group_rank(key) else TYPES, 0)
                )
            if raw is not None:
                seen.look_at(raw, parses)

    def _leave_out(self, key: str, why: str) -> None:
        keys = self._left_out.setdefault(why, {})
        if len(keys) <= MAX_KEYS:
            keys[hash(key)] = quoted_key(key)

    def proposal(self, *, looked_at_bytes: int, is_sample: bool) -> Proposal:
        if not self._record_count:
            why = f" The first one: {self._first_fault.reason}." if self._first_fault else ""
            raise FileFault(f"No schema can be told from the file: none of the records looked at can be read.{why}")
        if not self._fields:
            raise FileFault("No schema can be told from the file: its records have no keys that can name a field.")
        # The fields that most records have, in the order of the file.
        common = set(sorted(self._fields.values(), key=lambda seen: -seen.present)[:MAX_FIELDS])
        chosen = [seen for seen in self._fields.values() if seen in common]
        group = min((seen for seen in chosen if seen.is_group()), key=lambda seen: group_rank(seen.key), default=None)
        types = [GROUP if seen is group else seen.type() for seen in chosen]
        are_required = [seen.present - (seen.blank if seen is group else 0) == self._record_count for seen in chosen]
        fields: dict[str, dict[str, object]] = {}
        for seen, type_name, is_required in zip(chosen, types, are_required, strict=True):
            settings: dict[str, object] = {"type": type_name}
            if is_required and not all(are_required):
                settings["required"] = True
            # What a sample lacks may stand elsewhere, and an enum would reject it.
            enum = seen.enum() if type_name == "text" and not is_sample else None
            fields[seen.key] = settings if enum is None else settings | {"enum": enum}
        refusals = (seen.refusals(type_name) for seen, type_name in zip(chosen, types, strict=True))
        return Proposal(
            schema=parse_schema({"strict": all(are_required), "fields": fields}),
            refusals=tuple(each for each in refusals if each.refused),
            shortened=tuple(
                Shortened(seen.key, seen.shortened, seen.present) for seen in chosen if seen.has_shortened()
            ),
            null_words=tuple(words for seen in chosen if seen is not group and (words := seen.null_words())),
            looked_at_bytes=looked_at_bytes,
            record_count=self._record_count,
            empty_count=self._empty_count,
            left_out=self._all_left_out([seen.key for seen in self._fields.values() if seen not in common]),
        )

    def _all_left_out(self, outnumbered: list[str]) -> tuple[LeftOut, ...]:
        left_out = {why: list(keys.values()) for why, keys in self._left_out.items()}
        is_all = {why: len(keys) <= MAX_KEYS for why, keys in left_out.items()}
        if outnumbered:
            left_out[TOO_MANY] = outnumbered + left_out.get(TOO_MANY, [])
        return tuple(LeftOut(why, tuple(keys), is_all.get(why, True)) for why, keys in left_out.items())


def _unfit_as(key: str) -> str | None:
    """Why the name can be no field's, if it can't."""
    if not key:
        return "a field needs a name"
    if len(key) > MAX_KEY_CHARACTERS:
        return f"a name has at most {MAX_KEY_CHARACTERS} characters"
    return "Assay's own columns have these names" if key.lower() in RESERVED_KEYS else None
