"""What a schema may say, and how its faults are named."""

import json
import pickle

import pytest

from assay.errors import ErrorCode, InvalidFields
from assay.fieldtypes import FIELD_TYPES
from assay.schema import parse_schema, schema_to_json


def faults_of(value):
    with pytest.raises(InvalidFields) as raised:
        parse_schema(value)
    assert raised.value.code is ErrorCode.INVALID_SCHEMA
    return raised.value.faults


def field_faults(**settings):
    """The faults of a schema with the one field `x`, by the path below it."""
    found = faults_of({"strict": True, "fields": {"x": {"type": "text", **settings}}})
    return {path.removeprefix("schema.fields.x").removeprefix("."): texts for path, texts in found.items()}


WHOLE = {
    "strict": True,
    "fields": {
        "question": {"type": "text", "label": "Question", "minLength": 1, "maxLength": 2000, "pattern": "\\?$"},
        "age": {"type": "integer", "required": False, "minimum": 1, "exclusiveMaximum": 150},
        "score": {"type": "number", "enum": [0, 0.5, 1.0]},
        "seen": {"type": "boolean", "enum": [True]},
        "group": {"type": "task_group_id"},
    },
}


def test_schema_is_given_back_as_it_came():
    assert schema_to_json(parse_schema(WHOLE)) == WHOLE
    assert list(schema_to_json(parse_schema(WHOLE))["fields"]) == list(WHOLE["fields"])


def test_schema_pickles_small_and_equal():
    schema = parse_schema({"strict": False, "fields": {f"key{n}": {"type": "text"} for n in range(200)}})
    pickled = pickle.dumps(schema)
    assert len(pickled) < 20_000
    assert pickle.loads(pickled) == schema


def test_required_overrides_strict():
    schema = parse_schema(WHOLE)
    assert [field.key for field in schema.fields if not field.is_required(schema.strict)] == ["age"]
    assert schema.group_field == "group"
    assert parse_schema({"fields": {"a": {"type": "text"}}}).strict is False


@pytest.mark.parametrize("name", FIELD_TYPES)
def test_every_type_needs_nothing_but_its_name(name):
    assert parse_schema({"strict": False, "fields": {"x": {"type": name}}}).fields[0].type == name


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ([], "schema", "JSON object"),
        (None, "schema", "JSON object"),
        ({"strict": True}, "schema.fields", "Must be a JSON object"),
        ({"strict": True, "fields": []}, "schema.fields", "Must be a JSON object"),
        ({"strict": True, "fields": {}}, "schema.fields", "1 to 200 fields; this one has 0"),
        ({"strict": 1, "fields": {"a": {"type": "text"}}}, "schema.strict", "true or false"),
        ({"strikt": True, "fields": {"a": {"type": "text"}}}, "schema", "Unknown key strikt. Did you mean strict?"),
        ({"fields": {"": {"type": "text"}}}, "schema.fields.", "1 to 128 characters; this one has 0"),
        ({"fields": {"_raw": {"type": "text"}}}, "schema.fields._raw", "reserved"),
        ({"fields": {"Record_Index": {"type": "text"}}}, "schema.fields.Record_Index", "reserved"),
        ({"fields": {"datapoint_id": {"type": "text"}}}, "schema.fields.datapoint_id", "reserved"),
        ({"fields": {"\ud800": {"type": "text"}}}, "schema.fields.�", "valid Unicode"),
        ({"fields": {"a": "text"}}, "schema.fields.a", "JSON object with a type"),
    ],
)
def test_fault_of_the_whole_is_named(value, path, words):
    found = faults_of(value)
    assert list(found) == [path]
    assert words in found[path][0]


def test_201_fields_are_one_too_many():
    fields = {f"k{n}": {"type": "text"} for n in range(201)}
    assert "this one has 201" in faults_of({"fields": fields})["schema.fields"][0]
    fields.popitem()
    assert len(parse_schema({"fields": fields}).fields) == 200


def test_key_may_have_128_characters_and_no_more():
    assert parse_schema({"fields": {"é" * 128: {"type": "text"}}})
    (texts,) = faults_of({"fields": {"k" * 129: {"type": "text"}}}).values()
    assert "this one has 129" in texts[0]


def test_two_task_groups_are_both_named():
    found = faults_of({"fields": {"a": {"type": "task_group_id"}, "b": {"type": "task_group_id"}}})
    assert found == {"schema.fields": ["At most one field can be a task_group_id; these are: a, b."]}


@pytest.mark.parametrize(
    ("settings", "path", "words"),
    [
        ({"type": "integr"}, "type", "Unknown type integr. Did you mean integer? The types are: text, image_url"),
        ({"type": "String"}, "type", "Unknown type String. Did you mean text? The types are: text, image_url"),
        ({"type": "weight"}, "type", "Unknown type weight. The types are: text, image_url"),
        ({"type": 5}, "type", "must be text"),
        ({"type": ["text"]}, "type", "must be text"),
        ({"minimun": 5}, "", "Unknown key minimun. Did you mean minimum?"),
        ({"label": 5}, "label", "Must be text"),
        ({"label": "x" * 256}, "label", "at most 255 characters; this one has 256"),
        ({"required": "yes"}, "required", "true or false"),
        ({"required": None}, "required", "true or false"),
        ({"minimum": 5}, "minimum", "doesn't fit a field of the type text. It can have: enum, pattern"),
        ({"type": "integer", "pattern": "a"}, "pattern", "doesn't fit a field of the type integer"),
        ({"type": "json", "enum": ["a"]}, "enum", "It can have no constraints"),
        ({"minLength": -1}, "minLength", "0 to 2,147,483,647"),
        ({"minLength": 1.5}, "minLength", "whole number"),
        ({"minLength": 1e300}, "minLength", "whole number"),
        ({"maxLength": True}, "maxLength", "whole number"),
        ({"maxLength": 2**31}, "maxLength", "whole number"),
        ({"minLength": 3, "maxLength": 2}, "minLength", "No text can pass"),
        ({"pattern": 5}, "pattern", "Must be text"),
        ({"pattern": "a("}, "pattern", "RE2 can't compile this pattern: missing ): a("),
        ({"pattern": "(?=a)"}, "pattern", "invalid perl operator: (?="),
        ({"pattern": "a" * 1025}, "pattern", "at most 1,024 characters"),
        ({"pattern": "((a{100}){100}){100}"}, "pattern", "RE2 can't compile"),
        ({"pattern": "\udc00"}, "pattern", "Must be text"),
        ({"enum": []}, "enum", "1 to 10,000 values"),
        ({"enum": "a"}, "enum", "Must be a list"),
        ({"enum": ["a", "b", "a"]}, "enum", "Value 3 of the list stands there before"),
        ({"enum": ["a", 5]}, "enum", "Value 2 of the list is none that a field of the type text accepts"),
        ({"enum": [["a"]]}, "enum", "Value 1 of the list is none"),
        ({"type": "task_group_id", "enum": [" "]}, "enum", "Value 1"),
        ({"type": "image_url", "enum": ["cat.png"]}, "enum", "Value 1"),
        ({"type": "integer", "enum": [1, 1.5]}, "enum", "Value 2"),
        ({"type": "integer", "enum": [2**63]}, "enum", "Value 1"),
        ({"type": "integer", "enum": [True]}, "enum", "Value 1"),
        ({"type": "integer", "enum": [1, 1.0]}, "enum", "Value 2 of the list stands there before"),
        ({"type": "number", "enum": [float("nan")]}, "enum", "Value 1"),
        ({"type": "boolean", "enum": [1]}, "enum", "Value 1"),
        ({"type": "number", "minimum": True}, "minimum", "finite number"),
        ({"type": "number", "minimum": "1"}, "minimum", "finite number"),
        ({"type": "number", "maximum": float("inf")}, "maximum", "finite number"),
        ({"type": "number", "maximum": 10**400}, "maximum", "finite number"),
        ({"type": "number", "minimum": 2**53 + 1}, "minimum", "the nearest is 9007199254740992"),
        ({"type": "number", "enum": [1, 2**53 + 1]}, "enum", "No 64-bit float holds 9007199254740993; the nearest is"),
    ],
)
def test_fault_of_a_field_is_named(settings, path, words):
    found = field_faults(**settings)
    assert list(found) == [path]
    assert words in found[path][0]


@pytest.mark.parametrize(
    "bounds",
    [
        {"type": "number", "minimum": 5, "maximum": 4},
        {"type": "number", "minimum": 5, "exclusiveMaximum": 5},
        {"type": "number", "exclusiveMinimum": 5, "maximum": 5},
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 6},
        {"type": "integer", "minimum": 0.2, "maximum": 0.8},
        {"type": "integer", "minimum": 2**63},
        {"type": "integer", "maximum": -1e300},
    ],
)
def test_bounds_that_nothing_can_pass_are_faults(bounds):
    found = field_faults(**bounds)
    assert set(found) == set(bounds) - {"type"}
    assert all("can pass" in text for texts in found.values() for text in texts)


def test_bounds_that_one_value_passes_are_fine():
    for bounds in (
        {"type": "number", "minimum": 5, "maximum": 5},
        {"type": "integer", "exclusiveMinimum": 4.5, "exclusiveMaximum": 5.5},
        {"type": "integer", "minimum": 2**63 - 1},
        {"type": "text", "minLength": 0, "maxLength": 0},
    ):
        assert parse_schema({"fields": {"x": bounds}})


@pytest.mark.parametrize("literal", ["1e400", "-1e400"])
def test_bound_that_overflows_a_float_is_a_fault(literal):
    assert "finite number" in field_faults(type="number", maximum=json.loads(literal))["maximum"][0]


def test_bounds_that_a_float_holds_or_decimals_name_are_fine():
    numbers = {"enum": [0.1, 10**22, -(2**63)], "minimum": -(2**1000), "exclusiveMaximum": 2**53 + 2}
    assert parse_schema({"fields": {"x": {"type": "number", **numbers}}})
    assert parse_schema({"fields": {"x": {"type": "integer", "minimum": 2**53 + 1}}})


def test_whole_number_is_the_same_schema_in_either_spelling():
    def spelled(number):
        return {
            "text": {"type": "text", "minLength": number(1), "maxLength": number(20)},
            "integer": {"type": "integer", "enum": [number(1), number(2)], "minimum": number(1)},
        }

    assert repr(schema_to_json(parse_schema({"fields": spelled(float)}))["fields"]) == repr(spelled(int))


def test_bound_of_an_integer_past_64_bits_stays_short():
    schema = parse_schema({"fields": {"x": {"type": "integer", "minimum": -1e300, "maximum": 7.5}}})
    assert schema_to_json(schema)["fields"]["x"] == {"type": "integer", "minimum": -1e300, "maximum": 7.5}


def test_all_faults_are_told_at_once():
    found = faults_of(
        {
            "strict": "yes",
            "extra": 1,
            "fields": {
                "a": {"type": "integer", "minimum": "1", "pattern": "x", "label": 5},
                "b": {"type": "nothing"},
                "_raw": {"type": "text", "required": 1},
            },
        }
    )
    assert set(found) == {
        "schema",
        "schema.strict",
        "schema.fields.a.minimum",
        "schema.fields.a.pattern",
        "schema.fields.a.label",
        "schema.fields.b.type",
        "schema.fields._raw",
        "schema.fields._raw.required",
    }


def test_absent_label_may_be_null():
    assert schema_to_json(parse_schema({"fields": {"a": {"type": "text", "label": None}}}))["fields"] == {
        "a": {"type": "text"}
    }


def test_integer_range_is_what_the_bounds_leave():
    def bounds(**settings):
        return parse_schema({"fields": {"x": {"type": "integer", **settings}}}).fields[0].constraints.integer_range()

    assert bounds() == (-(2**63), 2**63 - 1)
    assert bounds(exclusiveMinimum=0, maximum=7.5) == (1, 7)
    assert bounds(minimum=-0.5, exclusiveMaximum=7.5) == (0, 7)
    assert bounds(minimum=-(10**30), exclusiveMaximum=8) == (-(2**63), 7)
