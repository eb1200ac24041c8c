"""`assay check` of what is no file on the disk: standard input and pipes, which are copied, and the copy removed."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.commands import COMMAND, environ_of, run
from services.callers import AGES, ages_csv, wait_until

BLOCK = ages_csv(*range(1, 100_000))


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(AGES))
    return path


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Where a command's temporary files are."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder


def is_waiting(process_id: int) -> bool:
    """For as long as it takes to look twice."""
    stats = [Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split() for _ in range(2)]
    return stats[0] == stats[1] and stats[0][0] == "S"


@contextmanager
def in_mid_copy(schema: Path, copies: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that has copied a part of what comes, and waits for more."""
    words = ["check", "-", "--filename", "piped.csv", "--schema", str(schema)]
    popen = subprocess.Popen(
        [*COMMAND, *words],
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # whoever runs the tests may ignore it
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ_of(TMPDIR=str(copies)),
    )
    with popen:
        assert popen.stdin is not None
        try:
            popen.stdin.write(BLOCK)
            popen.stdin.flush()
            wait_until(lambda: sum(path.stat().st_size for path in copies.rglob("*.csv")), what="a part is copied")
            wait_until(lambda: is_waiting(popen.pid), what="it waits for more")
            yield popen
        finally:
            popen.kill()


def test_standard_input_is_checked_and_leaves_nothing(schema: Path, copies: Path) -> None:
    words = ["check", "-", "--filename", "piped.csv", "--schema", schema]
    ran = run(*words, stdin="age\n7\nold\n", TMPDIR=str(copies))
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.startswith("piped.csv: 2 records, 1 accepted, 1 rejected\n")
    lines = run(*words[:2], "--filename", "x.JSONL", *words[4:], "--json", stdin='{"age": 7}\n', TMPDIR=str(copies))
    assert (lines.returncode, json.loads(lines.stdout)[0]["filename"]) == (0, "x.JSONL")
    assert list(copies.iterdir()) == []


def test_both_sides_of_standard_input_are_written(schema: Path, copies: Path, tmp_path: Path) -> None:
    outputs = ["--accepted", tmp_path / "a.parquet", "--rejected", tmp_path / "r.csv"]
    words = ["check", "-", "--filename", "piped.csv", "--schema", schema, *outputs]
    assert run(*words, stdin="age\n7\nold\n", TMPDIR=str(copies)).returncode == 1
    assert (tmp_path / "r.csv").read_bytes() == ages_csv("old")
    assert (tmp_path / "a.parquet").exists()
    assert list(copies.iterdir()) == []


def test_many_processes_read_the_copy(schema: Path, copies: Path) -> None:
    text = "age,filler\n" + ("1," + "x" * 8000 + "\n") * 4000
    words = ["check", "-", "--filename", "piped.csv", "--schema", schema, "--processes", "2"]
    ran = run(*words, stdin=text, TMPDIR=str(copies))
    assert ran.stdout.startswith("piped.csv: 4,000 records, 4,000 accepted (3,999 of them duplicates), 0 rejected")
    assert list(copies.iterdir()) == []


def test_named_pipe_and_a_file_of_another_name_are_taken_too(schema: Path, copies: Path, tmp_path: Path) -> None:
    (tmp_path / "export.txt").write_bytes(ages_csv(1, 2))
    ran = run("check", tmp_path / "export.txt", "--filename", "a.csv", "--schema", schema, TMPDIR=str(copies))
    assert (ran.returncode, ran.stdout) == (0, "a.csv: 2 records, 2 accepted, 0 rejected\n")
    assert (tmp_path / "export.txt").read_bytes() == ages_csv(1, 2)
    os.mkfifo(tmp_path / "pipe.csv")
    with subprocess.Popen(["cp", tmp_path / "export.txt", tmp_path / "pipe.csv"]) as writer:
        ran = run("check", tmp_path / "pipe.csv", "--schema", schema, TMPDIR=str(copies))
        assert writer.wait(30) == 0
    assert ran.stdout == "pipe.csv: 2 records, 2 accepted, 0 rejected\n"
    assert list(copies.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (["-", "--filename", "a.csv"], "", "a.csv: Standard input is empty: nothing was piped in."),
        (["-"], "age\n1\n", "Say what standard input is with --filename NAME.csv or NAME.jsonl."),
        (["-", "--filename", "a.tsv"], "age\n1\n", "assay: a.tsv: the name must end in .csv or .jsonl"),
        (["-", "--filename", "a.csv.gz"], "age\n1\n", "a.csv.gz: the name must end in .csv or .jsonl; unpack it"),
        (
            ["-", "--filename", "a.XLSX"],
            "age\n1\n",
            "a.XLSX: the name must end in .csv or .jsonl; save the sheet as CSV",
        ),
        (["-", "--filename", "a.parquet"], "age\n1\n", "read it with pandas, Polars or pyarrow; the Python client"),
        (["-", "a.csv"], "age\n1\n", "Standard input, '-', is taken alone"),
        (["-", "-", "--filename", "a.csv"], "age\n1\n", "Standard input, '-', is taken alone"),
        (["-", "--filename", "a.csv"], "PK\x03\x04", "a.csv: The file is a ZIP archive"),
    ],
)
def test_input_that_can_not_be_used_is_told(
    schema: Path, copies: Path, words: list[str], stdin: str, told: str
) -> None:
    ran = run("check", *words, "--schema", schema, stdin=stdin, TMPDIR=str(copies))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert list(copies.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_copy_is_gone_however_the_command_is_told_to_end(
    schema: Path, copies: Path, number: signal.Signals, code: int
) -> None:
    with in_mid_copy(schema, copies) as popen:
        popen.send_signal(number)
        assert popen.wait(30) == code
        assert popen.stderr is not None
        assert b"Traceback" not in popen.stderr.read()
    assert list(copies.iterdir()) == []


def test_disk_without_room_for_the_copy_is_told(schema: Path, copies: Path) -> None:
    script = f"ulimit -f 100; exec {' '.join(COMMAND)} check - --filename a.csv --schema {schema}"
    ran = subprocess.run(["bash", "-c", script], input=BLOCK, env=environ_of(TMPDIR=str(copies)), capture_output=True)
    assert ran.returncode == 2
    assert b"assay: Can't read or write a.csv: File too large." in ran.stderr
    assert list(copies.iterdir()) == []
