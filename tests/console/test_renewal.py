"""Pages of what is under way are renewed where they stand: nobody is thrown out of what they do there."""

import pytest
from playwright.sync_api import Page, expect

from console.conftest import Window
from services.callers import AGES, ages_csv

MANY = ages_csv(*range(1, 300_000))
REMEMBER = "() => { window.isTheSame = true; }"


def is_the_same(page: Page) -> bool:
    """Whether the page was never loaded anew."""
    return bool(page.evaluate("() => window.isTheSame === true"))


def test_focus_and_opened_details_stay_while_imports_run(window: Window) -> None:
    window.sign_in()
    caller, page = window.desk.caller, window.page
    schema = {"fields": {"age": {"type": "integer"}, "text": {"type": "text", "required": False}}}
    dataset_id = caller.make_dataset(schema=schema)
    caller.import_file(dataset_id, f"age,text\n1,{'word ' * 40}\n".encode())
    for name in ("a.csv", "b.csv"):
        caller.upload(dataset_id, MANY, name)
    window.open(f"/datasets/{dataset_id}")
    expect(page.locator("[data-busy]")).to_be_visible()
    page.evaluate(REMEMBER)
    page.locator(".grid summary").click()
    page.get_by_role("link", name="Delete dataset").focus()
    page.evaluate("() => scrollTo(0, 200)")
    expect(page.locator("#imports .pill-complete")).to_have_count(3, timeout=60_000)
    expect(page.locator("[data-busy]")).to_have_count(0)
    expect(page.locator("#facts")).to_contain_text("Records300,000")
    expect(page.get_by_role("link", name="Delete dataset")).to_be_focused()
    expect(page.locator(".grid .whole")).to_be_visible()
    assert page.evaluate("scrollY") == 200
    assert is_the_same(page)


def test_import_that_is_uploaded_meanwhile_comes_in_above_the_focused_one(window: Window) -> None:
    window.sign_in()
    caller, page = window.desk.caller, window.page
    dataset_id = caller.make_dataset(schema=AGES)
    caller.upload(dataset_id, MANY, "first.csv")
    window.open(f"/datasets/{dataset_id}/imports")
    page.get_by_role("link", name="first.csv").focus()
    caller.upload(dataset_id, ages_csv(1), "second.csv")
    expect(page.locator("#imports tbody th")).to_have_text(["second.csv", "first.csv"])
    expect(page.get_by_role("link", name="first.csv")).to_be_focused()


def test_page_of_an_import_is_renewed_when_it_ends(window: Window) -> None:
    window.sign_in()
    caller, page = window.desk.caller, window.page
    dataset_id = caller.make_dataset(schema=AGES)
    import_id = caller.upload(dataset_id, MANY + b"old\n")
    window.open(f"/datasets/{dataset_id}/imports/{import_id}")
    page.evaluate(REMEMBER)
    page.get_by_role("link", name="Imports").focus()
    expect(page.locator(".standing .pill")).to_have_text("Partial", timeout=60_000)
    expect(page.locator("mark")).to_have_text("old")
    expect(page.locator("[data-announce]")).to_contain_text("Some records were rejected")
    expect(page.get_by_role("button", name="Cancel import")).to_have_count(0)
    expect(page.get_by_role("link", name="Imports")).to_be_focused()
    page.locator("input[type=file]").set_input_files({"name": "b.csv", "mimeType": "text/csv", "buffer": b"age\n5\n"})
    with page.expect_request(lambda request: request.method == "PUT"):
        page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="b.csv")).to_be_visible()


def test_page_of_an_import_waits_for_a_service_that_is_away(window: Window) -> None:
    window.sign_in()
    caller, page = window.desk.caller, window.page
    dataset_id = caller.make_dataset(schema=AGES)
    offer = caller.ask_for_url(dataset_id)
    window.open(f"/datasets/{dataset_id}/imports/{offer['import_id']}")
    page.evaluate(REMEMBER)
    page.evaluate("""() => {
        const [real, wait] = [window.fetch, window.setTimeout];
        window.calls = 0;
        window.setTimeout = (work, pause) => wait(work, pause / 20);
        window.fetch = async (...given) => {
            window.calls += 1;
            if (window.calls < 10) throw new TypeError("no network");
            return real(...given);
        };
    }""")
    page.wait_for_function("() => window.calls > 11")
    caller.put(offer, ages_csv(1))
    expect(page.locator(".standing .pill")).to_have_text("Complete")
    assert is_the_same(page)


@pytest.mark.parametrize("is_previewed", [False, True], ids=["typed", "previewed"])
def test_migration_ends_without_taking_what_is_typed(window: Window, is_previewed: bool) -> None:
    window.sign_in()
    caller, page = window.desk.caller, window.page
    dataset_id = caller.make_dataset(schema=AGES)
    caller.import_file(dataset_id, MANY)
    schema = {"fields": {"age": {"type": "number"}}}
    migration_id = caller.request("PATCH", f"/datasets/{dataset_id}", json={"schema": schema}).json()[
        "migration_job_id"
    ]
    window.open(f"/datasets/{dataset_id}/schema?migration={migration_id}")
    expect(page.locator("[data-busy]")).to_be_visible()
    page.get_by_role("textbox", name="Schema").fill("{}")
    if is_previewed:
        page.get_by_role("button", name="Preview").click()
        page.wait_for_url("**/preview")
    page.evaluate(REMEMBER)
    page.evaluate("document.activeElement.blur()")
    expect(page.locator("[data-busy]")).to_have_count(0, timeout=60_000)
    expect(page.get_by_text("The new schema is in force.")).to_have_count(0 if is_previewed else 1)
    expect(page.get_by_role("textbox", name="Schema")).to_have_value("{}")
    assert is_the_same(page)
