"""What can be listed is documented: contract rows with their tests, error codes, metrics, webhooks' delays."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from assay.db.engine import open_database
from assay.errors import ErrorCode
from assay.web.app import create_app
from assay.web.metrics import Metrics
from assay.webhooks import MAX_ENDPOINTS
from web.conftest import make_services, make_settings
from web.test_auth import flattened

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
COVERAGE = ROOT / "docs" / "contract-coverage.md"


def rows(page: Path) -> list[list[str]]:
    """The cells of a page's tables, without heads and rules."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {number for number, row in enumerate(cells) if set(row[0]) <= {"-", " "}}
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


@cache
def names_in(file: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((TESTS / file).read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_covers_a_row_of_the_contract_exists() -> None:
    named = 0
    for what, *_, tests in rows(COVERAGE):
        found = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert found, f"no test is named for: {what}"
        named += len(found)
        for file, name in found:
            assert name in names_in(file), f"{file} has no {name}"
    assert named >= 40


def test_every_route_of_the_api_is_a_row_of_the_contract(sqlite_url: str, tmp_path: Path) -> None:
    db = open_database(sqlite_url)
    app = create_app(make_services(db, make_settings(tmp_path)))
    told = " ".join(row[0] for row in rows(COVERAGE))
    for route in flattened(app.routes):
        path = getattr(route, "path_format", "")
        if getattr(route, "include_in_schema", False) and path.startswith("/api/"):
            short = path.removeprefix("/api/v1/data-collection")
            for method in getattr(route, "methods", ()):
                assert f"`{method} {short}`" in told, f"{method} {short} is in no row"
    db.close()


def test_every_error_code_is_documented() -> None:
    documented = {row[0]: row for row in rows(ROOT / "docs" / "error-codes.md")}
    assert {str(int(code)): f"`{code.name}`" for code in ErrorCode} == {
        number: row[1] for number, row in documented.items()
    }
    assert all(len(row) == 4 and row[2] and row[3] for row in documented.values())


def test_every_metric_is_documented(sqlite_url: str) -> None:
    db = open_database(sqlite_url)
    families: list[Metric] = list(Metrics(db).registry.collect())
    db.close()
    documented = {row[0]: row for row in rows(ROOT / "docs" / "monitoring.md") if row[0].startswith("`assay_")}
    assert {f"`{family.name}`" for family in families} == set(documented)
    for family in families:
        assert documented[f"`{family.name}`"][1] == family.type
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels <= set(re.findall(r"\w+", documented[f"`{family.name}`"][2]))


@pytest.mark.parametrize("words", [f"at most {MAX_ENDPOINTS}", "5 s, 1 min, 5 min, 30 min, 2 h, 5 h,\n  8 h and 10 h"])
def test_limits_of_webhooks_are_documented_as_they_are(words: str) -> None:
    assert words in (ROOT / "docs" / "webhooks.md").read_text()
