"""What holds for any file at all: nothing is lost, counted twice, or moved by where a file is cut."""

import csv
import io
import json
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assay.kernel import framing
from assay.kernel.chunks import plan_chunks
from kernel.runs import fields_schema, outcome_of

SCHEMA = fields_schema(a={"type": "integer", "minimum": 1}, b={"type": "text", "required": True}, c="number", d="json")

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from("abcdxé"), values, max_size=5)
json_lines = st.builds(
    lambda value, ascii_only, spaced: json.dumps(
        value, ensure_ascii=ascii_only, separators=None if spaced else (",", ":")
    ).encode("utf-8", "surrogatepass"),
    objects | values,
    st.booleans(),
    st.booleans(),
)
spoilt_lines = st.builds(lambda line, at: line[: at % (len(line) + 1)], json_lines, st.integers(0, 50))
jsonl_files = st.lists(
    json_lines | spoilt_lines | st.sampled_from([b"", b" ", b"\r", b'{"a":1,"a":2}', b"\xff", b'{"b":"\\ud800"}']),
    min_size=1,
    max_size=8,
).flatmap(lambda lines: st.sampled_from([b"\n".join(lines), b"\r\n".join(lines) + b"\r\n"]))
csv_tokens = st.sampled_from(
    [b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"a", b" ", "é".encode(), b"1", b"\xff", b"1.5"]
)
csv_files = st.builds(
    lambda header, tokens: header + b"\n" + b"".join(tokens),
    st.sampled_from([b"a,b", b"b,x,a", b'"b"', b"\n\xef\xbb\xbfb,c"]),
    st.lists(csv_tokens, max_size=40),
)
sizes = st.integers(1, 40)


@pytest.mark.parametrize(("format", "files"), [("jsonl", jsonl_files), ("csv", csv_files)])
def test_chunk_size_changes_nothing(format, files):
    @settings(max_examples=400, deadline=None)
    @given(files, sizes)
    def check(data, chunk_bytes):
        whole = outcome_of(data, SCHEMA, format=format, record_limit_bytes=60)
        cut = outcome_of(data, SCHEMA, format=format, record_limit_bytes=60, chunk_bytes=chunk_bytes)
        assert cut.file_fault == whole.file_fault
        if whole.file_fault is None:
            whole.chunk_count = cut.chunk_count
            assert repr(cut) == repr(whole)

    check()


@pytest.mark.parametrize(("format", "files"), [("jsonl", jsonl_files), ("csv", csv_files)])
def test_each_record_is_accepted_or_rejected_once_and_numbered_in_order(format, files):
    @settings(max_examples=300, deadline=None)
    @given(files, sizes)
    def check(data, chunk_bytes):
        outcome = outcome_of(data, SCHEMA, format=format, chunk_bytes=chunk_bytes)
        if outcome.file_fault is None:
            accepted = [index for index, _ in outcome.accepted]
            rejected = [index for index, *_ in outcome.rejected]
            assert accepted == sorted(set(accepted))
            assert rejected == sorted(rejected)
            assert sorted([*accepted, *set(rejected)]) == list(range(outcome.record_count))

    check()


@settings(max_examples=300, deadline=None)
@given(jsonl_files, sizes)
def test_jsonl_records_are_the_lines_that_are_not_blank(data, chunk_bytes):
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n") if line.strip(b" \t\r")]
    outcome = outcome_of(data, SCHEMA, chunk_bytes=chunk_bytes)
    assume(outcome.file_fault is None or "JSON" not in outcome.file_fault)  # as of an array
    assert outcome.record_count == len(lines)
    for index, _, _, _, record in outcome.rejected:
        assert record == lines[index]


@settings(max_examples=300, deadline=None)
@given(json_lines)
def test_json_is_refused_only_for_what_the_object_says(line):
    """Whatever json.dumps writes is JSON, but for NaN and lone surrogates."""
    outcome = outcome_of(line, fields_schema(a="metadata"))
    reasons = [reason for *_, reason, _ in outcome.rejected]
    if outcome.file_fault is None and reasons and isinstance(json.loads(line), dict):
        assert re.search("surrogate|not valid UTF-8|not JSON", reasons[0])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.text(st.sampled_from('a",\n\r é'), max_size=6), min_size=2, max_size=2), min_size=1), sizes)
def test_what_a_csv_writer_writes_is_read_back(rows, chunk_bytes):
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    outcome = outcome_of(
        written.getvalue().encode(), fields_schema(a="text", b="text"), format="csv", chunk_bytes=chunk_bytes
    )
    assert [list(values.values()) for _, values in outcome.accepted] == [[cell or None for cell in row] for row in rows]


def ends_by_machine(data):
    """CSV's state machine, a byte at a time, as it is written down in the framing module; and its last state."""
    ends, state = [], "start"
    for at, byte in enumerate(data):
        character = chr(byte)
        if state == "quoted":
            state = "closed" if character == '"' else "quoted"
        elif state == "closed" and character == '"':
            state = "quoted"
        elif character == "\n":
            ends.append(at + 1)
            state = "start"
        elif character == ",":
            state = "start"
        else:
            state = "quoted" if state == "start" and character == '"' else "bare"
    return ends, state


@settings(max_examples=1500, deadline=None)
@given(st.text(st.sampled_from('",\n\ra*\x02'), max_size=60), st.integers(1, 9))
def test_csv_records_end_where_the_state_machine_says(text, piece_bytes):
    data = text.encode()
    expected, state = ends_by_machine(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "PIECE_BYTES", piece_bytes)
        assert framing.csv_ends(data, 0, len(data)).tolist() == expected
    so_far, start, found = b"", 0, []
    for at in range(0, len(data), piece_bytes):
        block, start = data[at : at + piece_bytes], at
        end, carried = framing.csv_end(so_far + block, 0)
        while end >= 0:
            start += end - len(so_far)
            found.append(start)
            so_far = b""
            end, carried = framing.csv_end(data[start : at + piece_bytes], 0)
        so_far = carried
    assert found == expected
    assert (so_far == framing.IN_QUOTES) == (state == "quoted")


@settings(max_examples=200, deadline=None)
@given(jsonl_files, sizes)
def test_chunks_lie_end_to_end_and_are_no_larger_than_asked_but_for_one_record(data, chunk_bytes):
    def read(offset, length):
        return data[offset : offset + length]

    if outcome_of(data, SCHEMA).file_fault is not None:
        return
    end = 0
    for chunk in plan_chunks(read, size_bytes=len(data), format="jsonl", schema=SCHEMA, chunk_bytes=chunk_bytes):
        assert chunk.offset >= end
        assert not data[end : chunk.offset].strip()
        assert chunk.length <= chunk_bytes or chunk.record_count == 1
        end = chunk.end
    assert not data[end:].strip()
