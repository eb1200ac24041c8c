"""What the script that uploads says of each file, whatever came between: it is true, and leaves nothing behind."""

import pytest
from playwright.sync_api import FilePayload, Page, expect

from console.conftest import Window
from services.callers import AGES, ages_csv, wait_until

# The file arrives, and its answer does not.
LOSE_ANSWERS = """() => {
    const send = XMLHttpRequest.prototype.send;
    XMLHttpRequest.prototype.send = function (body) { this.onload = this.onerror; send.call(this, body); };
}"""
# As where the store is S3.
WITHOUT_URLS = "() => { delete document.querySelector('[data-begin]').dataset.begin; }"
# Neither arrives.
LOSE_FILES = "() => { XMLHttpRequest.prototype.send = function () { setTimeout(() => this.onerror(), 50); }; }"


def file_of(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": data}


def open_dataset(window: Window) -> str:
    window.sign_in()
    path = f"/datasets/{window.desk.caller.make_dataset(schema=AGES)}"
    window.open(path)
    return path


def upload(page: Page, *files: FilePayload) -> None:
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_role("button", name="Upload", exact=True).click()


def imports_of(window: Window, path: str) -> list[tuple[str, str]]:
    return [(job["filename"], job["status"]) for job in window.desk.caller.read(f"{path}/imports")["results"]]


@pytest.mark.parametrize("way", ["to the upload URL", "by the form"])
def test_each_of_several_files_is_told_of_and_one_fault_stops_none(window: Window, way: str) -> None:
    path, page = open_dataset(window), window.page
    if way == "by the form":
        page.evaluate(WITHOUT_URLS)
    upload(page, file_of("a.csv", ages_csv(1)), file_of("b.txt", b"x"), file_of("c.csv", ages_csv(2)))
    lines = page.locator("[data-results] p")
    expect(lines).to_have_count(3)
    expect(lines.nth(0)).to_have_text("a.csv: uploaded")
    expect(lines.nth(1)).to_contain_text("b.txt: The file name must end with .csv")
    expect(lines.nth(2)).to_have_text("c.csv: uploaded")
    window.expect_refusal(400)
    expect(page.locator("#imports tbody tr .pill-complete")).to_have_count(2)
    expect(page.locator("#facts")).to_contain_text("Records2")
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_focused()
    lines.nth(0).get_by_role("link").click()
    expect(page.get_by_role("heading", name="a.csv")).to_be_visible()
    assert sorted(imports_of(window, path)) == [("a.csv", "complete"), ("c.csv", "complete")]


@pytest.mark.parametrize("count", [1, 2])
def test_cancelled_upload_leaves_no_import_waiting_and_focus_where_it_was(window: Window, count: int) -> None:
    path, page = open_dataset(window), window.page
    network = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", network)
    upload(page, *(file_of(f"{number}.csv", ages_csv(*range(1, 200_000))) for number in range(count)))
    expect(page.locator(".upload-text")).to_contain_text("0.csv: ")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.wait_for_timeout(300)
    page.keyboard.press("Enter")
    told = [f"{number}.csv: {what}" for number, what in enumerate(["Cancelled. Nothing of it was taken.", "Not sent."])]
    expect(page.locator("[data-results] p")).to_have_text(told[:count])
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_focused()
    expect(page.locator("#imports tbody .pill-failed")).to_have_count(1)
    assert imports_of(window, path) == [("0.csv", "failed")]


def test_upload_by_the_form_that_is_cancelled_leaves_no_import_waiting(window: Window) -> None:
    path, page = open_dataset(window), window.page
    page.evaluate(WITHOUT_URLS)
    network = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", network)
    upload(page, file_of("ages.csv", ages_csv(*range(1, 200_000))))
    wait_until(lambda: bool(imports_of(window, path)), what="the service has begun to read the form")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-results]")).to_have_text("ages.csv: Cancelled. Nothing of it was taken.")
    wait_until(lambda: imports_of(window, path) == [("ages.csv", "failed")], what="the import is ended")


def test_file_that_arrived_without_an_answer_is_not_told_to_be_lost(window: Window) -> None:
    path = open_dataset(window)
    window.page.evaluate(LOSE_ANSWERS)
    upload(window.page, file_of("ages.csv", ages_csv(1)))
    expect(window.page.get_by_role("heading", name="ages.csv")).to_be_visible()
    expect(window.page.locator(".standing .pill")).to_have_text("Complete")
    assert imports_of(window, path) == [("ages.csv", "complete")]


def test_file_that_did_not_arrive_is_told_so_and_its_import_is_ended(window: Window) -> None:
    path = open_dataset(window)
    window.page.evaluate(LOSE_FILES)
    upload(window.page, file_of("ages.csv", ages_csv(1)))
    results = window.page.locator("[data-results]")
    expect(results).to_have_text(
        "ages.csv: The connection broke before the whole file had arrived. Nothing of it was taken; send it again."
    )
    assert imports_of(window, path) == [("ages.csv", "failed")]


def test_service_that_can_not_be_asked_is_not_spoken_for(window: Window) -> None:
    open_dataset(window)
    window.page.evaluate(LOSE_FILES)
    window.page.evaluate("""() => {
        const real = window.fetch;
        window.setTimeout = ((wait) => (work, pause) => wait(work, pause / 20))(window.setTimeout);
        window.fetch = async (url, ...more) => {
            if (url.endsWith("/live")) throw new TypeError("no network");
            return real(url, ...more);
        };
    }""")
    upload(window.page, file_of("ages.csv", ages_csv(1)))
    expect(window.page.locator("[data-results]")).to_contain_text("the service does not say whether the whole file had")
