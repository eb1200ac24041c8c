"""docs/cli.md is what the commands say of themselves, and completion is there for the shells that it names."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from cli.commands import environ_of, run

ROOT = Path(__file__).parent.parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "write_cli_docs.py"))
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
ASSAY = Path(sys.executable).parent / "assay"


def test_page_is_what_the_commands_say() -> None:
    assert SCRIPT["page_of"](PAGE) == PAGE, "docs/cli.md shows what was; run scripts/write_cli_docs.py"


@pytest.mark.parametrize("words", [[], ["dataset"], ["job"], ["token"], ["workspace"]])
def test_no_summary_is_cut_on_a_narrow_terminal(words: list[str]) -> None:
    summaries = run(*words, "--help", COLUMNS="80").stdout.partition("Commands:\n")[2]
    assert summaries
    assert "..." not in summaries


def test_every_exit_code_of_the_commands_is_listed() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert listed == {0, 1, 2, 3, 130, 141}


@pytest.mark.parametrize(("shell", "sign"), [("bash", "complete "), ("zsh", "#compdef assay"), ("fish", "complete ")])
def test_completion_script_is_made_for_each_shell(shell: str, sign: str) -> None:
    assert f"_ASSAY_COMPLETE={shell}_source assay" in PAGE
    made = subprocess.run(
        [str(ASSAY)],
        env=environ_of(_ASSAY_COMPLETE=f"{shell}_source"),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert sign in made.stdout
    assert "_ASSAY_COMPLETE" in made.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("assay imp", {"import"}), ("assay dataset ", {"list", "create", "show", "schema", "delete"})],
)
def test_completion_completes(words: str, wanted: set[str]) -> None:
    made = subprocess.run(
        [str(ASSAY)],
        env=environ_of(_ASSAY_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert {line.partition(",")[2] for line in made.stdout.splitlines()} == wanted
