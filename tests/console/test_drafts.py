"""What was typed into the schema's editor is there again, whatever came between it and the saving."""

import re

import pytest
from playwright.sync_api import Locator, expect

from console.conftest import Window
from services.callers import AGES

TYPED = '{"fields": {"my_long_work": {"type": "text"}}}'
SAVED = '{\n  "strict": false,\n  "fields": {\n    "my_long_work": {"type": "text"}\n  }\n}'
NOTE = "What you typed here before, and did not save, is back."


def editor(window: Window) -> Locator:
    return window.page.get_by_role("textbox", name="Schema")


def type_schema(window: Window) -> str:
    """Signed in and with something typed; the dataset's path."""
    window.sign_in()
    path = f"/datasets/{window.desk.caller.make_dataset(schema=AGES)}"
    with window.page.expect_response("**/preview"):
        window.open(path + "/schema")
    with window.page.expect_response("**/preview"):
        editor(window).fill(TYPED)
    return path


def save(window: Window) -> None:
    window.page.get_by_role("button", name="Save schema").click()


def sign_in_here(window: Window) -> None:
    window.page.get_by_label("Token").fill(window.desk.caller.token)
    window.page.get_by_role("button", name="Sign in").click()


def test_session_that_ended_takes_nothing_that_was_typed(window: Window) -> None:
    path = type_schema(window)
    window.page.context.clear_cookies()
    save(window)
    sign_in_here(window)
    window.page.wait_for_url(window.address + path + "/schema")
    expect(editor(window)).to_have_value(TYPED)
    expect(window.page.get_by_text(NOTE)).to_be_visible()
    save(window)
    window.page.wait_for_url(window.address + path)
    window.open(path + "/schema")
    expect(editor(window)).to_have_value(
        '{\n  "strict": false,\n  "fields": {\n    "my_long_work": {"type": "text"}\n  }\n}'
    )
    expect(window.page.get_by_text(NOTE)).to_be_hidden()


def test_sign_in_in_another_tab_takes_nothing_that_was_typed(window: Window) -> None:
    path = type_schema(window)
    other = window.page.context.new_page()
    other.goto(window.address + "/")
    other.get_by_role("button", name="Sign out").click()
    other.get_by_label("Token").fill(window.desk.caller.token)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url(window.address + "/")
    save(window)
    expect(window.page.get_by_role("alert")).to_contain_text("what you typed stands here")
    window.expect_refusal(403)
    expect(editor(window)).to_have_value(TYPED)
    window.open(path + "/schema")
    expect(editor(window)).to_have_value(TYPED)
    save(window)
    window.page.wait_for_url(window.address + path)


def test_draft_does_not_overwrite_what_somebody_else_saved_meanwhile(window: Window) -> None:
    path = type_schema(window)
    other = {"fields": {"name": {"type": "text"}}}
    assert window.desk.caller.request("PATCH", path, json={"schema": other}).status_code < 300
    window.page.reload()
    expect(editor(window)).to_have_value(TYPED)
    save(window)
    expect(window.page.get_by_text("Somebody else has saved another schema")).to_be_visible()
    window.expect_refusal(409)
    save(window)
    window.page.wait_for_url(window.address + path)


@pytest.mark.parametrize("window_options", [{"viewport": {"width": 390, "height": 844}}])
def test_draft_that_is_discarded_does_not_come_back(window: Window) -> None:
    path = type_schema(window)
    window.page.reload()
    window.page.get_by_role("button", name="Discard it").click()
    expect(editor(window)).to_be_focused()
    expect(editor(window)).to_have_value(re.compile("exclusiveMinimum"))
    window.open(path + "/schema")
    expect(window.page.get_by_text(NOTE)).to_be_hidden()


def test_schema_that_was_asked_about_is_no_draft_once_it_is_saved(window: Window) -> None:
    path = type_schema(window)
    window.desk.caller.import_file(path.rpartition("/")[2], b"age\n7\n")
    save(window)
    window.page.get_by_role("button", name="Save it and change the record").click()
    window.page.wait_for_url("**/schema?migration=*")
    expect(editor(window)).to_have_value(SAVED)
    expect(window.page.get_by_text(NOTE)).to_be_hidden()


def test_new_dataset_that_was_not_created_is_there_again(window: Window) -> None:
    window.sign_in()
    window.open("/datasets/new")
    window.page.get_by_label("Name").fill("Harvest")
    window.page.get_by_label("Schema").fill(TYPED)
    window.open("/")
    window.open("/datasets/new")
    expect(window.page.get_by_label("Name")).to_have_value("Harvest")
    window.page.get_by_role("button", name="Create dataset").click()
    expect(window.page.get_by_role("heading", name="Harvest")).to_be_visible()
    window.open("/datasets/new")
    expect(window.page.get_by_label("Name")).to_have_value("")
