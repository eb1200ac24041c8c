"""A proposed schema: what it says of a file, that nearly all of the file passes it, and that no file is too strange."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernel import infer, infer_records
from assay.kernel.files import FileFault
from assay.kernel.infer import infer_schema
from assay.schema import parse_schema, schema_to_json
from kernel.runs import outcome_of

SAMPLES = Path(__file__).parent.parent.parent / "samples"


def proposal_of(data, *, format="jsonl", whole=False):
    return infer_schema(lambda at, size: data[at : at + size], size_bytes=len(data), format=format, whole=whole)


def schema_of(data, **how):
    return proposal_of(data, **how).schema


def fields_of(data, **how):
    return schema_to_json(schema_of(data, **how))["fields"]


def lines(*records):
    return "\n".join(json.dumps(record) for record in records).encode()


def type_of(*values):
    return fields_of(lines(*({"v": value} for value in values)))["v"]["type"]


@pytest.mark.parametrize(
    ("values", "type_name"),
    [
        ([1, 2, -3], "integer"),
        ([1, 2.5], "number"),
        ([1.0, 2.0], "number"),
        ([True, False], "boolean"),
        (["a", "b"], "text"),
        (["1", "2"], "text"),
        ([1, "a"], "text"),
        ([1, True], "text"),
        ([2**63 - 1], "integer"),
        ([12345678901234567890, 1], "text"),
        (["2024-02-29", "2024-03-01"], "date"),
        (["2024-02-30"], "text"),
        (["2024-02-29T10:00:00Z"], "datetime"),
        (["2024-02-29", "2024-02-29T10:00:00Z"], "text"),
        (["https://a.example/x.mp3"], "audio_url"),
        (["https://a.example/x.MP4"], "video_url"),
        (["https://a.example/x.mp3", "https://a.example/x.mp4"], "text"),
        (["https://a.example/x.png?size=2"], "image_url"),
        (["https://a.example/page"], "text"),
        ([{"a": 1}], "json"),
        ([[1], "a", 2], "json"),
        ([None, None], "text"),
        ([None, 1], "integer"),
    ],
)
def test_type_is_the_narrowest_that_takes_every_value(values, type_name):
    assert type_of(*values) == type_name


def refused_of(proposal):
    return {field.key: (field.type, field.refused, field.looked_at) for field in proposal.refusals}


@pytest.mark.parametrize(
    ("many", "other", "type_name"),
    [
        (7, "n/a", "integer"),
        (7, "one", "integer"),
        (7, "7", "integer"),
        (7, {"a": 1}, "integer"),
        (7.5, "n/a", "number"),
        (True, "maybe", "boolean"),
        ("2024-02-29", "2024-02-30", "date"),
        ("2024-02-29T10:00:00Z", "yesterday", "datetime"),
        ("https://a.example/x.mp3", "https://a.example/page", "audio_url"),
        ("https://a.example/x.mp4", "", "video_url"),
        ("https://a.example/x.png", "ftp://a.example/x.png", "image_url"),
        ("https://a.example/x.png", "none", "image_url"),
    ],
)
def test_one_value_of_twenty_that_is_wrong_costs_no_type(many, other, type_name):
    found = proposal_of(lines(*({"v": value} for value in [*[many] * 10, other, *[many] * 9])))
    assert [field.type for field in found.schema.fields] == [type_name]
    assert refused_of(found) == {"v": (type_name, 1, 20)}
    for values in ([other, *[many] * 18], [*[many] * 20, other, other]):
        assert type_of(*values) in ("text", "json")


@pytest.mark.parametrize(
    ("many", "other", "type_name"),
    [
        (7, 7.5, "number"),
        (7, 7.0, "number"),
        (7.5, 1e300, "number"),
        (7, 12345678901234567890, "text"),
        (7, "007", "text"),
        ("https://a.example/x.png", "https://a.example/page", "image_url"),
        ("text", {"a": 1}, "json"),
    ],
)
def test_what_takes_every_value_goes_before_what_takes_most(many, other, type_name):
    found = proposal_of(lines(*({"v": value} for value in [*[many] * 99, other])))
    assert [field.type for field in found.schema.fields] == [type_name]
    assert found.refusals == ()


BIG = 2**53 + 1


@pytest.mark.parametrize(
    ("cells", "type_name"),
    [
        ([BIG, "1.5", *[BIG + 2] * 98], "integer"),
        ([BIG, *["1.5"] * 3], "text"),
        ([*["1.23457E+18"] * 4, *[BIG] * 56], "text"),
        (["1.23457E+18", *[BIG] * 99], "integer"),
        ([-BIG, "1.5"], "text"),
        ([*["x"] * 600, *[BIG] * 9, *["1.5"] * 30_000], "text"),
        ([2**53, 2**62, "1.5"], "number"),
    ],
)
def test_integers_that_a_float_does_not_hold_make_no_number(cells, type_name):
    """As numbers they would all be accepted, and some stored as others."""
    data = "\n".join(["id", *map(str, cells)]).encode()
    assert fields_of(data, format="csv", whole=True)["id"]["type"] == type_name
    jsonl = "\n".join(f'{{"id": {cell}}}' for cell in cells if cell != "x").encode()
    assert (fields_of(jsonl, whole=True)["id"]["type"] == "number") == (type_name == "number")


def shortened_of(*cells):
    found = proposal_of("\n".join(["id", *map(str, cells)]).encode(), format="csv")
    return [(field.key, field.count, field.looked_at) for field in found.shortened]


def test_identifiers_that_a_spreadsheet_shortened_are_told():
    assert shortened_of("1.23457E+18", *[BIG] * 4) == [("id", 1, 5)]
    assert shortened_of("1.2E+11", "2E+11") == [("id", 2, 2)]
    assert shortened_of("1.2E+10", 123456789012) == []
    assert shortened_of("6.022E+23", "0.5") == shortened_of("6.0221408E+23", BIG) == []


def test_type_that_is_hardly_one_at_first_is_not_looked_for_on_and_on():
    values = [*["x"] * 1100, *[7] * 30_000]
    assert fields_of(lines(*({"v": value} for value in values)), whole=True)["v"]["type"] == "text"


def test_sample_with_faults_gets_the_types_that_are_meant():
    found = proposal_of((SAMPLES / "responses.jsonl").read_bytes(), whole=True)
    types = {field.key: field.type for field in found.schema.fields}
    assert types == {
        "prompt": "text",
        "response_a": "text",
        "response_b": "text",
        "image_url": "image_url",
        "metadata": "json",
        "task_group_id": "task_group_id",
    }
    assert {key: refused for key, (_, refused, _) in refused_of(found).items()} == {"image_url": 1, "task_group_id": 1}


def test_cells_of_a_csv_are_read_as_cells():
    data = b"id,zip,n,price,ok,day,empty\n1,00123,1,2.50,TRUE,2024-01-02,\n2,99999,,3,false,2024-01-03,\n"
    fields = fields_of(data, format="csv")
    types = {key: field["type"] for key, field in fields.items()}
    assert types == {
        "id": "integer",
        "zip": "text",
        "n": "integer",
        "price": "number",
        "ok": "boolean",
        "day": "date",
        "empty": "text",
    }
    assert [key for key, field in fields.items() if field.get("required")] == ["id", "zip", "price", "ok", "day"]


def test_what_every_record_has_is_required():
    assert schema_to_json(schema_of(lines({"a": 1}, {"a": 2}))) == {
        "strict": True,
        "fields": {"a": {"type": "integer"}},
    }
    assert schema_to_json(schema_of(lines({"a": 1, "b": 1}, {"a": 2, "b": None}))) == {
        "strict": False,
        "fields": {"a": {"type": "integer", "required": True}, "b": {"type": "integer"}},
    }


def test_csv_record_of_empty_cells_makes_no_field_optional():
    found = proposal_of(b"id,name\n1,a\n2,b\n,\n,\n", format="csv")
    assert (found.schema.strict, found.empty_count) == (True, 2)
    assert proposal_of(b'id\n1\n""\n', format="csv").schema.strict is False
    with pytest.raises(FileFault, match="nothing but empty cells"):
        schema_of(b"id,name\n,\n", format="csv")


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([*["1.5"] * 90, *["NA"] * 8, *["\\N"] * 2], ("v", "number", ("NA", "\\N"), 10, 100)),
        (["true", "None"], ("v", "boolean", ("None",), 1, 2)),
        ([*["1"] * 99, "NA"], None),
        (["x", "NA"], None),
        (["NA", "NaN"], None),
    ],
)
def test_words_for_absence_that_cost_a_field_its_type_are_told(cells, told):
    words = proposal_of("\n".join(["v", *cells]).encode(), format="csv").null_words
    assert [(each.key, each.type, each.words, each.count, each.looked_at) for each in words] == ([told] if told else [])


def test_image_is_told_by_its_name_too():
    fields = fields_of(lines({"photoUrl": "https://cdn.example/1", "link": "https://cdn.example/2"}))
    assert (fields["photoUrl"]["type"], fields["link"]["type"]) == ("image_url", "text")


def test_few_texts_that_come_again_are_an_enum():
    records = [{"c": "red" if at % 3 else "blue", "n": at % 2, "t": f"text {at}", "one": "x"} for at in range(30)]
    fields = fields_of(lines(*records))
    assert fields["c"] == {"type": "text", "enum": ["blue", "red"]}
    assert fields["n"] == {"type": "integer"}
    assert fields["t"] == fields["one"] == {"type": "text"}
    assert fields_of(lines(*records[:9]))["c"] == {"type": "text"}


@pytest.mark.parametrize("key", ["task_group_id", "taskGroupId", "Task Group", "group_id"])
def test_task_group_is_told_by_its_name(key):
    assert fields_of(lines({key: "a"}, {key: "b"}))[key]["type"] == "task_group_id"


@pytest.mark.parametrize(
    ("groups", "type_name"),
    [
        (["a", ""], "task_group_id"),
        (["a", " ", 7], "task_group_id"),
        (["a", "", ""], "text"),
        (["", None], "text"),
        (["a", True], "text"),
        (["a"] * 19 + [True], "task_group_id"),
        (["a"] * 19 + [True, True], "text"),
    ],
)
def test_blank_task_group_is_taken_for_absent_while_most_are_not(groups, type_name):
    found = proposal_of(lines(*({"group_id": group, "n": 1} for group in groups)))
    fields = schema_to_json(found.schema)["fields"]
    assert fields["group_id"]["type"] == type_name
    if type_name == "task_group_id" and not all(str(group).strip() for group in groups):
        assert "required" not in fields["group_id"]
        assert refused_of(found) == {"group_id": ("task_group_id", 1, len(groups))}


def test_at_most_one_field_is_the_task_group():
    types = {key: field["type"] for key, field in fields_of(lines({"group_id": "a", "task_group_id": 7})).items()}
    assert types == {"group_id": "text", "task_group_id": "task_group_id"}


def test_only_a_sample_of_a_large_file_is_read_unless_asked():
    data = b'{"a": 1}\n' * 150_000 + b'{"a": 1.5, "b": 1}\n' + b'{"a": 1}\n' * 400_000
    read_bytes = 0

    def read(at, size):
        nonlocal read_bytes
        read_bytes += len(data[at : at + size])
        return data[at : at + size]

    start = infer_schema(read, size_bytes=len(data), format="jsonl")
    assert [field.type for field in start.schema.fields] == ["integer"]
    assert read_bytes <= 4 * infer_records.SAMPLE_BYTES
    assert start.looked_at_bytes <= 2 * infer_records.SAMPLE_BYTES
    whole = infer_schema(read, size_bytes=len(data), format="jsonl", whole=True)
    assert [(field.key, field.type) for field in whole.schema.fields] == [("a", "number"), ("b", "integer")]
    assert (whole.looked_at_bytes, whole.record_count) == (len(data), 550_001)


@pytest.mark.parametrize("line", ['{at},"{c}",{v}', '{at},"{c}, or\n""{at}"",\nso",{v}'])
def test_sorted_file_is_looked_at_everywhere(line):
    """A place may begin within quotes, and as a sample has not all texts no enum is told from it."""
    rows = [line.format(at=at, c="AT" if at < 200_000 else "US", v=7 if at < 200_000 else 1.5) for at in range(300_000)]
    data = "\n".join(["id,country,score", *rows]).encode()
    found = proposal_of(data, format="csv")
    assert [field.type for field in found.schema.fields] == ["integer", "text", "number"]
    assert found.refusals == ()
    assert all(field.constraints.enum is None for field in found.schema.fields)
    assert found.looked_at_bytes < len(data) / 2


@pytest.mark.parametrize("start", [b'a,b\n1,"', b'"', b'{"a": "'])
def test_record_without_end_is_looked_for_in_the_start_only(start):
    def read(at, size):
        assert at + size <= infer_records.START_BYTES
        return (start + b"x" * (at + size - len(start)))[at : at + size]

    with pytest.raises(FileFault, match="first 20 MiB"):
        infer_schema(read, size_bytes=1 << 40, format="jsonl" if start.startswith(b"{") else "csv")


@pytest.mark.parametrize(
    ("data", "format", "words"),
    [
        (b"", "csv", "empty"),
        (b"a,b\n", "csv", "no records"),
        (b"a,a\n1,2\n", "csv", "more than one column"),
        (b"a,b\n1\n2\n", "csv", "none of the records"),
        (b"[1]\n2\n", "jsonl", "not an array"),
        (b"{}\n", "jsonl", "no keys"),
        (b'{"datapoint_id": 1, "": 2}\n', "jsonl", "no keys"),
        (b"PK\x03\x04zip", "jsonl", "ZIP"),
        (b"id;name\n1;a\n2;b, c\n", "csv", "separated by semicolons"),
        (b"id\tname\n1\ta\n", "csv", "separated by tabs"),
        (b"id|name|x\n1|a|\n", "csv", "separated by bars"),
        (b'"id";"name"\n"1";"a"\n', "csv", "separated by semicolons"),
        (b'[{"id": 1}, {"id": 2}]', "jsonl", "JSON array"),
        (b'{\n  "id": 1\n}\n', "jsonl", "JSON over several lines"),
        ("a\n1\n".encode("utf-16"), "csv", "UTF-16"),
    ],
)
def test_where_no_schema_can_be_told_the_reason_is(data, format, words):
    with pytest.raises(FileFault, match=words):
        schema_of(data, format=format)


def test_semicolon_in_the_name_of_the_one_column_is_only_that_where_the_values_have_none():
    assert list(fields_of(b"question; please answer\nyes; no\nyes\n", format="csv")) == ["question; please answer"]


def left_out_of(data, **how):
    return [(left.why.split()[-1], list(left.keys), left.is_all) for left in proposal_of(data, **how).left_out]


def test_keys_that_can_name_no_field_and_more_than_a_schema_has_are_left_out_and_told():
    records = [{f"k{at}": 1 for at in range(row * 10, row * 10 + 300)} for row in range(3)]
    records.append({"k" * 129: 1, "k" * 130: 1, "Record_Index": 1, "": 1, "k0": 1})
    data = lines(*records)
    fields = fields_of(data)
    assert len(fields) == 200
    assert {"k" * 129, "Record_Index", ""}.isdisjoint(fields)
    too_many, *unfit = left_out_of(data)[::-1]
    assert too_many == ("have", [f"k{at}" for at in range(320) if f"k{at}" not in fields], True)
    cut = "k" * 127 + "…"
    assert unfit == [("name", [""], True), ("names", ["Record_Index"], True), ("characters", [cut, cut], True)]


def test_columns_that_are_left_out_are_told_of_a_csv_too_and_only_counted_where_there_are_very_many(monkeypatch):
    assert left_out_of(b"a,datapoint_id\n1,2\n3,4\n", format="csv") == [("names", ["datapoint_id"], True)]
    assert left_out_of(b"a\n1\n", format="csv") == []
    monkeypatch.setattr(infer, "MAX_KEYS", 4)
    [(_, keys, is_all)] = left_out_of(lines(*({f"k{at}": at} for at in range(100))))
    assert (len(keys), is_all) == (5, False)


def test_records_that_cannot_be_read_say_nothing():
    fields = fields_of(b'{"a": 1}\n{"a": "x"\n[]\n{"a": 2, "a": "y"}\n\xff\n')
    assert fields == {"a": {"type": "integer"}}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.sampled_from(["2024-02-29", "http://a.example/b.png", "2024-02-29T00:00:00Z", "true", "5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["a", "b", "group_id", "photo", "datapoint_id"]) | st.text(max_size=3)


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON_VALUES, max_size=4), min_size=1, max_size=8))
def test_any_jsonl_passes_its_own_schema(records):
    data = b"\n".join(json.dumps(record, ensure_ascii=False).encode(errors="replace") for record in records)
    _assert_passes(data, "jsonl")


@settings(deadline=None)
@given(
    st.integers(15, 70),
    st.sampled_from([1, 2.5, True, "a", "2024-01-01", "https://a.example/b.png", "https://a.example/b.mp3"]),
    st.lists(JSON_VALUES, max_size=6),
    st.randoms(use_true_random=False),
)
def test_jsonl_of_like_values_passes_but_for_a_few(count, like, others, random):
    values = [*[like] * count, *others]
    random.shuffle(values)
    records = [{"v": value, "group_id": value, "photo": value} for value in values]
    _assert_passes(lines(*records), "jsonl")


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["", "1", "-2.0", "x", "true", "2024-01-01", '"a,b"', "7e1"]), min_size=3, max_size=3),
        min_size=1,
        max_size=30,
    )
    | st.lists(st.sampled_from([["1", "a", "x"]] * 30 + [["x", " ", "1"]]), min_size=20, max_size=60)
)
def test_any_csv_passes_its_own_schema(rows):
    _assert_passes("\n".join(["a,group_id,c", *(",".join(row) for row in rows)]).encode(), "csv")


def _assert_passes(data, format):
    """What the schema rejects is what the proposal says it does: a value of twenty of a field, and blank groups."""
    try:
        found = proposal_of(data, format=format)
    except FileFault:
        return
    assert parse_schema(json.loads(json.dumps(schema_to_json(found.schema)))) == found.schema
    outcome = outcome_of(data, found.schema, format=format)
    lacking = {index for index, _, code, *_ in outcome.rejected if code == "required"}
    assert len(lacking) <= found.empty_count
    rejected = Counter(field for _, field, code, *_ in outcome.rejected if field != "_raw" and code != "required")
    assert rejected == {field.key: field.refused for field in found.refusals}
    for field in found.refusals:
        if field.type == "task_group_id":
            assert field.refused <= field.looked_at / 2 + field.looked_at / 20
        else:
            assert field.refused <= field.looked_at / 20


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_have_a_schema_or_a_reason(data, format):
    _assert_passes(b"a" + data, format)
