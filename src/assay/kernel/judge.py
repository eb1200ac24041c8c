"""One record's fields against a schema, exactly: the part that both formats share.

A `FieldJudge` turns a field's bytes or text into the column's value or a `Refused`; what a type accepts is said in
`fieldtypes`, the constraints are applied here. Everything that can be is prepared once a schema.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.fieldtypes import FIELD_TYPES, Parsed, Refused, Value
from assay.rejections import Fault, counted, fault, listed
from assay.schema import Constraints, DatasetSchema, Field, compile_pattern

Verdict = tuple[list[Value | None], list[Fault]]
"""The values in schema order, None for absence and for a fault; and the faults. A record with faults is rejected.

A record that can't be read has no values at all.
"""

Judge = Callable[[bytes], Verdict]
"""Judges one framed record."""

Parse = Callable[[Any], Parsed]
Check = Callable[[Any], Refused | None]


@dataclass(frozen=True)
class FieldJudge:
    """`parse` takes what `FieldType.parse_json` or `parse_text` takes; `faults` has all that it can refuse with."""

    key: str
    parse: Parse
    missing: Fault | None
    faults: Mapping[str, Fault]


def json_judges(schema: DatasetSchema) -> list[FieldJudge]:
    return [_field_judge(field, FIELD_TYPES[field.type].parse_json, schema.strict) for field in schema.fields]


def text_judges(schema: DatasetSchema) -> list[FieldJudge]:
    return [_field_judge(field, FIELD_TYPES[field.type].parse_text, schema.strict) for field in schema.fields]


def _field_judge(field: Field, parse: Parse, strict: bool) -> FieldJudge:
    return FieldJudge(
        key=field.key,
        parse=_constrained(parse, _checks(field)),
        missing=fault(field.key, "required") if field.is_required(strict) else None,
        faults=_Faults(field),
    )


class _Faults(dict[str, Fault]):
    """Code → fault, worded when first met: one object serves every record."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field

    def __missing__(self, code: str) -> Fault:
        made = self[code] = fault(self.field.key, code, **_parameters(code, self.field.constraints))
        return made


def _parameters(code: str, constraints: Constraints) -> dict[str, object]:
    match code:
        case "not_in_enum":
            return {"values": listed(constraints.enum or ())}
        case "below_minimum":
            return {"limit": constraints.minimum}
        case "not_above":
            return {"limit": constraints.exclusive_minimum}
        case "above_maximum":
            return {"limit": constraints.maximum}
        case "not_below":
            return {"limit": constraints.exclusive_maximum}
        case "too_short":
            return {"limit": counted(constraints.min_length or 0, "character")}
        case "too_long":
            return {"limit": counted(constraints.max_length or 0, "character")}
        case "pattern_mismatch":
            return {"pattern": constraints.pattern}
    return {}


def _constrained(parse: Parse, checks: list[Check]) -> Parse:
    if not checks:
        return parse

    def parse_and_check(raw: Any) -> Parsed:
        value = parse(raw)
        if isinstance(value, Refused):
            return value
        for check in checks:
            refused = check(value)
            if refused is not None:
                return refused
        return value

    return parse_and_check


def _checks(field: Field) -> list[Check]:
    """In the order in which a field's first fault is told."""
    constraints = field.constraints
    checks: list[Check] = []
    if constraints.enum is not None:
        checks.append(_enum_check(field.type, constraints.enum))
    checks += _bound_checks(field.type, constraints)
    if constraints.min_length is not None:
        checks.append(_refuse("too_short", constraints.min_length.__gt__, of=len))
    if constraints.max_length is not None:
        checks.append(_refuse("too_long", constraints.max_length.__lt__, of=len))
    if constraints.pattern is not None:
        matches = compile_pattern(constraints.pattern)
        checks.append(_refuse("pattern_mismatch", lambda text: not matches(text.encode())))
    return checks


def _enum_check(type_name: str, enum: tuple[Value, ...]) -> Check:
    values = frozenset(float(value) for value in enum) if type_name == "number" else frozenset(enum)  # type: ignore[arg-type]  # a number's enum has numbers only
    return _refuse("not_in_enum", lambda value: value not in values)


def _bound_checks(type_name: str, constraints: Constraints) -> list[Check]:
    """A `number` is compared as the 64-bit float that its column holds; an `integer` exactly."""
    as_bound = float if type_name == "number" else _same
    checks: list[Check] = []
    if constraints.minimum is not None:
        positive = type_name == "integer" and constraints.minimum == 1
        low = as_bound(constraints.minimum)
        checks.append(_refuse("not_positive" if positive else "below_minimum", lambda value: value < low))
    if constraints.exclusive_minimum is not None:
        positive = type_name == "integer" and constraints.exclusive_minimum == 0
        above = as_bound(constraints.exclusive_minimum)
        checks.append(_refuse("not_positive" if positive else "not_above", lambda value: value <= above))
    if constraints.maximum is not None:
        high = as_bound(constraints.maximum)
        checks.append(_refuse("above_maximum", lambda value: value > high))
    if constraints.exclusive_maximum is not None:
        below = as_bound(constraints.exclusive_maximum)
        checks.append(_refuse("not_below", lambda value: value >= below))
    return checks


def _same(bound: float) -> float:
    return bound


def _refuse(code: str, fails: Callable[[Any], bool], of: Callable[[Any], Any] | None = None) -> Check:
    refused = Refused(code)
    if of is None:
        return lambda value: refused if fails(value) else None
    return lambda value: refused if fails(of(value)) else None
