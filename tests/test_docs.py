"""The documentation is true: the tutorial works when pasted, the site builds, the examples name what exists."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Group

from assay.cli import main
from assay.config import Settings, variable_of

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DEPLOYMENTS = [ROOT / "Containerfile", *sorted((ROOT / "deploy").rglob("*.yaml"))]
OTHER_VARIABLES = {"ASSAY_URL", "ASSAY_TOKEN", "ASSAY_CRASH_AT"}  # the clients', and the crash tests'


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_tutorial_works_when_pasted(tmp_path: Path) -> None:
    _install, *steps = blocks(DOCS / "tutorial.md", "bash")
    script = "\n".join(["set -eu", *steps]).replace("8765", str(free_port()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    environment |= {"TMPDIR": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "191 accepted" in done.stdout
    assert "survey.csv: partial: 191 accepted" in done.stdout
    assert "mended.csv: partial: 1 accepted" in done.stdout
    assert "191 records" in done.stdout  # 190 that differ, and the mended one


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text()
    assert not re.search(r'<(script|link)[^>]+(src|href)="https?://', page), "the site needs another host"


@pytest.mark.parametrize("page", [*PAGES, *DEPLOYMENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"\bASSAY_[A-Z_]+\b", page.read_text()))
    assert named <= {variable_of(row.name) for row in fields(Settings)} | OTHER_VARIABLES


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(page: Path) -> None:
    for line in (line for block in blocks(page, r"(?:console|bash|ini)") for line in block.splitlines()):
        for words in re.findall(r"(?:^|[\s/=])assay ((?:[a-z]+ ?){1,2})", line):
            command: Any = main
            for word in words.split():
                if isinstance(command, Group):
                    assert word in command.commands, line
                    command = command.commands[word]


def test_manifests_have_what_the_platforms_ask_for() -> None:
    manifests = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/assay.yaml").read_text()))
    assert all({"apiVersion", "kind", "metadata"} <= set(manifest) for manifest in manifests)
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "Job"):
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                assert container["args"][0] in main.commands  # type: ignore[attr-defined]  # the group's own
    compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
    ours = [service for service in compose["services"].values() if service["image"] == "assay"]
    assert {service["command"][0] for service in ours} == {"migrate", "serve", "worker"}
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (
                source in compose["volumes"]
                or source == "./certificates"
                or (ROOT / "deploy/compose" / source).exists()
            )
