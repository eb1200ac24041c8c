"""Traps that don't fit a table: records too large to write down, very wide schemas, and every place to cut a file."""

import json
import tracemalloc

import pytest

from assay.kernel.chunks import ChunkTask, FileFault, check_chunk, plan_chunks
from kernel.runs import DATASET_ID, fields_schema, outcome_of

MIB = 1024 * 1024


def test_record_of_16_mib_is_accepted_and_one_of_17_rejected():
    schema = fields_schema(a="text")
    largest = b'{"a":"' + b"x" * (16 * MIB - 8) + b'"}'
    data = largest + b"\n" + b'{"a":"' + b"x" * (17 * MIB - 8) + b'"}\n{"a":"after"}\n'
    for chunk_bytes in (MIB, 20 * MIB, 40 * MIB):
        outcome = outcome_of(data, schema, chunk_bytes=chunk_bytes)
        assert [(index, len(values["a"])) for index, values in outcome.accepted] == [(0, 16 * MIB - 8), (2, 5)]
        assert outcome.first_faults == [(1, "_raw", "Record is 17,825,792 bytes long; at most 16,777,216 are allowed")]
        assert len(outcome.rejected[0][4]) == 17 * MIB


class OneLongLine:
    """A file of 300 MB that isn't there: a record, a line of 300 MB, a record."""

    def __init__(self, before, filler, after):
        self.before, self.filler, self.after = before, filler, after
        self.size_bytes = len(before) + 300_000_000 + len(after)
        self.most_read = 0

    def read(self, offset, length):
        self.most_read = max(self.most_read, length)
        end = min(offset + length, self.size_bytes)
        long_end = self.size_bytes - len(self.after)
        head = self.before[offset:end]
        middle = max(0, min(end, long_end) - max(offset, len(self.before)))
        tail = self.after[max(0, offset - long_end) : max(0, end - long_end)]
        return head + self.filler * middle + tail


@pytest.mark.parametrize(
    ("format", "file"),
    [
        ("jsonl", OneLongLine(b'{"a":"1"}\n', b"x", b'\n{"a":"2"}\n')),
        ("csv", OneLongLine(b"a,b\n1,1\n", b"x", b"\n2,2\n")),
        ("csv", OneLongLine(b'a,b\n1,1\n"', b"\n", b'",x\n2,2\n')),
        ("csv", OneLongLine(b"a,b\n1,1\n", b",", b"\n2,2\n")),
    ],
)
def test_line_of_300_mb_is_rejected_in_bounded_memory(format, file):
    schema = fields_schema(a="text")
    tracemalloc.start()
    results = []
    for chunk in plan_chunks(file.read, size_bytes=file.size_bytes, format=format, schema=schema, chunk_bytes=4 * MIB):
        task = ChunkTask(chunk, format, schema, DATASET_ID)
        results.append(check_chunk(file.read(chunk.offset, chunk.length), task))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * MIB
    assert [(result.accepted_count, result.rejected_count) for result in results] == [(1, 0), (0, 1), (1, 0)]
    index, field, reason = results[1].first_faults[0]
    assert (index, field) == (1, "_raw")
    assert reason.startswith("Record is 300,000,")
    assert results[2].table.column("record_index").to_pylist() == [2]


def test_long_unclosed_quote_fails_the_file_and_is_located():
    file = OneLongLine(b'a,b\n1,1\n2,"', b"x", b"\n3,3\n")
    with pytest.raises(FileFault, match="Record 1, at byte 8, has a quote that is never closed"):
        list(plan_chunks(file.read, size_bytes=file.size_bytes, format="csv", schema=fields_schema(a="text")))


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize(("levels", "accepted"), [(255, True), (256, False), (10_000, False)])
def test_nesting_is_allowed_to_256_levels(opening, levels, accepted):
    """The record itself is one of the levels."""
    closing = "]" if opening == "[" else "}"
    inner = "" if opening == "[" else "1"
    value = opening * levels + inner + closing * levels
    outcome = outcome_of(f'{{"x":{value}}}\n{{"x":1}}\n'.encode(), fields_schema(x="json"))
    assert len(outcome.accepted) == (2 if accepted else 1)
    if not accepted:
        assert outcome.first_faults == [(0, "_raw", "Record is nested too deeply: at most 256 levels")]


def test_brackets_in_texts_are_no_levels():
    text = "[{" * 1000 + '\\"' + "[" * 1000
    outcome = outcome_of(f'{{"x":"{text}"}}'.encode(), fields_schema(x="text"))
    assert outcome.accepted == [(0, {"x": json.loads(f'"{text}"')})]


def test_json_cell_nested_too_deeply_is_kept_as_a_string():
    deep = "[" * 256 + "]" * 256
    outcome = outcome_of(f"x,y\n{deep},1\n{deep[1:-1]},1\n".encode(), fields_schema(x="json"), format="csv")
    assert [values["x"] for _, values in outcome.accepted] == [json.dumps(deep), deep[1:-1]]
    exported = "".join(f'{{"x":{values["x"]}}}\n' for _, values in outcome.accepted).encode()
    assert len(outcome_of(exported, fields_schema(x="json")).accepted) == 2


def test_numbers_of_any_length_are_read():
    digits = "1" * 100_000
    schema = fields_schema(i="integer", n="number", t="text")
    outcome = outcome_of(f'{{"i":{digits}}}\n{{"n":{digits}}}\n{{"t":{digits}}}\n{{"i":1e{digits}}}'.encode(), schema)
    assert outcome.accepted == [(2, {"i": None, "n": None, "t": digits})]
    assert [reason for _, _, reason in outcome.first_faults] == [
        "Value must be an integer in 64 bits",
        "Value must be a number",
        "Value must be an integer in 64 bits",
    ]
    exact = "5." + "0" * 100_000
    assert outcome_of(f'{{"i":{exact}}}'.encode(), schema).accepted == [(0, {"i": 5, "n": None, "t": None})]


def test_urls_may_have_8192_characters():
    longest = "https://example.com/" + "é" * 8172
    schema = fields_schema(u="image_url")
    assert outcome_of(json.dumps({"u": longest}).encode(), schema).accepted == [(0, {"u": longest})]
    assert outcome_of(json.dumps({"u": longest + "x"}).encode(), schema).first_faults == [
        (0, "u", "Value must be an absolute http or https URL")
    ]


def test_200_fields_are_judged_in_schema_order():
    keys = [f"key{n}" for n in range(200)]
    schema = fields_schema(**dict.fromkeys(keys, "integer"))
    record = json.dumps(dict.fromkeys(reversed(keys), "x")).encode()
    good = json.dumps({key: n for n, key in enumerate(keys)}).encode()
    outcome = outcome_of(record + b"\n" + good, schema)
    assert [field for _, field, *_ in outcome.rejected] == keys
    assert outcome.accepted == [(1, {key: n for n, key in enumerate(keys)})]


def test_key_in_a_reason_is_cut():
    key = "k" * 5000
    outcome = outcome_of(f'{{"{key}":1,"{key}":2}}'.encode(), fields_schema(a="text"))
    assert outcome.first_faults[0][2] == f"Key appears more than once in an object: {'k' * 127}…"


def test_first_faults_are_at_most_1000_a_chunk():
    outcome = outcome_of(b'{"a":"x"}\n' * 1001, fields_schema(a="integer"))
    assert len(outcome.rejected) == 1001
    assert len(outcome.first_faults) == 1000


QUOTED = b'a,b\r\n"one\r\n""1""","x,\n\n"\r\n"""",""\n"2","\r\n"\r\n\r\nbare,4\n5"5,6\n"7"7,8\n9,"10"'


@pytest.mark.parametrize("chunk_bytes", range(1, len(QUOTED) + 1))
def test_quotes_may_stand_on_any_chunk_boundary(chunk_bytes):
    outcome = outcome_of(QUOTED, fields_schema(a="text", b="text"), format="csv", chunk_bytes=chunk_bytes)
    assert [tuple(values.values()) for _, values in outcome.accepted] == [
        ('one\r\n"1"', "x,\n\n"),
        ('"', None),
        ("2", "\r\n"),
        ("bare", "4"),
        ("9", "10"),
    ]
    assert [(index, record) for index, _, _, _, record in outcome.rejected] == [(4, b'5"5,6'), (5, b'"7"7,8')]


def test_white_space_of_any_length_is_no_record():
    data = b'{"a":"1"}\n' + b" " * (17 * MIB) + b'\n{"a":"2"}\n' + b"\t" * (17 * MIB)
    for chunk_bytes in (MIB, 20 * MIB, 40 * MIB):
        outcome = outcome_of(data, fields_schema(a="text"), chunk_bytes=chunk_bytes)
        assert [index for index, _ in outcome.accepted] == [0, 1]
        assert outcome.rejected == []


@pytest.mark.parametrize(("line", "records"), [(b"\n", 0), (b"{}\n", 2 * MIB // 3)])
def test_chunk_of_very_short_lines_is_bounded_in_memory(line, records):
    schema = fields_schema(**{f"key{n}": "text" for n in range(200)})
    data = b'{"key1":"first"}\n' + line * (2 * MIB // len(line))
    tracemalloc.start()
    count = 0
    for chunk in plan_chunks(lambda at, n: data[at : at + n], size_bytes=len(data), format="jsonl", schema=schema):
        result = check_chunk(data[chunk.offset : chunk.end], ChunkTask(chunk, "jsonl", schema, DATASET_ID))
        count += result.accepted_count
        if count > 50_000:
            break
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1 if records == 0 else count > 50_000
    assert peak < 80 * MIB
