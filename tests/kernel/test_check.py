"""The offline check of a file: both outputs, duplicates, the pool, and ends that come too early."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest

from assay.errors import ErrorCode, Unavailable
from assay.kernel.check import check_file
from assay.kernel.files import FileFault
from kernel.runs import fields_schema

SCHEMA = fields_schema(age={"type": "integer", "minimum": 1}, name={"type": "text", "required": True})


def record(n):
    """Of ten records one has two faults and one has one."""
    return {0: {"age": -1}, 4: {"age": "x", "name": f"n{n}"}}.get(n % 10, {"age": n, "name": f"n{n}"})


LINES = [json.dumps(record(n) | {"n": n}).encode() for n in range(1, 2001)]
JSONL = b"\n".join(LINES)


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "people.JSONL"
    path.write_bytes(JSONL)
    return path


def test_counts_faults_and_both_outputs_agree(jsonl, tmp_path):
    accepted, rejected = tmp_path / "good.parquet", tmp_path / "bad.jsonl"
    report = check_file(jsonl, SCHEMA, accepted=accepted, rejected=rejected)
    assert (report.record_count, report.accepted_count, report.rejected_count) == (2000, 1600, 400)
    assert report.first_faults[:2] == [
        (3, "age", "Value must be an integer"),
        (9, "age", "Value must be a positive integer"),
    ]
    assert report.faults_by_reason == Counter(
        {
            ("age", "Value must be an integer"): 200,
            ("age", "Value must be a positive integer"): 200,
            ("name", "Field is required"): 200,
        }
    )
    table = pq.read_table(accepted)
    assert table.column_names == ["datapoint_id", "record_index", "age", "name"]
    indexes = table.column("record_index").to_pylist()
    assert table.select(["age", "name"]).to_pylist() == [record(index + 1) for index in indexes]
    assert rejected.read_bytes().splitlines() == [LINES[n] for n in range(2000) if n not in set(indexes)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "good.parquet", "people.JSONL"]


def test_reasons_without_number_are_counted_by_their_kind(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join(b'{"a":' + b" " * n + b"x}" for n in range(500)) + b"\n[]\n")
    report = check_file(path, SCHEMA, chunk_bytes=1000)
    assert report.faults_by_reason == Counter(
        {("_raw", "Malformed JSON"): 500, ("_raw", "Record must be a JSON object, not an array"): 1}
    )


def test_processes_and_chunks_change_nothing(jsonl, tmp_path):
    def run(name, **options):
        outputs = tmp_path / f"{name}.parquet", tmp_path / f"{name}.jsonl"
        report = check_file(jsonl, SCHEMA, accepted=outputs[0], rejected=outputs[1], **options)
        return report, pq.read_table(outputs[0]), outputs[1].read_bytes()

    whole = run("whole")
    assert run("small", chunk_bytes=1000) == whole
    assert run("pool", chunk_bytes=9000, processes=2) == whole


def test_rejected_rows_of_a_csv_stand_below_its_header(tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes(b'\xef\xbb\xbf\n"name",age\r\nann,5\r\n"b\n""x""",0\r\ncid,1,2\r\nd"d,1\r\n,')
    rejected = tmp_path / "out.csv"
    report = check_file(path, SCHEMA, rejected=rejected, chunk_bytes=4)
    assert (report.record_count, report.rejected_count) == (5, 4)
    assert report.first_lines == [4, 6, 7, 8]
    head = b'\xef\xbb\xbf\n"name",age\r\n'
    assert rejected.read_bytes() == head + b'"b\n""x""",0\r\ncid,1,2\r\nd"d,1\r\n,'


def test_what_is_no_plain_file_is_written_to_and_not_replaced(tmp_path):
    """As root, `--rejected /dev/null` would otherwise take the device away from everybody."""
    path, target, link = tmp_path / "people.csv", tmp_path / "target.csv", tmp_path / "link.csv"
    path.write_bytes(b"name,age\nann,0\n")
    link.symlink_to(target)
    check_file(path, SCHEMA, rejected=link)
    assert link.is_symlink()
    assert target.read_bytes() == b"name,age\nann,0\n"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reading:
        read = reading.submit(pipe.read_bytes)
        check_file(path, SCHEMA, rejected=pipe)
        assert read.result(10) == b"name,age\nann,0\n"
    assert pipe.is_fifo()


def test_record_too_long_is_written_whole_to_the_rejected(tmp_path):
    path, rejected = tmp_path / "long.jsonl", tmp_path / "out.jsonl"
    line = b'{"name":"' + b"x" * (17 * 1024 * 1024) + b'"}'
    path.write_bytes(b'{"name":"a"}\n' + line + b"\r\n")
    assert check_file(path, SCHEMA, rejected=rejected, chunk_bytes=1 << 20).rejected_count == 1
    assert rejected.read_bytes() == line + b"\r\n"


def test_rejected_lines_are_the_bytes_of_the_file(tmp_path):
    path, rejected = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"name":"a"}\r\n1\r\n\n2\n{"name":"b"}\n3\r')
    check_file(path, SCHEMA, rejected=rejected, chunk_bytes=4)
    assert rejected.read_bytes() == b"\xef\xbb\xbf1\r\n2\n3\r"


def test_duplicates_are_accepted_counted_and_not_written(tmp_path):
    path, accepted = tmp_path / "twice.jsonl", tmp_path / "out.parquet"
    path.write_bytes(b"".join(b'{"name":"%d"}\n' % (n % 70) for n in range(100)))
    report = check_file(path, SCHEMA, accepted=accepted, chunk_bytes=200)
    assert (report.accepted_count, report.duplicate_count) == (100, 30)
    assert pq.read_table(accepted).column("record_index").to_pylist() == list(range(70))


def test_accepted_output_of_nothing_has_its_columns(tmp_path):
    path, accepted = tmp_path / "bad.jsonl", tmp_path / "out.parquet"
    path.write_bytes(b"{}\n")
    assert check_file(path, SCHEMA, accepted=accepted).accepted_count == 0
    assert pq.read_table(accepted).schema.names == ["datapoint_id", "record_index", "age", "name"]


def test_progress_ends_at_the_size_of_the_file(jsonl):
    seen = []
    check_file(jsonl, SCHEMA, chunk_bytes=10_000, progress=lambda done, size: seen.append((done, size)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(JSONL), len(JSONL))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("data.txt", b"{}", "must end with .csv or .jsonl"),
        ("data.jsonl", b"", "is empty"),
        ("data.csv", b"name\n", "no records"),
        ("data.csv", b'name\na\n"b\n', "Record 1, at byte 7, has a quote that is never closed"),
        ("data.csv", b"age\n1\n", "lacks a column that the schema requires: name"),
    ],
)
def test_file_that_cannot_be_used_leaves_no_output(tmp_path, name, data, words):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FileFault, match=words):
        check_file(path, SCHEMA, accepted=tmp_path / "a.parquet", rejected=tmp_path / "r", chunk_bytes=3)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_killed_process_is_told_and_leaves_no_output(jsonl, tmp_path):
    def kill_children(done, size):
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(Unavailable, match="ended by the operating system") as raised:
        check_file(jsonl, SCHEMA, accepted=tmp_path / "a", processes=2, chunk_bytes=2000, progress=kill_children)
    assert raised.value.code is ErrorCode.ENGINE_UNAVAILABLE
    assert [path.name for path in tmp_path.iterdir()] == [jsonl.name]


def test_interrupt_ends_all_processes_and_leaves_no_output(jsonl, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, pathlib
            from assay.kernel.check import check_file
            from assay.schema import parse_schema

            if __name__ == "__main__":
                schema = parse_schema({"fields": {"name": {"type": "text"}}})
                out = pathlib.Path(sys.argv[2])
                tell = lambda done, size: print(done, flush=True)
                path = pathlib.Path(sys.argv[1])
                check_file(path, schema, accepted=out, processes=2, chunk_bytes=50, progress=tell)
            """
        )
    )
    command = [sys.executable, script, jsonl, tmp_path / "out.parquet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    with process:
        assert process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
    assert process.returncode == -signal.SIGINT
    wait_until_gone(process.pid)
    assert not (tmp_path / "out.parquet").exists()
    assert not list(tmp_path.glob(".*"))


def wait_until_gone(group):
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes are left")
