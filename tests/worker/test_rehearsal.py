"""The fast pass is compiled beside the imports: nobody waits for it, and afterwards nothing is left to compile."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

FIELDS = {
    "note": {"type": "text", "maxLength": 50},
    "kind": {"type": "text", "enum": ["a", "b", "ü"]},
    "code": {"type": "text", "pattern": "^[A-Z]+$"},
    "clip": {"type": "video_url"},
    "picture": {"type": "image_url", "required": False},
    "about": {"type": "metadata"},
    "group": {"type": "task_group_id"},
    "count": {"type": "integer", "enum": [1, 2]},
    "score": {"type": "number", "exclusiveMinimum": 0},
    "ok": {"type": "boolean", "enum": [True]},
    "day": {"type": "date"},
    "at": {"type": "datetime"},
    "more": {"type": "json"},
}
RECORD = {
    "note": "a\nb",
    "kind": "a",
    "code": "AB",
    "clip": "https://[::1]:80/a.mp4",
    "about": "x",
    "group": "7",
    "count": 1,
    "score": 1e-30,
    "ok": True,
    "day": "2026-02-28",
    "at": "2026-02-28T01:02:03.5+01:00",
    "more": {"a": [1, {"b": None}]},
}

WHILE_UNDER_WAY = """
import sys
from pathlib import Path
from assay.kernel import check, rehearsal
from assay.schema import parse_schema

lock = rehearsal.begin()
assert lock is not None and rehearsal.is_under_way() and rehearsal.begin() is None
report = check.check_file(Path(sys.argv[1]), parse_schema({"fields": {"note": {"type": "text"}}}))
print(report.accepted_count, "assay.kernel.fast_pass" in sys.modules)
"""

AHEAD = """
import os, sys, time
from pathlib import Path
from assay.config import Settings
from assay.engines import open_engine
from assay.kernel import check, rehearsal
from assay.schema import parse_schema
import json

if __name__ == "__main__":
    engine = open_engine(Settings(workers=1))
    while rehearsal.is_under_way():
        time.sleep(0.1)
    engine.end()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    compiled = set(folder.rglob("*.nb*"))
    assert len(compiled) > 50
    assert rehearsal.begin() is None
    schema = parse_schema({"fields": json.loads(sys.argv[1])})
    for path in sys.argv[2:]:
        report = check.check_file(Path(path), schema)
        assert "assay.kernel.fast_pass" in sys.modules
        print(report.record_count, report.accepted_count, sorted(set(folder.rglob("*.nb*")) - compiled))
"""


def run(script: str, *arguments: object, cache: Path) -> list[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def test_a_file_is_judged_exactly_while_the_fast_pass_is_compiled(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"note": "{5000 * "x"}"}}\n' * 1000)
    assert run(WHILE_UNDER_WAY, path, cache=tmp_path / "compiled") == ["1000 False"]


def test_once_it_was_compiled_ahead_no_file_has_anything_compiled(tmp_path: Path) -> None:
    """A function that the rehearsal forgets would hold up the first file that needs it."""
    odd = [RECORD, RECORD | {"kind": "\u00fc", "score": 123456789012345678901e5}, RECORD | {"count": 3}, {"more": None}]
    lines = [json.dumps(record) for record in odd]
    jsonl = tmp_path / "a.jsonl"
    jsonl.write_text("\r\n".join([*lines, lines[0][:-9], "", "[]"] * 6000))
    rows = [[json.dumps(value) if isinstance(value, dict) else value for value in record.values()] for record in odd]
    csv_file = tmp_path / "a.csv"
    with csv_file.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(RECORD)
        writer.writerows([*rows, ["", *rows[0]]] * 8000)
    told = run(AHEAD, json.dumps(FIELDS), jsonl, csv_file, cache=tmp_path / "compiled")
    assert [line.split(" ", 2)[2] for line in told] == ["[]", "[]"]
    assert all(0 < int(line.split()[1]) < int(line.split()[0]) for line in told)
