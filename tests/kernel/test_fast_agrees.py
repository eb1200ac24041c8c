"""The fast pass gives what the exact pass gives, record by record: verdicts, values, ids, reasons.

Runs for a minute with the same files each time; `make fuzz` runs it for an hour with new ones.
"""

import os
import sys
import time
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from assay.kernel import chunks, fast_pass
from assay.kernel.chunks import Chunk, ChunkTask, check_chunk
from assay.kernel.formats import FORMATS
from kernel.hostile import Chance, csv_header, csv_record, jsonl_record, made_schema
from kernel.runs import fields_schema

SECONDS = float(os.environ.get("ASSAY_FUZZ_SECONDS", "60"))
FIRST_SEED = int(os.environ.get("ASSAY_FUZZ_SEED", "0"))
DATASET_ID = UUID("0190a5d0-7c3e-7c3e-8c3e-0123456789ab")
NEVER = 1 << 60

# Each record of a block is made from the block's seed and its place, so a failing file shrinks to one block.
BLOCK_RECORDS = 32
block_seeds = st.lists(st.integers(0, 2**40), min_size=1, max_size=16)


def judged(data, task, *, fast, patch):
    patch.setattr(chunks, "FAST_BYTES", 0 if fast else NEVER)
    patch.setattr(chunks, "FAST_BYTES_TO_LOAD", 0 if fast else NEVER)
    return check_chunk(data, task)


def cut(data, format, chunk_bytes):
    """The data in parts of whole records, each of at least so many bytes."""
    starts = FORMATS[format].framing.frames(data).starts.tolist()
    first = 0
    for start in [*starts[1:], len(data)]:
        if start - first >= chunk_bytes or start == len(data):
            yield data[first:start]
            first = start


def compare(data, task, patch):
    exact = judged(data, task, fast=False, patch=patch)
    fast = judged(data, task, fast=True, patch=patch)
    fast.table.validate(full=True)
    assert fast.rejections.equals(exact.rejections)
    assert fast.first_faults == exact.first_faults
    assert fast.table.schema.equals(exact.table.schema)
    assert fast.table.num_rows == exact.table.num_rows
    assert np.array_equal(fast.ids, exact.ids)
    assert all(left.equals(right) for left, right in zip(_columns(fast), _columns(exact), strict=True))
    return fast.record_count, fast.accepted_count


def _columns(result):
    columns = [pa.concat_arrays(column.chunks) for column in result.table.drop_columns("datapoint_id").columns]
    return [column.view(pa.int64()) if column.type == pa.float64() else column for column in columns]


def made_file(format, file_seed, seeds):
    chance = Chance(file_seed, wild=0.1)
    wild = chance.choice([0.002, 0.02, 0.1, 0.3])
    schema = made_schema(chance)
    header = csv_header(chance, schema) if format == "csv" else None
    records = [
        jsonl_record(chance, schema) if header is None else csv_record(chance, schema, header)
        for block_seed in seeds
        for chance in [Chance(block_seed, wild)]
        for _ in range(BLOCK_RECORDS)
    ]
    line_end = chance.choice([b"\n", b"\n", b"\r\n"])
    return schema, header, line_end.join(records) + chance.choice([line_end, line_end, b""])


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_the_fast_pass_agrees_with_the_exact_one(format, capsys):
    counts = {"records": 0, "accepted": 0, "recognised": 0, "doubted": 0, "torn": 0, "files": 0}

    recognise = fast_pass.recognise

    def counted(*arguments, **named):
        accepted, doubts = recognise(*arguments, **named)
        counts["recognised"] += len(accepted.rows)
        counts["doubted"] += len(set(doubts.rows.tolist()))
        counts["torn"] += len(doubts.torn_rows)
        return accepted, doubts

    def check(file_seed, seeds, chunk_bytes):
        schema, header, data = made_file(format, file_seed, seeds)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fast_pass, "recognise", counted)
            for part in cut(data, format, chunk_bytes):
                chunk = Chunk(0, 0, len(part), 0, header, 0)
                records, accepted = compare(part, ChunkTask(chunk, format, schema, DATASET_ID, 4096), patch)
                counts["records"] += records
                counts["accepted"] += accepted
        counts["files"] += 1

    deadline = time.monotonic() + SECONDS / 2
    run = 0
    while time.monotonic() < deadline:
        checked = given(st.integers(0, 2**40), block_seeds, st.sampled_from([1 << 20, 1 << 20, 4096, 4096, 512, 61]))(
            check
        )
        limits = settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        seed(FIRST_SEED + run)(limits(checked))()
        run += 1
    with capsys.disabled():
        said = "{records:,} records of {files:,} files compared, {accepted:,} accepted, {recognised:,} by the fast pass"
        said += ", {doubted:,} judged by some fields, {torn:,} torn"
        sys.stdout.write(f"\n{format}: {said.format(**counts)}\n")
    assert counts["recognised"] > counts["accepted"] * 0.5
    assert counts["doubted"] > (counts["records"] - counts["accepted"]) * 0.05
    assert counts["torn"] > (counts["records"] - counts["accepted"]) * 0.01


JSONL_RECORDS = [
    rb'{"a": "text \u00e9\ud83d\ude00\n", "n" : -12.5e+3, "j": {"k": [1, "x", {}], "l": null}, "b":true , "x": 1}',
    '{"a":"é“😀\t [[{{","a":1,"n":0}'.encode(),
    b' \t{"n":01,"b":nul,"j":[[]]}  ',
    b'{"j":"[{","b":false,"n":-}\t',
    b'{"a":"\\\\","a":"\t","j":[1,{"k":"","k":2}]}',
]
CSV_RECORDS = [
    'text é😀,-12.5,"{""k"": [1, ""x""]}",true,'.encode(),
    b'"a ""quoted"" one",1,"x,\ny",,false',
    b'a"b,1,[],true,,,"x"y',
    b",,,,,,,",
    b'"","" ,\t,"\t"',
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \r\n", b"\t\n", b"\r\r\n", b"\r", b" ", b""])
@pytest.mark.parametrize(("format", "records"), [("jsonl", JSONL_RECORDS), ("csv", CSV_RECORDS)])
def test_records_may_be_cut_off_anywhere(format, records, end, monkeypatch):
    """The fast pass tells of most that they are; what is said of them is what the exact pass would have said."""
    schema = fields_schema(a="text", n="number", j="json", b="boolean")
    header = ("a", "n", "j", "b", "x") if format == "csv" else None
    for record in records:
        parts = [record[:length] for length in range(1, len(record) + 1)]
        line_end = end if end.endswith(b"\n") else b"\n"  # what else there is can only end the last record
        whole = line_end.join(parts) + end
        for data in filter(FORMATS[format].framing.frames, [whole, *(part + end for part in parts)]):
            chunk = Chunk(0, 0, len(data), 0, header, 0)
            compare(data, ChunkTask(chunk, format, schema, DATASET_ID), monkeypatch)


def test_nothing_is_no_value_inside_a_container(monkeypatch):
    schema = fields_schema(a="json", b="metadata")
    inner = [
        '{"k":}',
        '{"k": }',
        '{"k":1,"l":}',
        "[,]",
        "[1,]",
        "[{}]",
        '{"k":{}}',
        "{}",
        "[ ]",
        '{"k":[]}',
        '{"k":]}',
        "[}",
    ]
    lines = b"\n".join(f'{{"a":{text},"b":1}}'.encode() for text in inner) + b"\n"
    compare(lines, ChunkTask(Chunk(0, 0, len(lines), 0, None, 0), "jsonl", schema, DATASET_ID), monkeypatch)
    cells = b"".join(b'"%s",1\n' % text.replace('"', '""').encode() for text in inner)
    compare(cells, ChunkTask(Chunk(0, 0, len(cells), 0, ("a", "b"), 0), "csv", schema, DATASET_ID), monkeypatch)


def test_keys_that_look_like_others_are_not_taken_for_them(monkeypatch):
    """The key that followed last time is expected again: it must be the same by its text, not by its bytes."""
    schema = fields_schema(a="integer", **{"tab\t": "boolean", 'q"uote': "text"})
    as_it_is = [rb'{"a":1,"tab\\t":true,"a2":1}', rb'{"a":2,"q\"uote":"x"}', b'{"a":3,"tab\t":true}']
    alike = [rb'{"a":4,"tab\t":true}', b'{"a":5,"q"uote":"x"}', rb'{"a":6,"tab\\t":"x"}', b'{"a":7,"tab\t":true}']
    for first in as_it_is:
        for second in alike:
            data = b"\n".join([first, first, second, b""])
            compare(data, ChunkTask(Chunk(0, 0, len(data), 0, None, 0), "jsonl", schema, DATASET_ID), monkeypatch)
