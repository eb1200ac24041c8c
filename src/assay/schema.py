"""A dataset's schema: parsed from JSON with every fault named at once, and written back as it was given.

Knows the field types and their constraints; how a record is judged by them is the kernel's.
"""

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

import re2

from assay.errors import ErrorCode, InvalidFields
from assay.fieldtypes import FIELD_TYPES, INT64_MAX, INT64_MIN, Refused
from assay.rejections import RAW_FIELD, quoted_key

MAX_FIELDS = 200
MAX_KEY_CHARACTERS = 128
MAX_LABEL_CHARACTERS = 255
MAX_PATTERN_CHARACTERS = 1024
MAX_ENUM_VALUES = 10_000
MAX_LENGTH = 2**31 - 1

RESERVED_KEYS = frozenset({RAW_FIELD, "datapoint_id", "record_index"})
"""Names that reports and the columns of accepted records use; in any letter case, as some engines compare names so."""

SCHEMA_KEYS = ("strict", "fields")
CONSTRAINTS = (
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
)
FIELD_KEYS = ("type", "label", "required", *CONSTRAINTS)

Number = int | float


@dataclass(frozen=True)
class Constraints:
    """JSON Schema's names in our spelling. A number is kept as it was given, so 1 and 1.0 are told apart, except
    where only integers fit."""

    enum: tuple[str | Number | bool, ...] | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: Number | None = None
    maximum: Number | None = None
    exclusive_minimum: Number | None = None
    exclusive_maximum: Number | None = None

    def integer_range(self) -> tuple[int, int]:
        """The least and the greatest 64-bit integer within the bounds; the first is the larger if none is."""
        lows = [INT64_MIN]
        highs = [INT64_MAX]
        if self.minimum is not None:
            lows.append(math.ceil(self.minimum))
        if self.exclusive_minimum is not None:
            lows.append(math.floor(self.exclusive_minimum) + 1)
        if self.maximum is not None:
            highs.append(math.floor(self.maximum))
        if self.exclusive_maximum is not None:
            highs.append(math.ceil(self.exclusive_maximum) - 1)
        return max(lows), min(highs)


@dataclass(frozen=True)
class Field:
    """`type` is a key of `FIELD_TYPES`. `required` is None where the schema's `strict` decides."""

    key: str
    type: str
    label: str | None = None
    required: bool | None = None
    constraints: Constraints = field(default_factory=Constraints)

    def is_required(self, strict: bool) -> bool:
        return strict if self.required is None else self.required


@dataclass(frozen=True)
class DatasetSchema:
    strict: bool
    fields: tuple[Field, ...]

    @property
    def group_field(self) -> str | None:
        """The key of the `task_group_id` field."""
        return next((field.key for field in self.fields if field.type == "task_group_id"), None)


def parse_schema(value: object) -> DatasetSchema:
    """Reads decoded JSON. Raises `InvalidFields` with all faults, by path: `schema.fields.age.minimum`."""
    schema = stored_schema(value)
    faults = _Faults({})
    for each in schema.fields:
        _check_rounding(each, f"schema.fields.{quoted_key(each.key)}", faults)
    if faults.found:
        raise InvalidFields(faults.found, code=ErrorCode.INVALID_SCHEMA)
    return schema


def stored_schema(value: object) -> DatasetSchema:
    """The same for one that was taken once: rules that came later don't lock up the records under it."""
    faults = _Faults({})
    schema = _parse(value, faults)
    if faults.found or schema is None:
        raise InvalidFields(faults.found, code=ErrorCode.INVALID_SCHEMA)
    return schema


def schema_to_json(schema: DatasetSchema) -> dict[str, object]:
    return {"strict": schema.strict, "fields": {field.key: _field_to_json(field) for field in schema.fields}}


def fingerprint_of(schema_json: object) -> str:
    """Tells two schemas apart, by the order of their fields as well; None, which is no schema, has one too."""
    return hashlib.sha256(json.dumps(schema_json).encode()).hexdigest()[:32]


def _field_to_json(field: Field) -> dict[str, object]:
    json: dict[str, object] = {"type": field.type}
    if field.label is not None:
        json["label"] = field.label
    if field.required is not None:
        json["required"] = field.required
    for name in CONSTRAINTS:
        constraint = getattr(field.constraints, _attribute(name))
        if constraint is not None:
            json[name] = list(constraint) if name == "enum" else constraint
    return json


def _attribute(constraint: str) -> str:
    """`exclusiveMinimum` → `exclusive_minimum`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in constraint)


@dataclass(frozen=True)
class _Faults:
    found: dict[str, list[str]]

    def add(self, path: str, text: str) -> None:
        self.found.setdefault(path, []).append(text)


def _parse(value: object, faults: _Faults) -> DatasetSchema | None:
    if not isinstance(value, Mapping):
        faults.add("schema", "A schema must be a JSON object with the keys strict and fields.")
        return None
    _check_known(value, SCHEMA_KEYS, "schema", "A schema", faults)
    strict = value.get("strict", False)
    if not isinstance(strict, bool):
        faults.add("schema.strict", "Must be true or false.")
    given = value.get("fields")
    if not isinstance(given, Mapping):
        faults.add("schema.fields", "Must be a JSON object from each field's key to its type and constraints.")
        return None
    if not 1 <= len(given) <= MAX_FIELDS:
        faults.add("schema.fields", f"A schema has 1 to {MAX_FIELDS} fields; this one has {len(given):,}.")
    fields = [_parse_field(key, settings, faults) for key, settings in given.items()]
    groups = [field.key for field in fields if field is not None and field.type == "task_group_id"]
    if len(groups) > 1:
        names = ", ".join(quoted_key(key) for key in groups)
        faults.add("schema.fields", f"At most one field can be a task_group_id; these are: {names}.")
    return DatasetSchema(strict=strict is True, fields=tuple(field for field in fields if field is not None))


def _parse_field(key: object, settings: object, faults: _Faults) -> Field | None:
    path = f"schema.fields.{quoted_key(str(key))}"
    if not isinstance(key, str):
        faults.add(path, "A field's key must be text.")
        return None
    _check_key(key, path, faults)
    if not isinstance(settings, Mapping):
        faults.add(path, 'A field must be a JSON object with a type, such as {"type": "text"}.')
        return None
    _check_known(settings, FIELD_KEYS, path, "A field", faults)
    type_name = settings.get("type")
    if not isinstance(type_name, str) or type_name not in FIELD_TYPES:
        faults.add(f"{path}.type", f"{_unknown_type(settings)} The types are: {', '.join(FIELD_TYPES)}.")
        return None
    required = settings.get("required")
    if "required" in settings and not isinstance(required, bool):
        faults.add(f"{path}.required", "Must be true or false.")
    return Field(
        key=key,
        type=type_name,
        label=_parse_label(settings.get("label"), f"{path}.label", faults),
        required=required if isinstance(required, bool) else None,
        constraints=_parse_constraints(type_name, settings, path, faults),
    )


# What JSON Schema, SQL and languages call the types.
OTHER_NAMES = {
    **dict.fromkeys(("string", "str", "varchar", "char"), "text"),
    **dict.fromkeys(("int", "int32", "int64", "bigint", "long"), "integer"),
    **dict.fromkeys(("float", "float64", "double", "decimal", "numeric", "real"), "number"),
    **dict.fromkeys(("date-time", "timestamp"), "datetime"),
    **dict.fromkeys(("object", "array", "dict", "list"), "json"),
    "bool": "boolean",
}


def _unknown_type(settings: Mapping[object, object]) -> str:
    if "type" not in settings:
        return "A field needs a type."
    given = settings["type"]
    if not isinstance(given, str):
        return "A field's type must be text."
    meant = OTHER_NAMES.get(given.lower()) or _closest(given, FIELD_TYPES)
    return f"Unknown type {quoted_key(given)}.{_guess(meant)}"


def _check_key(key: str, path: str, faults: _Faults) -> None:
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS:
        faults.add(path, f"A field's key has 1 to {MAX_KEY_CHARACTERS} characters; this one has {len(key):,}.")
    if not _is_unicode(key):
        faults.add(path, "A field's key must be valid Unicode; this one has half of a surrogate pair.")
    if key.lower() in RESERVED_KEYS:
        faults.add(path, f"The key {key} is reserved for Assay's own columns and reports; choose another one.")


def _check_known(given: Mapping[object, object], known: tuple[str, ...], path: str, what: str, faults: _Faults) -> None:
    for key in given:
        if key not in known:
            guess = _guess(_closest(str(key), known))
            faults.add(path, f"Unknown key {quoted_key(str(key))}.{guess} {what} can have: {', '.join(known)}.")


def _closest(given: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(given[:MAX_KEY_CHARACTERS], list(known), n=1)), None)


def _guess(meant: str | None) -> str:
    return f" Did you mean {meant}?" if meant else ""


def _parse_label(label: object, path: str, faults: _Faults) -> str | None:
    if label is None:
        return None
    if not isinstance(label, str) or not _is_unicode(label):
        faults.add(path, "Must be text.")
        return None
    if len(label) > MAX_LABEL_CHARACTERS:
        faults.add(path, f"A label has at most {MAX_LABEL_CHARACTERS} characters; this one has {len(label):,}.")
    return label


def _parse_constraints(type_name: str, settings: Mapping[object, object], path: str, faults: _Faults) -> Constraints:
    parsed: dict[str, object] = {}
    fitting = FIELD_TYPES[type_name].constraints
    for name in CONSTRAINTS:
        if name not in settings:
            continue
        at = f"{path}.{name}"
        value = settings[name]
        if type_name == "integer" or name in ("minLength", "maxLength"):
            value = [_whole(each) for each in value] if isinstance(value, list) else _whole(value)
        fault = _fault_of_constraint(type_name, name, value)
        if name not in fitting:
            can_have = f"It can have: {', '.join(fitting)}." if fitting else "It can have no constraints."
            faults.add(at, f"{name} doesn't fit a field of the type {type_name}. {can_have}")
        elif fault is not None:
            faults.add(at, fault)
        else:
            parsed[_attribute(name)] = tuple(value) if isinstance(value, list) else value
    constraints = Constraints(**parsed)  # type: ignore[arg-type]  # each was checked by its own rule just above
    _check_contradictions(type_name, constraints, path, faults)
    return constraints


def _whole(value: object) -> object:
    """5.0 as 5, which JSON Schema takes for the same; a float past 64 bits stays as it is."""
    if isinstance(value, float) and value.is_integer() and INT64_MIN <= value <= INT64_MAX:
        return int(value)
    return value


def _fault_of_constraint(type_name: str, name: str, value: object) -> str | None:
    if name == "enum":
        return _fault_of_enum(type_name, value)
    if name == "pattern":
        return _fault_of_pattern(value)
    if name in ("minLength", "maxLength"):
        is_length = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_LENGTH
        return None if is_length else f"Must be a whole number of characters from 0 to {MAX_LENGTH:,}."
    return None if _is_number(value) else "Must be a finite number."


def _check_rounding(field: Field, path: str, faults: _Faults) -> None:
    """A record that has the same integer is read as the nearest float, and would be judged by another number."""
    for name in CONSTRAINTS if field.type == "number" else ():
        given = getattr(field.constraints, _attribute(name))
        for value in given if isinstance(given, tuple) else (given,):
            if isinstance(value, int) and (nearest := int(float(value))) != value:
                faults.add(f"{path}.{name}", f"No 64-bit float holds {value}; the nearest is {nearest}.")


def _fault_of_enum(type_name: str, values: object) -> str | None:
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_ENUM_VALUES:
        return f"Must be a list of 1 to {MAX_ENUM_VALUES:,} values."
    for number, value in enumerate(values, start=1):
        if not _is_value_of(type_name, value):
            return f"Value {number} of the list is none that a field of the type {type_name} accepts."
    seen: set[object] = set()
    for number, value in enumerate(values, start=1):
        if value in seen:
            return f"Value {number} of the list stands there before; list each value once."
        seen.add(value)
    return None


def _is_value_of(type_name: str, value: object) -> bool:
    """Whether a decoded JSON value, as an enum lists it, is one that the type itself accepts."""
    if type_name == "boolean":
        return isinstance(value, bool)
    if type_name == "integer":
        return _is_number(value) and value == int(value) and INT64_MIN <= value <= INT64_MAX
    if type_name == "number":
        return _is_number(value)
    if not isinstance(value, str) or not _is_unicode(value):
        return False
    return not isinstance(FIELD_TYPES[type_name].parse_text(value), Refused)


def _is_number(value: object) -> TypeGuard[Number]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _fault_of_pattern(pattern: object) -> str | None:
    if not isinstance(pattern, str) or not _is_unicode(pattern):
        return "Must be text: a regular expression as RE2 reads it."
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return f"A pattern has at most {MAX_PATTERN_CHARACTERS:,} characters; this one has {len(pattern):,}."
    try:
        compile_pattern(pattern)
    except re2.error as error:
        words = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        return f"RE2 can't compile this pattern: {words}. See https://github.com/google/re2/wiki/Syntax"
    return None


def compile_pattern(pattern: str) -> Callable[[bytes], bool]:
    """Whether UTF-8 text has a match anywhere. Raises `re2.error` for what RE2 can't compile."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    search: Callable[[bytes], object] = re2.compile(pattern.encode(), options).search
    return lambda text: search(text) is not None


def _check_contradictions(type_name: str, constraints: Constraints, path: str, faults: _Faults) -> None:
    least, most = constraints.min_length, constraints.max_length
    if least is not None and most is not None and least > most:
        faults.add(f"{path}.minLength", f"No text can pass: minLength is {least:,} and maxLength is {most:,}.")
    if type_name == "integer":
        low, high = constraints.integer_range()
        possible = low <= high
    else:
        possible = _has_room(constraints)
    if not possible:
        names = [name for name in CONSTRAINTS if "imum" in name and getattr(constraints, _attribute(name)) is not None]
        for name in names:
            faults.add(f"{path}.{name}", f"No {type_name} can pass {' and '.join(names)} together.")


def _has_room(constraints: Constraints) -> bool:
    """Whether a number passes the bounds; they are compared as the 64-bit floats that the column holds."""
    low = max(_floats(constraints.minimum, constraints.exclusive_minimum), default=-math.inf)
    high = min(_floats(constraints.maximum, constraints.exclusive_maximum), default=math.inf)
    excluded = _floats(constraints.exclusive_minimum, constraints.exclusive_maximum)
    return low < high or (low == high and low not in excluded)


def _floats(*bounds: Number | None) -> list[float]:
    return [float(bound) for bound in bounds if bound is not None]


def _is_unicode(text: str) -> bool:
    """False for a lone surrogate, which JSON's escapes can smuggle in and UTF-8 can't write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
