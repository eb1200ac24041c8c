"""The stories that are told of the client, run as they stand: the example, and the page about it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.serving import TOKEN

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "python-client.md").read_text(encoding="utf-8")


def python(*words: str, address: str, cwd: Path) -> str:
    """What a script prints; it must end well, and warn of nothing."""
    environ = {**os.environ, "ASSAY_URL": address, "ASSAY_TOKEN": TOKEN, "PYTHONPATH": ""}
    command = [sys.executable, "-W", "error", *words]
    ran = subprocess.run(command, env=environ, cwd=cwd, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout


def test_story_from_a_frame_to_a_frame_runs(address: str, tmp_path: Path) -> None:
    said = python(str(ROOT / "examples" / "dataframe_story.py"), address=address, cwd=tmp_path)
    assert said.splitlines()[:2] == ["3 of 5 records would be accepted", "partial: 3 accepted, 2 rejected"]
    assert "Value must be an integer" in said
    assert "Field is required" in said
    assert "shape: (2, 3)" in said.split("Field is required")[1], "the repeated record is there once"
    assert "2026-03-01 09:30:00 UTC" in said


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_examples_of_the_page_run_one_after_the_other(address: str, tmp_path: Path, kind: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    chosen = [block for block in blocks if ("async " in block) == (kind == "async")]
    assert chosen
    (tmp_path / "answers.csv").write_text("participant,age\nP1,30\nP2,old\n")
    script = tmp_path / "page.py"
    script.write_text("\n".join(chosen))
    said = python(str(script), address=address, cwd=tmp_path)
    assert "1 age Value must be an integer" in said


def test_page_names_every_method() -> None:
    from assay import Client

    methods = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert methods <= set(re.findall(r"`(\w+)", PAGE))
