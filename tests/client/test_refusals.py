"""What a caller gets when the service refuses, or when it is not the service; and where the token goes."""

import io
import pickle
import traceback
from typing import Any

import httpx
import pytest

from assay import ApiError, Client, ServiceUnreachable
from client.faulty import BEGUN, DATASET, STORE, Faulty, dataset_body, import_body, ok, refusal

TOKEN = "assay_a-very-secret-text"
STORE_FAULT = (
    b'<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>The signature differs.</Message></Error>'
)


def client_of(kind: Any, *answers: Any) -> tuple[Any, Faulty]:
    faulty = Faulty(*answers)
    return kind("http://assay.test", TOKEN, transport=faulty), faulty


def caught_from(client: Any) -> ApiError:
    with client, pytest.raises(ApiError) as caught:
        client.dataset(DATASET)
    return caught.value


def test_refusal_carries_what_the_service_said(kind: Any) -> None:
    client, _ = client_of(kind, refusal(400, code=1001, detail={"fields.age": ["no type", "odd"]}))
    error = caught_from(client)
    assert (error.status, error.error_code, error.request_id) == (400, 1001, "req-17")
    assert error.detail == {"fields.age": ["no type", "odd"]}
    text = "Refused (400, error code 1001): fields.age: no type; fields.age: odd [request req-17]"
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.error_code) == (text, 1001)


def test_real_service_names_the_request(client: Any) -> None:
    with pytest.raises(ApiError) as caught:
        client.dataset(DATASET)
    assert (caught.value.status, caught.value.error_code) == (404, 1201)
    assert caught.value.request_id
    assert caught.value.request_id in str(caught.value)


def test_wrong_token_is_refused(kind: Any, address: str) -> None:
    with kind(address, TOKEN) as client, pytest.raises(ApiError) as caught:
        list(client.datasets())
    assert (caught.value.status, caught.value.error_code) == (401, 1100)


PAGE = {"content-type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"<html>Welcome</html>", headers=PAGE),
        httpx.Response(404, content=b"<html>Not here</html>", headers=PAGE),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, json={"message": "another API"}),
        httpx.Response(200, content=b""),
        httpx.Response(302, headers={"location": "https://elsewhere.example/login"}),
    ],
)
def test_other_server_is_told_from_the_service(kind: Any, answer: httpx.Response) -> None:
    client, faulty = client_of(
        kind, lambda _: httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
    )
    error = caught_from(client)
    assert error.error_code == 0
    assert error.status == answer.status_code
    assert "is the base URL right?" in str(error)
    assert "http://assay.test" in str(error)
    assert len(faulty.requests) == 1


def test_web_page_is_no_export(kind: Any, tmp_path: Any) -> None:
    client, _ = client_of(kind, httpx.Response(200, content=b"<html></html>", headers=PAGE))
    with client, pytest.raises(ApiError, match="a web page"):
        client.export(DATASET, tmp_path / "out.csv", format="csv")
    assert list(tmp_path.iterdir()) == []


def test_proxy_whose_service_is_down_is_told(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.client_retries.FIRST_PAUSE_SECONDS", 0.0)
    client, _ = client_of(kind, httpx.Response(502, content=b"<html>Bad gateway</html>", headers=PAGE))
    assert "something before the service answered" in str(caught_from(client))


def test_object_store_that_refuses_is_quoted(kind: Any) -> None:
    client, _ = client_of(kind, *BEGUN, httpx.Response(403, content=STORE_FAULT))
    with client, pytest.raises(ApiError, match=r"object store refused.*SignatureDoesNotMatch: The signature differs"):
        client.import_file(DATASET, io.BytesIO(b"age\n1\n"), filename="a.csv")


def test_token_goes_to_the_api_and_to_no_upload_host(kind: Any) -> None:
    client, faulty = client_of(kind, *BEGUN, ok({}), ok(import_body()))
    with client:
        client.import_file(DATASET, io.BytesIO(b"age\n1\n"), filename="a b/ä?.csv")
    _, asked, put, looked = faulty.requests
    assert asked.headers["authorization"] == looked.headers["authorization"] == f"Token {TOKEN}"
    assert asked.url.raw_path.endswith(b"/upload-url/a%20b%2F%C3%A4%3F.csv")
    assert "authorization" not in put.headers
    assert TOKEN not in str(put.headers)
    assert str(put.url) == STORE, "a signed URL is sent as it was given"
    assert (put.headers["content-type"], put.headers["content-length"]) == ("text/csv", "6")
    assert "transfer-encoding" not in put.headers


def test_redirect_of_an_upload_is_not_followed(kind: Any) -> None:
    away = httpx.Response(307, headers={"location": "https://thief.example/"})
    client, faulty = client_of(kind, *BEGUN, away)
    with client, pytest.raises(ApiError):
        client.import_file(DATASET, io.BytesIO(b"age\n1\n"), filename="a.csv")
    assert len(faulty.requests) == 3


@pytest.mark.parametrize("token", ["assay_secret\nx", "assay_sécret", "assay_\x00secret", " \n"])
def test_token_that_can_not_be_sent_is_not_shown(kind: Any, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_TOKEN", raising=False)
    with pytest.raises(ValueError, match="token") as caught:
        kind("http://assay.test", token)
    assert "cret" not in "".join(traceback.format_exception(caught.value))


def test_no_exception_has_the_token(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.client_retries.FIRST_PAUSE_SECONDS", 0.0)
    faults = [httpx.ConnectError("refused"), httpx.LocalProtocolError("odd"), refusal(401), httpx.Response(200)]
    for fault in faults:
        client, _ = client_of(kind, fault)
        with client, pytest.raises((ApiError, ServiceUnreachable)) as caught:
            client.dataset(DATASET)
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
        assert TOKEN not in repr(vars(caught.value))


def test_token_of_a_file_may_end_in_a_line_feed() -> None:
    faulty = Faulty(ok(dataset_body()))
    with Client("http://assay.test/", f"{TOKEN}\n", transport=faulty) as client:
        client.dataset(DATASET)
    assert faulty.requests[0].headers["authorization"] == f"Token {TOKEN}"


@pytest.mark.parametrize(
    "base_url",
    ["http://assay.test", "http://assay.test/", " http://assay.test", "http://assay.test/api/v1/data-collection/"],
)
def test_base_url_is_taken_as_people_write_it(base_url: str) -> None:
    faulty = Faulty(ok(dataset_body()))
    with Client(base_url, TOKEN, transport=faulty) as client:
        client.dataset(DATASET)
    assert str(faulty.requests[0].url) == f"http://assay.test/api/v1/data-collection/datasets/{DATASET}"


def test_base_url_may_have_a_path_before_the_apis(kind: Any) -> None:
    faulty = Faulty(ok(dataset_body()))
    with kind("https://host.example/tools/assay", TOKEN, transport=faulty) as client:
        client.dataset(DATASET)
    assert faulty.requests[0].url.path.startswith("/tools/assay/api/v1/data-collection/datasets/")


@pytest.mark.parametrize("base_url", ["localhost:8000", "ftp://host", "host.example"])
def test_base_url_without_its_scheme_is_told_at_once(kind: Any, base_url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        kind(base_url, TOKEN)


def test_address_and_token_come_from_the_environment(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_URL", "http://elsewhere.test")
    monkeypatch.setenv("ASSAY_TOKEN", TOKEN)
    faulty = Faulty(ok(dataset_body()))
    with kind(transport=faulty) as client:
        client.dataset(DATASET)
    assert faulty.requests[0].url.host == "elsewhere.test"
    monkeypatch.delenv("ASSAY_TOKEN")
    with pytest.raises(ValueError, match="set ASSAY_TOKEN"):
        kind("http://assay.test")
