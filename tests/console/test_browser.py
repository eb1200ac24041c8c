"""The console in a real browser: the whole story, by mouse and by keyboard alone, with scripts and without."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from assay.db.tokens import Role
from console.conftest import Window
from services.callers import AGES, ages_csv
from web.conftest import make_token

PHONE = {"width": 390, "height": 844}
FAULTY = ages_csv(30, -4, "old", 41)
DROP = """([selector, name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    for (const kind of ["dragenter", "dragover", "drop"]) {
        document.querySelector(selector).dispatchEvent(new DragEvent(kind, options));
    }
}"""


def choose_file(page: Page, name: str, data: bytes) -> None:
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": data})


def test_story_from_sign_in_to_the_fixed_file(window: Window, tmp_path: Path) -> None:
    page = window.page
    window.sign_in()
    page.get_by_role("link", name="Create the first one").click()
    page.get_by_label("Name").fill("Ages")
    page.get_by_label("Schema").fill(json.dumps(AGES))
    page.get_by_role("button", name="Create dataset").click()
    expect(page.get_by_role("heading", name="Ages")).to_be_visible()
    choose_file(page, "ages.csv", FAULTY)
    with page.expect_request(lambda request: request.method == "PUT" and "/uploads/" in request.url):
        page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".standing .pill")).to_have_text("Partial")
    expect(page.locator("mark")).to_have_text(["-4", "old"])
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download the 2 rejected records").click()
    rejected = tmp_path / "rejected.csv"
    downloading.value.save_as(rejected)
    assert rejected.read_bytes() == b"age\n-4\nold\n"
    choose_file(page, downloading.value.suggested_filename, b"age\n4\n70\n")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".standing .pill")).to_have_text("Complete")
    page.get_by_role("link", name="See the records").click()
    expect(page.get_by_text("1–4 of 4").first).to_be_visible()


def test_page_of_a_dataset_shows_how_its_imports_end(window: Window) -> None:
    page = window.page
    window.sign_in()
    window.open(f"/datasets/{window.desk.caller.make_dataset(schema=AGES)}")
    data = ages_csv(*range(1, 300_000))
    files = [{"name": f"{name}.csv", "mimeType": "text/csv", "buffer": data} for name in ("a", "b")]
    page.locator("input[type=file]").set_input_files(files)  # type: ignore[arg-type]  # they are what it takes
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("[data-busy]")).to_be_visible()
    expect(page.locator("table.cards .pill-complete")).to_have_count(2, timeout=60_000)
    expect(page.locator("[data-busy]")).to_have_count(0)


def test_keyboard_alone_signs_in_creates_and_walks_to_the_editor(window: Window) -> None:
    page = window.page
    window.open("/")
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(window.desk.caller.token)
    page.keyboard.press("Enter")
    page.wait_for_url(window.address + "/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Create the first one")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/new")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "name":
            break
    page.keyboard.type("By hand")
    page.keyboard.press("Tab")
    page.keyboard.type(json.dumps(AGES))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()


def test_file_that_is_dropped_is_uploaded(window: Window) -> None:
    window.sign_in()
    dataset_id = window.desk.caller.make_dataset(schema=AGES)
    window.open(f"/datasets/{dataset_id}")
    window.page.evaluate(DROP, ["form[data-upload]", "dropped.csv", FAULTY.decode()])
    expect(window.page.locator(".standing .pill")).to_have_text("Partial")
    expect(window.page.get_by_role("heading", name="dropped.csv")).to_be_visible()


def test_empty_file_is_uploaded_and_refused_in_words(window: Window) -> None:
    window.sign_in()
    dataset_id = window.desk.caller.make_dataset(schema=AGES)
    window.open(f"/datasets/{dataset_id}")
    choose_file(window.page, "ages.csv", b"")
    window.page.get_by_role("button", name="Upload", exact=True).click()
    expect(window.page.locator(".standing .pill")).to_have_text("Failed")
    expect(window.page.get_by_text("The file is empty").first).to_be_visible()


def test_preview_follows_what_is_typed(window: Window) -> None:
    window.sign_in()
    dataset_id = window.desk.caller.make_dataset(schema=AGES)
    window.open(f"/datasets/{dataset_id}/schema")
    page = window.page
    page.get_by_label("Records to try").fill('{"age": 4}\n{"age": "old"}\n')
    expect(page.locator("#preview")).to_contain_text("1 accepted")
    expect(page.locator("#preview mark")).to_have_text('"old"')
    page.get_by_role("textbox", name="Schema").fill('{"fields": {"age": {"type": "text"}}}')
    expect(page.locator("#preview")).to_contain_text("2 accepted")
    page.get_by_role("textbox", name="Schema").fill('{"fields": {"age": {"type": "textt"}}}')
    expect(page.locator("#preview")).to_contain_text("Unknown type textt")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("async () => { throw new TypeError('no network'); }", "The service did not answer."),
        ("async () => new Response('<html>', { status: 502 })", "The service answered 502."),
        ("async () => Response.json({ error: { detail: 'Busy now.' } }, { status: 503 })", "Busy now."),
    ],
)
def test_preview_that_can_not_be_made_is_told_and_the_last_one_stays(window: Window, answer: str, told: str) -> None:
    window.sign_in()
    dataset_id = window.desk.caller.make_dataset(schema=AGES)
    window.open(f"/datasets/{dataset_id}/schema")
    page = window.page
    page.get_by_label("Records to try").fill('{"age": 4}\n{"age": "old"}\n')
    expect(page.locator("#preview")).to_contain_text("1 accepted")
    page.evaluate(f"() => {{ window.real = window.fetch; window.fetch = {answer}; }}")
    for text in '{"age": 5}\n', '{"age": 6}\n':
        page.get_by_label("Records to try").fill(text)
        notice = page.locator("#preview .preview-fault")
        expect(notice).to_have_text(f"The preview can't be made now: {told} Try again.")
    expect(page.locator("#preview.is-stale")).to_contain_text("1 rejected")
    page.evaluate("() => { window.fetch = window.real; }")
    page.get_by_label("Records to try").fill('{"age": 7}\n')
    expect(page.locator("#preview")).not_to_contain_text("can't be made")
    expect(page.locator("#preview.is-stale")).to_have_count(0)


@pytest.mark.parametrize("window_options", [{"viewport": PHONE}])
def test_counts_of_faults_stand_on_one_line_on_a_phone(window: Window) -> None:
    window.sign_in()
    dataset_id = window.desk.caller.make_dataset(schema=AGES)
    job = window.desk.caller.import_file(dataset_id, ages_csv(1, *["old"] * 1200))
    window.open(f"/datasets/{dataset_id}/imports/{job['import_id']}")
    count = window.page.locator(".chart tbody .num")
    expect(count).to_have_text("1,200")
    box = count.bounding_box()
    assert box is not None
    assert box["height"] < 30 < box["width"]


@pytest.mark.parametrize("window_options", [{"viewport": PHONE}, {}], ids=["phone", "wide"])
def test_longest_field_key_leaves_no_page_too_wide(window: Window) -> None:
    window.sign_in()
    keys = ["k" * 128, "short_one"]
    dataset_id = window.desk.caller.make_dataset(schema={"fields": {key: {"type": "integer"} for key in keys}})
    line = json.dumps(dict.fromkeys(keys, "x")).encode()
    job = window.desk.caller.import_file(dataset_id, line, "long.jsonl")
    for path in ("", "/schema", f"/imports/{job['import_id']}"):
        window.open(f"/datasets/{dataset_id}{path}")
        extra = window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert extra == 0, path
    box = window.page.locator(".chart th", has_text="short_one").bounding_box()
    assert box is not None
    assert box["height"] < 40


@pytest.mark.parametrize("window_options", [{"viewport": PHONE}])
def test_reader_of_a_long_workspace_sees_that_it_may_only_read_on_a_phone(window: Window) -> None:
    token = make_token(window.desk.services.db, workspace_id="a-workspace-of-a-rather-long-name", role=Role.READER)
    window.open("/sign-in")
    window.page.get_by_label("Token").fill(token)
    window.page.get_by_role("button", name="Sign in").click()
    box = window.page.get_by_text("read only").bounding_box()
    name = window.page.locator(".who-name").bounding_box()
    assert box is not None
    assert name is not None
    assert name["x"] + name["width"] <= box["x"]
    assert box["x"] + box["width"] <= PHONE["width"]


@pytest.mark.parametrize("window_options", [{"viewport": PHONE}])
def test_every_tab_is_seen_on_a_phone_with_large_counts(window: Window) -> None:
    window.sign_in()
    window.open(f"/datasets/{window.desk.caller.make_dataset(schema=AGES)}")
    window.page.evaluate("for (const count of document.querySelectorAll('.tabs .count')) count.textContent = '98,765'")
    tabs = window.page.locator(".tabs")
    assert tabs.evaluate("element => element.scrollWidth - element.clientWidth") == 0


@pytest.mark.parametrize("window_options", [{"java_script_enabled": False}])
def test_everything_needed_works_without_scripts(window: Window) -> None:
    window.sign_in()
    dataset_id = window.desk.caller.make_dataset(schema=AGES)
    window.open(f"/datasets/{dataset_id}")
    choose_file(window.page, "plain.csv", FAULTY)
    window.page.get_by_role("button", name="Upload", exact=True).click()
    expect(window.page.locator(".standing .pill")).to_have_text("Partial")
    window.open(f"/datasets/{dataset_id}/schema")
    window.page.get_by_label("Pasted records").check()
    window.page.get_by_label("Records to try").fill("age\n4\nold\n")
    window.page.get_by_role("button", name="Preview").click()
    expect(window.page.locator("#preview")).to_contain_text("1 rejected")
    window.page.get_by_role("button", name="Sign out").click()
    expect(window.page.get_by_label("Token")).to_be_visible()


def test_hostile_names_and_records_are_only_text(window: Window) -> None:
    attack = "<img src=x onerror=alert(1)>"
    schema = {"fields": {attack: {"type": "integer", "label": attack}}}
    window.sign_in()
    caller = window.desk.caller
    dataset_id = caller.make_dataset(name=attack, schema=schema)
    line = json.dumps({attack: f"</code><script>alert(2)</script>{attack}"})
    job = caller.import_file(dataset_id, line.encode() + b"\n" + json.dumps({attack: 1}).encode(), "x.jsonl")
    for path in ("/", f"/datasets/{dataset_id}", f"/datasets/{dataset_id}/schema", f"/datasets/{dataset_id}/records"):
        window.open(path)
        expect(window.page.get_by_text(attack).first).to_be_attached()
    window.open(f"/datasets/{dataset_id}/imports/{job['import_id']}")
    expect(window.page.locator("mark")).to_contain_text("<script>alert(2)</script>")
    assert window.page.locator("img").count() == 0
