"""What axe finds on every page, in light and dark, wide and narrow; and that no page is wider than a phone."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from console.conftest import Window
from services.callers import AGES, ages_csv
from services.chromium import axe_script

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
OPTIONS = [{"color_scheme": scheme, "viewport": size} for scheme in ("light", "dark") for size in (WIDE, NARROW)]
RUN = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
SCHEMA = {"strict": True, "fields": {**AGES["fields"], "comment": {"type": "text", "required": False}}}


def every_page(window: Window) -> dict[str, str]:
    """Paths by what is to be seen there."""
    caller = window.desk.caller
    empty = caller.make_dataset(name="Empty")
    waiting = caller.make_dataset(name="Waiting")
    pending = caller.import_file(waiting, ages_csv(1, 2))
    full = caller.make_dataset(name="A rather long name of a dataset, of the kind that people give " * 2, schema=SCHEMA)
    lines = "".join(f"{age},{'word ' * 40}\n" for age in (1, 2, -3, "old", ""))
    partial = caller.import_file(
        full, f"age,comment\n{lines}7,a,b,c\n".encode(), "a_file_name_without_breaks_" * 4 + ".csv"
    )
    failed = caller.import_file(full, b"")
    return {
        "datasets": "/",
        "new dataset": "/datasets/new",
        "empty dataset": f"/datasets/{empty}",
        "pending import": f"/datasets/{waiting}/imports/{pending['import_id']}",
        "suggested schema": f"/datasets/{waiting}/schema",
        "dataset": f"/datasets/{full}",
        "records": f"/datasets/{full}/records",
        "imports": f"/datasets/{full}/imports",
        "schema": f"/datasets/{full}/schema",
        "partial import": f"/datasets/{full}/imports/{partial['import_id']}",
        "failed import": f"/datasets/{full}/imports/{failed['import_id']}",
        "deletion": f"/datasets/{full}/delete",
    }


def findings(page: Page) -> list[str]:
    """Everything that axe calls a violation, however small."""
    page.evaluate(axe_script())
    violations: list[dict[str, Any]] = page.evaluate(RUN)
    return [
        f"{found['id']} ({found['impact']}): {json.dumps([node['target'] for node in found['nodes'][:3]])}"
        for found in violations
    ]


@pytest.mark.parametrize(
    "window_options", OPTIONS, ids=lambda given: f"{given['color_scheme']}-{given['viewport']['width']}"
)
def test_axe_finds_nothing_and_no_page_is_too_wide(window: Window) -> None:
    window.open("/sign-in")
    found = {"sign-in": findings(window.page)}
    window.sign_in()
    # Side by side: until it is known that a page loads nothing more takes half a second for each.
    pages = {name: (window.page.context.new_page(), path) for name, path in every_page(window).items()}
    for page, path in pages.values():
        page.goto(window.address + path)
    for name, (page, _) in pages.items():
        page.wait_for_load_state("networkidle")
        found[name] = findings(page)
        extra = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if extra > 0:
            found[name].append(f"{extra} pixels too wide")
    assert {name: what for name, what in found.items() if what} == {}
