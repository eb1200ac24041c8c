"""The README is true: its commands run, its lists are complete, and what it shows is what the service answers."""

import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from assay.cli import main
from assay.fieldtypes import FIELD_TYPES, NUMBER_CONSTRAINTS, TEXT_CONSTRAINTS
from assay.schema import parse_schema

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = ROOT / "scripts" / "demo.py"
ASSAY = Path(sys.executable).parent / "assay"
API = "/api/v1/data-collection"
REFRESH = ROOT / "scripts" / "refresh_readme.py"
STALE = "README.md shows what was; run scripts/refresh_readme.py"
MARKER = "README_TEST_MARKER"


def section(title: str) -> str:
    """What stands under one of the README's headings."""
    return README.split(f"\n## {title}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_demo(script: Path, tmp_path: Path, *, marker: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script],
        env={**os.environ, MARKER: marker, "TMPDIR": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )


def marked_processes(marker: str) -> list[str]:
    """The processes that inherited the marker, by /proc."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc, so what is left running can't be seen")
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARKER}={marker}".encode() in path.read_bytes().split(b"\0"):
                found.append(path.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended, or belongs to somebody else
    return found


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `make demo` prints. It must end well, and leave neither a process nor a file."""
    tmp_path, marker = tmp_path_factory.mktemp("demo"), str(uuid4())
    done = run_demo(DEMO, tmp_path, marker=marker)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    assert marked_processes(marker) == []
    assert list(tmp_path.iterdir()) == []
    return done.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service that was started as the demo starts its own."""
    tmp_path = tmp_path_factory.mktemp("service")
    with runpy.run_path(str(DEMO))["running_service"](tmp_path / "data", log=tmp_path / "log") as client:
        yield client


def reports(output: str) -> dict[str, list[dict[str, Any]]]:
    """The import jobs that the demo shows, by file name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for match in re.finditer(r"^\{\n", output, re.MULTILINE):
        job, _ = json.JSONDecoder().raw_decode(output, match.start())
        found.setdefault(job["filename"], []).append(job)
    return found


def test_make_has_every_target_that_is_named() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documents = README + (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", documents, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_make_demo_runs_the_demo() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\ndemo:", maxsplit=1)[1].splitlines()[1]
    assert recipe.endswith("/python scripts/demo.py")


def test_demo_shows_how_each_sample_fared(demo_output: str) -> None:
    jobs = reports(demo_output)
    assert {name: [job["status"] for job in found] for name, found in jobs.items()} == {
        "survey.csv": ["partial"],
        "responses.jsonl": ["partial"],
        "catalogue.jsonl": ["pending_schema", "complete"],
    }
    assert ".venv/bin/assay serve" in demo_output.splitlines()[-1]


def test_samples_readme_lists_every_fault(demo_output: str) -> None:
    text = (ROOT / "samples" / "README.md").read_text(encoding="utf-8")
    for name in ("survey.csv", "responses.jsonl"):
        job = reports(demo_output)[name][0]
        table = text.split(f"**`{name}`**", maxsplit=1)[1].split("**`", maxsplit=1)[0]
        listed = re.findall(r"^\| (\d+) \| (?!nothing)", table, re.MULTILINE)
        assert [str(error["record_index"]) for error in job["errors"]] == listed
        assert f"{job['rejected_count']} are rejected" in table


def test_samples_are_what_their_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "make_samples.py", "--into", tmp_path], check=True)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (ROOT / "samples" / path.name).read_bytes(), path.name


def test_report_is_the_demos(demo_output: str) -> None:
    shown = json.loads(blocks(section("What you get"), "json")[0])
    job = reports(demo_output)["survey.csv"][0]
    assert list(shown) == list(job), STALE
    of_this_run = {"dataset_id", "import_id", "created_at", "updated_at", "processing_started_at"}
    assert {k: v for k, v in shown.items() if k not in of_this_run} == {
        k: v for k, v in job.items() if k not in of_this_run
    }, STALE


def test_demo_that_fails_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    (tmp_path / "samples" / "survey.schema.json").write_text('{"fields": {"age": {"type": "whole"}}}')
    script = tmp_path / "scripts" / "demo.py"
    script.parent.mkdir()
    shutil.copy(DEMO, script)
    marker, temporary = str(uuid4()), tmp_path / "tmp"
    temporary.mkdir()
    done = run_demo(script, temporary, marker=marker)
    assert done.returncode == 1
    assert f"POST {API}/datasets answered 400" in done.stderr
    assert "Assay is ready at" in done.stderr
    assert marked_processes(marker) == []
    assert list(temporary.iterdir()) == []


def test_demo_that_is_told_to_stop_stops_its_service(tmp_path: Path) -> None:
    marker = str(uuid4())
    environ = {**os.environ, MARKER: marker, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, DEMO], env=environ, stdout=subprocess.PIPE, encoding="utf-8") as demo:
        assert demo.stdout is not None
        assert "is running at" in demo.stdout.readline()
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=60)
    assert demo.returncode != 0
    assert marked_processes(marker) == []
    assert list(tmp_path.iterdir()) == []


def test_walk_through_runs_as_it_stands(service: httpx.Client, tmp_path: Path) -> None:
    """The shell commands themselves, with only the token and the address replaced."""
    token = service.headers["Authorization"].removeprefix("Token ")
    base = str(service.base_url).rstrip("/")
    script = "\n".join(
        block for block in blocks(section("A walk-through with curl"), "sh") if "assay serve" not in block
    )
    script, tokens = re.subn(r"^TOKEN=.*$", f"TOKEN={token}", script, flags=re.MULTILINE)
    script, bases = re.subn(r"http://127\.0\.0\.1:8000", base, script)
    assert (tokens, bases) == (1, 1)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"status":"partial"' in done.stdout.replace(" ", "")


def test_python_example_runs_as_it_stands(service: httpx.Client) -> None:
    (script,) = blocks(section("From Python"), "python")
    token = service.headers["Authorization"].removeprefix("Token ")
    environ = {**os.environ, "ASSAY_URL": str(service.base_url), "ASSAY_TOKEN": token}
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "145 5"
    assert len(lines) == 1 + 5 + 145


def test_walk_through_uses_documented_paths(service: httpx.Client) -> None:
    paths = service.get("/openapi.json").json()["paths"]
    known = {re.sub(r"\{[^}]*\}", "*", path) for path in paths}
    used = re.findall(r'"\$API(/[^"?]*)', section("A walk-through with curl"))
    assert used
    for path in used:
        # Variables, and the file's name in an upload URL's path, are parameters.
        assert API + re.sub(r"\$[A-Z]+|survey\.csv", "*", path) in known, path


def test_pages_that_are_named_answer(service: httpx.Client) -> None:
    for path in ("/docs", "/openapi.json", "/healthz", "/readyz"):
        assert f"`{path}`" in README
        assert service.get(path).status_code == 200, path
    assert f"`{API}`" in README
    assert all(path.startswith(API) for path in service.get("/openapi.json").json()["paths"] if "dataset" in path)


def test_settings_are_listed_with_their_defaults() -> None:
    listed = [line for line in section("Running the service").splitlines() if line.startswith(("| `--", "| – |"))]
    assert listed == list(runpy.run_path(str(REFRESH))["settings_rows"]()), STALE


def test_field_types_and_constraints_are_listed() -> None:
    lines = {line.split(":**")[0]: line for line in section("A schema").split("- **")}
    assert set(re.findall(r"`(\w+)`", lines["Types"])) == set(FIELD_TYPES)
    assert set(re.findall(r"`(\w+)`", lines["Constraints"])) == {*TEXT_CONSTRAINTS, *NUMBER_CONSTRAINTS}


def test_schema_shown_is_one() -> None:
    (shown,) = blocks(section("A schema"), "json")
    assert len(parse_schema(json.loads(shown)).fields) == 3


def test_commands_have_the_options_that_are_shown() -> None:
    shown = re.findall(r"^\.venv/bin/assay (.*)$", "".join(blocks(README, "sh")), re.MULTILINE)
    assert shown
    for line in shown:
        words = shlex.split(line, comments=True)
        command = words[: 2 if words[0] == "token" else 1]
        help_text = subprocess.run(
            [str(ASSAY), *command, "--help"], capture_output=True, encoding="utf-8", check=True
        ).stdout
        for word in words:
            assert not word.startswith("--") or re.search(rf"{word}\b", help_text), f"{word} of: {line}"


def test_commands_are_listed() -> None:
    listed = re.findall(r"^\| `assay (\w+)` \|", section("All commands"), re.MULTILINE)
    assert sorted(listed) == sorted(main.commands)


def test_import_command_runs_as_it_stands(service: httpx.Client) -> None:
    (script,) = blocks(section("All commands"), "sh")
    script = re.sub(r"assay_\.\.\.", service.headers["Authorization"].removeprefix("Token "), script)
    script = script.replace(".venv/bin/assay", shlex.quote(str(ASSAY)))
    environ = {**os.environ, "ASSAY_URL": str(service.base_url)}
    command = ["bash", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1, done.stderr
    assert "Value must be a positive integer" in done.stdout


def test_check_prints_what_is_shown_and_exits_as_listed() -> None:
    def check(name: str, *, schema: str) -> subprocess.CompletedProcess[str]:
        command = [str(ASSAY), "check", f"samples/{name}", "--schema", f"samples/{schema}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)

    assert check("catalogue.jsonl", schema="catalogue.schema.json").returncode == 0
    assert check("survey.csv", schema="README.md").returncode == 2
    done = check("survey.csv", schema="survey.schema.json")
    assert done.returncode == 1
    (shown,) = blocks(section("Checking a file without a service"), "text")
    assert done.stdout == shown, STALE
