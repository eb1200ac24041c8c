"""Who gets in, and what a forged, foreign or stale visit meets."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import unquote

import httpx
import pytest

from assay.db import tokens
from assay.db.tokens import Role
from assay.operations import create_token, revoke_token
from assay.signing_in import end_session
from assay.web.console.sessions import COOKIE
from console.conftest import Desk, make_desk
from console.visiting import HTML, Visitor, seen
from services.callers import AGES, Caller, ages_csv
from services.in_process import client_of
from web.conftest import make_app, make_token

FORMS = [
    ("/datasets", {"name": "Forged"}),
    ("/datasets/{id}/schema", {"schema": '{"fields": {"a": {"type": "text"}}}'}),
    ("/datasets/{id}/schema/preview", {"schema": "{}"}),
    ("/datasets/{id}/schema/suggest", {}),
    ("/datasets/{id}/delete", {"name": "Survey"}),
    ("/datasets/{id}/imports", {"filename": "a.csv"}),
    ("/datasets/{id}/imports/{import_id}/cancel", {}),
    ("/sign-out", {}),
]


def cookie_of(client: httpx.Client) -> str:
    return client.cookies[COOKIE]


def test_nobody_sees_a_page_and_comes_back_after_the_sign_in(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(name="Secret survey")
    quiet_desk.visitor.client.cookies.clear()
    answer = quiet_desk.visitor.client.get(f"/datasets/{dataset_id}/records?from=1", headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next=%2Fdatasets%2F{dataset_id}%2Frecords%3Ffrom%3D1"
    page = quiet_desk.visitor.sign_in(quiet_desk.caller.token, path=answer.headers["location"])
    assert "Secret survey" in page.text


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("/datasets", "/datasets/new"),
        ("/datasets/{id}/schema", "/datasets/{id}/schema"),
        ("/datasets/{id}/schema/preview", "/datasets/{id}/schema"),
        ("/datasets/{id}/imports/{id}/cancel", "/datasets/{id}/imports/{id}"),
        ("/send-file/{id}", "/datasets/{id}"),
    ],
)
def test_form_that_nobody_sends_leads_back_to_its_page(quiet_desk: Desk, form: str, page: str) -> None:
    dataset_id = quiet_desk.caller.make_dataset()
    quiet_desk.visitor.client.cookies.clear()
    answer = quiet_desk.visitor.client.post(form.format(id=dataset_id), data={"schema": "{}"}, headers=HTML)
    assert answer.status_code == 303
    assert unquote(answer.headers["location"]) == "/sign-in?next=" + page.format(id=dataset_id)


def test_cookie_holds_no_token_and_no_script_can_read_it(quiet_desk: Desk) -> None:
    visitor = quiet_desk.visitor
    visitor.client.cookies.clear()
    form = visitor.get("/sign-in").form("/sign-in")
    answer = visitor.client.post("/sign-in", data={**form.fields, "token": quiet_desk.caller.token}, headers=HTML)
    cookie = answer.headers["set-cookie"]
    assert quiet_desk.caller.token not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert quiet_desk.caller.token not in answer.text


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "undefined", "none"])
def test_form_in_another_encoding_is_refused(quiet_desk: Desk, charset: str) -> None:
    """It would be read by whatever codec it names."""
    headers = {"Content-Type": f"multipart/form-data; boundary=xx; charset={charset}"}
    body = b'--xx\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n+2AA-\r\n--xx--\r\n'
    assert quiet_desk.visitor.client.post("/sign-in", content=body, headers=headers).status_code == 400


def test_wrong_token_is_refused_in_words(quiet_desk: Desk) -> None:
    quiet_desk.visitor.client.cookies.clear()
    page = quiet_desk.visitor.sign_in("assay_wrong")
    assert page.status == 403
    assert "No valid token has this text" in page.text
    assert "assay_wrong" not in page.answer.text


def test_altered_cookie_is_nobody(quiet_desk: Desk) -> None:
    client = quiet_desk.visitor.client
    cookie = cookie_of(client)
    client.cookies.clear()
    client.cookies.set(COOKIE, cookie[:-2] + ("AA" if not cookie.endswith("AA") else "BB"))
    assert client.get("/", headers=HTML).status_code == 303


def test_revoked_token_ends_its_sessions_at_once(quiet_desk: Desk) -> None:
    token, text = create_token(quiet_desk.services.db, "home", name="short", role=Role.WRITER, expires_at=None)
    visitor = quiet_desk.visitor
    assert visitor.sign_in(text).status == 200
    assert visitor.client.get("/", headers=HTML).status_code == 200
    revoke_token(quiet_desk.services.db, token.id)
    assert visitor.client.get("/", headers=HTML).status_code == 303


def test_sign_out_ends_the_session_wherever_its_cookie_is(quiet_desk: Desk) -> None:
    client = quiet_desk.visitor.client
    copied = cookie_of(client)
    page = quiet_desk.visitor.send(quiet_desk.visitor.get("/").form("/sign-out"))
    assert page.form("/sign-in")
    assert client.get("/", headers=HTML).status_code == 303
    client.cookies.clear()
    client.cookies.set(COOKIE, copied)
    assert client.get("/", headers=HTML).status_code == 303
    assert client.get("/", headers=HTML).headers["location"].startswith("/sign-in")


def test_sign_out_ends_no_other_session_and_is_forgotten_in_time(quiet_desk: Desk) -> None:
    db = quiet_desk.services.db
    end_session(db, "an old one", valid_for=timedelta(seconds=0))
    quiet_desk.visitor.send(quiet_desk.visitor.get("/").form("/sign-out"))
    with db.read() as tx:
        assert not tokens.is_ended(tx, "an old one")
    assert quiet_desk.visitor.sign_in(quiet_desk.caller.token).status == 200
    assert quiet_desk.visitor.client.get("/", headers=HTML).status_code == 200


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_form_without_its_token_changes_nothing(quiet_desk: Desk, path: str, fields: dict[str, str]) -> None:
    dataset_id = quiet_desk.caller.make_dataset()
    import_id = quiet_desk.caller.ask_for_url(dataset_id)["import_id"]
    address = path.format(id=dataset_id, import_id=import_id)
    for form_token in (None, "", "0" * 64):
        given = fields if form_token is None else fields | {"form_token": form_token}
        answer = quiet_desk.visitor.client.post(address, data=given, headers=HTML)
        assert answer.status_code == 403, answer.text
        assert "The form was too old, or not made for you" in seen(answer).text
    assert quiet_desk.caller.job(dataset_id, import_id)["status"] == "uninitialised"
    assert len(quiet_desk.caller.read("/datasets")["results"]) == 1


def test_form_token_of_another_session_is_refused(quiet_desk: Desk) -> None:
    stolen = quiet_desk.visitor.get("/datasets/new").form("/datasets")
    quiet_desk.visitor.client.cookies.clear()
    quiet_desk.visitor.sign_in(quiet_desk.caller.token)
    assert quiet_desk.visitor.send(stolen, name="Forged").status == 403


def test_foreign_workspace_is_refused_on_every_page(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(name="Secret survey", schema=AGES)
    import_id = quiet_desk.caller.upload(dataset_id, ages_csv(1))
    quiet_desk.visitor.client.cookies.clear()
    quiet_desk.visitor.sign_in(make_token(quiet_desk.services.db, workspace_id="elsewhere"))
    base = f"/datasets/{dataset_id}"
    paths = ["", "/records", "/imports", "/schema", "/delete", "/export", f"/imports/{import_id}"]
    for path in [*paths, f"/imports/{import_id}/live", f"/imports/{import_id}/rejected"]:
        page = quiet_desk.visitor.get(base + path)
        assert page.status == 403, path
        assert "Secret" not in page.answer.text
    assert "Secret" not in quiet_desk.visitor.get("/").text


def test_reader_sees_and_changes_nothing(quiet_desk: Desk) -> None:
    dataset_id = quiet_desk.caller.make_dataset(schema=AGES)
    quiet_desk.visitor.client.cookies.clear()
    reader = make_desk(quiet_desk.services, quiet_desk.caller, role=Role.READER)
    page = reader.visitor.get(f"/datasets/{dataset_id}")
    assert page.status == 200
    assert [form.action for form in page.forms] == ["/sign-out"]
    fields = page.form("/sign-out").fields
    for path in (f"/datasets/{dataset_id}/delete", f"/datasets/{dataset_id}/schema", "/datasets"):
        answer = reader.visitor.client.post(path, data=fields, headers=HTML)
        assert answer.status_code == 403
        assert "may only read" in seen(answer).text


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_sign_in_leads_nowhere_else(quiet_desk: Desk, target: str) -> None:
    visitor = quiet_desk.visitor
    form = visitor.get("/sign-in", next=target).form("/sign-in")
    answer = visitor.client.post("/sign-in", data={**form.fields, "token": quiet_desk.caller.token}, headers=HTML)
    assert answer.headers["location"] == "/"


def test_cookie_is_secure_where_browsers_come_by_https(quiet_desk: Desk) -> None:
    settings = replace(quiet_desk.services.settings, base_url="https://assay.example")
    with client_of(make_app(replace(quiet_desk.services, settings=settings))) as client:
        assert "Secure" in Visitor(client).get("/sign-in").answer.headers["set-cookie"]


def test_api_takes_no_cookie_for_a_token(quiet_desk: Desk) -> None:
    nobody = Caller(quiet_desk.visitor.client, "home", "nothing")
    assert nobody.get("/datasets").status_code == 401
