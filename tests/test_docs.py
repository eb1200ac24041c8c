"""The documentation is true: the tutorial works when pasted, the site builds, the examples name what exists."""

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from click import Group

import assay
from assay.cli import main
from assay.config import Settings, variable_of
from assay.fieldtypes import FIELD_TYPES
from assay.kernel.chunks import Chunk, ChunkResult, ChunkTask, check_chunk
from assay.rejections import REJECTION_CODES, Fault
from assay.schema import CONSTRAINTS, RESERVED_KEYS, parse_schema

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DEPLOYMENTS = [ROOT / "Containerfile", *sorted((ROOT / "deploy").rglob("*.yaml"))]
REFERENCE: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "write_reference_docs.py"))
CASES = ROOT / "tests" / "kernel" / "cases"
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


def test_first_page_leads_to_every_other() -> None:
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", (DOCS / "index.md").read_text()))
    assert {str(page.relative_to(DOCS)) for page in PAGES} - linked == {"index.md"}


def test_nobody_is_told_to_install_what_is_not_ours() -> None:
    """On a public registry the name may be a stranger's."""
    told = [ROOT / "README.md", *PAGES, *(ROOT / "src").rglob("*.py")]
    assert [path for path in told if re.search(r"pip install ['\"]?assay\b", path.read_text())] == []


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


def test_containers_run_as_a_user_that_is_known_not_to_be_root() -> None:
    """A user's name says nothing to Kubernetes, which refuses such a container."""
    (user,) = re.findall(r"^USER (.*)$", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    for manifest in manifests_of("Deployment", "Job"):
        context = manifest["spec"]["template"]["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


def test_migration_of_each_release_is_a_job_of_its_own() -> None:
    containers = [
        container
        for manifest in manifests_of("Deployment", "Job")
        for container in manifest["spec"]["template"]["spec"]["containers"]
    ]
    (image,) = {container["image"] for container in containers}
    (job,) = manifests_of("Job")
    assert job["metadata"]["name"] == "assay-migrate-" + image.partition(":")[2].replace(".", "-")
    assert job["spec"]["ttlSecondsAfterFinished"] > 0


def test_metrics_are_not_for_the_world() -> None:
    (ingress,) = manifests_of("Ingress")
    (rule,) = ingress["spec"]["rules"]
    paths = {path["path"]: path for path in rule["http"]["paths"]}
    assert paths["/metrics"]["pathType"] == "Prefix"  # the service takes a slash at the end for the same
    name = paths["/metrics"]["backend"]["service"]["name"]
    (service,) = [manifest for manifest in manifests_of("Service") if manifest["metadata"]["name"] == name]
    assert "selector" not in service["spec"]
    assert re.search(r"location /metrics \{\s+deny all;", (ROOT / "deploy/compose/nginx.conf").read_text())


def test_examples_have_no_secret_that_everybody_knows() -> None:
    """What they ask for is shown in the guide."""
    guide = (DOCS / "guides" / "postgresql-and-s3.md").read_text()
    assert not manifests_of("Secret")
    assert "kubectl create secret generic assay " in guide
    compose = (ROOT / "deploy/compose/compose.yaml").read_text()
    for name in re.findall(r"\$\{([A-Z_]+)", compose):
        assert f"{name}=" in guide
    for path in DEPLOYMENTS:
        assert "CHANGE-ME" not in path.read_text()


def manifests_of(*kinds: str) -> list[dict[str, Any]]:
    manifests = yaml.safe_load_all((ROOT / "deploy/kubernetes/assay.yaml").read_text())
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


@pytest.mark.parametrize("name", REFERENCE["PAGES"])
def test_reference_page_is_what_the_code_says(name: str) -> None:
    text = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert REFERENCE["page_of"](name, text) == text, f"{name} shows what was; run scripts/write_reference_docs.py"


def test_names_that_no_field_may_have_are_listed() -> None:
    text = (DOCS / "reference" / "field-types.md").read_text(encoding="utf-8")
    named = re.search(r"\*\*Names that no field may have\*\*[^:]*", text)
    assert named is not None
    assert set(re.findall(r"`(\w+)`", named[0])) == RESERVED_KEYS


def test_every_section_on_a_route_is_led_to_from_the_list_of_routes() -> None:
    sections = re.findall(r"^## `([A-Z]+) ([^`?]+)", (DOCS / "http-api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections
    rows = (DOCS / "reference" / "routes.md").read_text(encoding="utf-8").splitlines()
    for method, path in sections:
        (row,) = [row for row in rows if row.startswith(f"| `{method}` | `{path}` |")]
        assert "](../http-api.md#" in row


def test_every_type_constraint_and_code_has_words_and_examples() -> None:
    assert set(REFERENCE["TYPE_NOTES"]) == set(FIELD_TYPES)
    assert set(REFERENCE["CONSTRAINT_NOTES"]) == set(CONSTRAINTS)
    assert set(REFERENCE["RECORD_EXAMPLES"]) | set(REFERENCE["givers"]()) == set(REJECTION_CODES)
    examples = {name: notes.examples for name, notes in REFERENCE["TYPE_NOTES"].items()}
    assert all({each.format for each in of_type} == {"csv", "jsonl"} for of_type in examples.values())
    examples |= {name: notes.examples for name, notes in REFERENCE["CONSTRAINT_NOTES"].items()}
    assert all({bool(each.reason) for each in shown} == {True, False} for shown in examples.values())


@pytest.mark.parametrize("name", [*FIELD_TYPES, *CONSTRAINTS])
def test_examples_of_the_reference_become_what_it_says(name: str) -> None:
    notes = REFERENCE["TYPE_NOTES"].get(name) or REFERENCE["CONSTRAINT_NOTES"][name]
    type_name = getattr(notes, "type", name)
    for example in notes.examples:
        result = checked_value(example.format, example.raw, {"type": type_name, **example.settings})
        if example.reason:
            assert [fault.reason for fault in faults_of(result)] == [example.reason], example
        else:
            (value,) = values_of(result)
            assert (type(value), value) == (type(example.value), example.value), example
            assert faults_of(result) == []


def test_small_schema_of_the_reference_finds_the_faults_that_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(REFERENCE["RECORDS"])
    report = assay.check(path, REFERENCE["SCHEMA"])
    assert report.first_faults == REFERENCE["FAULTS"]
    assert (report.record_count, report.rejected_count) == (5, len(REFERENCE["FAULTS"]))


@pytest.mark.parametrize("code", REFERENCE["RECORD_EXAMPLES"])
def test_records_of_the_reference_are_rejected_as_it_says(code: str) -> None:
    for example in REFERENCE["RECORD_EXAMPLES"][code]:
        schema = {"x": {"type": "text"}, "y": {"type": "text"}}
        result = checked(example.format, example.record, schema, limit_bytes=example.limit_bytes)
        assert faults_of(result) == [Fault("_raw", code, example.reason)]


@pytest.mark.parametrize("name", FIELD_TYPES)
def test_type_gives_the_codes_that_the_reference_lists(name: str) -> None:
    """By its table of cases, which is the specification, and by each constraint that it takes."""
    cases = [json.loads(line) for line in (CASES / "fields" / f"{name}.jsonl").read_text("utf-8").split("\n") if line]
    given = {"required"}
    for case in cases:
        field = {"type": name, **case.get("field", {})}
        faults = faults_of(checked_value(case["format"], case["raw"], field))
        given |= {fault.code for fault in faults if fault.field == "x"}
    for constraint in FIELD_TYPES[name].constraints:
        found = set(codes_of_constraint(name, constraint, [case for case in cases if "field" not in case]))
        expected = set(REFERENCE["CONSTRAINT_NOTES"][constraint].codes)
        assert found == {code for code in expected if name in REFERENCE["ONLY_OF_TYPES"].get(code, [name])}, constraint
        given |= found
    assert given == {code for code, (_, types) in REFERENCE["givers"]().items() if name in types}


def codes_of_constraint(name: str, constraint: str, cases: list[dict[str, Any]]) -> Iterator[str]:
    """What values that the type accepts are refused with, under strict and less strict bounds."""
    passing = [case for case in cases if case.get("value") is not None]
    of_numbers = {"minimum": [10**18, 1], "exclusiveMinimum": [10**18, 0]}
    of_numbers |= {"maximum": [-(10**18)], "exclusiveMaximum": [-(10**18)]}
    of_texts = {"minLength": [10_000], "maxLength": [0], "pattern": ["^$"]}
    one = next(case["value"] for case in passing)
    for bound in {"enum": [[one]], **of_numbers, **of_texts}[constraint]:
        for case in passing:
            result = checked_value(case["format"], case["raw"], {"type": name, constraint: bound})
            yield from (fault.code for fault in faults_of(result))


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_reference_lists_the_format_of_every_fault_of_a_record(format: str) -> None:
    examples = REFERENCE["RECORD_EXAMPLES"]
    listed = [code for code, shown in examples.items() if any(each.format == format for each in shown)]
    sentences = [re.sub(r"\\{[^}]*\\}", ".*", re.escape(REJECTION_CODES[code].template)) for code in listed]
    text = (CASES / "formats" / f"{format}.jsonl").read_text("utf-8")
    found = [row for line in text.split("\n") if line for row in json.loads(line).get("rejected", [])]
    reasons = [reason for _, field, reason in found if field == "_raw"]
    assert reasons
    for reason in reasons:
        assert any(re.fullmatch(sentence, reason) for sentence in sentences), reason


def checked_value(format: str, raw: str, field: Mapping[str, Any]) -> ChunkResult:
    """One value as it stands in a file, as the service judges it, with another field beside it."""
    record = f'{{"x": {raw}, "y": "a"}}' if format == "jsonl" else f"{raw},a"
    return checked(format, record.encode(), {"x": dict(field), "y": {"type": "text"}})


def checked(format: str, record: bytes, schema: Mapping[str, Any], *, limit_bytes: int = 2**24) -> ChunkResult:
    header = tuple(schema) if format == "csv" else None
    chunk = Chunk(0, 0, len(record), 0, header, 1)
    parsed = parse_schema({"fields": dict(schema)})
    return check_chunk(record, ChunkTask(chunk, format, parsed, UUID(int=0), record_limit_bytes=limit_bytes))


def faults_of(result: ChunkResult) -> list[Fault]:
    rows = result.rejections.to_pylist()
    return [Fault(row["field"], row["code"], row["reason"]) for row in rows]


def values_of(result: ChunkResult) -> list[object]:
    values: list[object] = result.table.column("x").to_pylist()
    return values
