"""Webhooks: managed over the API, sent to a real receiver, signed, again until they arrive, and to nobody private."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from assay import webhooks
from assay.db.tokens import Role
from assay.errors import ErrorCode
from assay.operations import cancel_import
from assay.web.services import Services
from assay.webhooks import RETRY_DELAYS, WebhookSender, send_next
from moving_clock import Clock
from services.callers import Caller, wait_until
from services.in_process import client_of
from services.receiving import Receiver, receiving
from web.conftest import make_app, make_token
from web.test_errors import assert_error

URL = "https://hooks.example/assay"
DAY_SECONDS = 24 * 3600


@pytest.fixture
def near(services: Services) -> Iterator[Caller]:
    """A caller of a service that may send into private networks, such as this machine."""
    allowing = replace(services, settings=replace(services.settings, webhook_private_networks=True))
    with client_of(make_app(allowing)) as client:
        yield Caller(client, "home", make_token(services.db, workspace_id="home"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def create(caller: Caller, url: str = URL) -> dict[str, Any]:
    answer = caller.request("POST", "/webhooks", json={"url": url})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def end_an_import(caller: Caller, services: Services) -> str:
    dataset_id = caller.make_dataset()
    import_id: str = caller.ask_for_url(dataset_id)["import_id"]
    cancel_import(services.db, UUID(dataset_id), UUID(import_id))
    return import_id


def deliveries(caller: Caller, made: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.read(f"/webhooks/{made['id']}/deliveries")["results"]
    return found


def send_all(services: Services) -> int:
    count = 0
    while send_next(services.db, private_networks=True):
        count += 1
    return count


def test_secret_is_shown_once(caller: Caller) -> None:
    made = create(caller)
    assert made["secret"].startswith("whsec_")
    assert len(made["secret"]) > 40
    listed = caller.get("/webhooks")
    assert listed.json()["results"] == [{key: value for key, value in made.items() if key != "secret"}]
    assert made["secret"] not in listed.text
    assert create(caller)["secret"] != made["secret"]


def test_webhook_is_deleted_with_what_was_to_be_sent(near: Caller, services: Services, receiver: Receiver) -> None:
    made = create(near, receiver.url)
    end_an_import(near, services)
    answer = near.request("DELETE", f"/webhooks/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert near.read("/webhooks")["results"] == []
    assert send_all(services) == 0
    assert_error(near.request("DELETE", f"/webhooks/{made['id']}"), 404, ErrorCode.UNKNOWN_WEBHOOK)


@pytest.mark.parametrize(
    "url", ["http://hooks.example/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/"]
)
def test_url_into_a_private_network_is_refused(caller: Caller, url: str) -> None:
    answer = caller.request("POST", "/webhooks", json={"url": url})
    assert_error(answer, 400, ErrorCode.INVALID_WEBHOOK)
    assert caller.read("/webhooks")["results"] == []


@pytest.mark.parametrize(
    "body", [{}, {"url": 1}, {"url": None}, {"url": "x" * 2049}, {"url": URL, "secret": "mine"}, [], "x"]
)
def test_body_that_is_no_webhook_is_refused(caller: Caller, body: object) -> None:
    assert_error(caller.request("POST", "/webhooks", json=body), 400, ErrorCode.INVALID_REQUEST)


@pytest.mark.parametrize("url", ["", "hooks.example", "/nowhere", "ftp://hooks.example/"])
def test_url_that_is_none_is_refused_with_what_it_must_be(caller: Caller, url: str) -> None:
    answer = caller.request("POST", "/webhooks", json={"url": url})
    detail = assert_error(answer, 400, ErrorCode.INVALID_WEBHOOK)
    assert detail == "The URL must begin with https:// and name a host."


def test_a_workspace_has_a_bounded_number_of_webhooks(caller: Caller) -> None:
    for _ in range(webhooks.MAX_ENDPOINTS):
        create(caller)
    answer = caller.request("POST", "/webhooks", json={"url": URL})
    assert_error(answer, 409, ErrorCode.TOO_MANY_WEBHOOKS)


def test_webhooks_of_another_workspace_are_out_of_reach(caller: Caller, services: Services) -> None:
    made = create(caller)
    foreigner = Caller(caller.client, "away", make_token(services.db, workspace_id="away"))
    assert foreigner.read("/webhooks")["results"] == []
    for method, path in (("DELETE", ""), ("GET", "/deliveries")):
        answer = foreigner.request(method, f"/webhooks/{made['id']}{path}")
        assert_error(answer, 403, ErrorCode.FOREIGN_WORKSPACE)
        for unknown in (str(uuid4()), "no-uuid"):
            missing = foreigner.request(method, f"/webhooks/{unknown}{path}")
            assert_error(missing, 404, ErrorCode.UNKNOWN_WEBHOOK)
    foreign_body = {"url": URL, "workspace_id": "home"}
    answer = foreigner.request("POST", "/webhooks", json=foreign_body)
    assert_error(answer, 403, ErrorCode.FOREIGN_WORKSPACE)
    assert len(caller.read("/webhooks")["results"]) == 1


def test_reader_sees_webhooks_and_changes_none(caller: Caller, services: Services) -> None:
    made = create(caller)
    reader = Caller(caller.client, "home", make_token(services.db, workspace_id="home", role=Role.READER))
    assert len(reader.read("/webhooks")["results"]) == 1
    assert deliveries(reader, made) == []
    for answer in (
        reader.request("POST", "/webhooks", json={"url": URL}),
        reader.request("DELETE", f"/webhooks/{made['id']}"),
    ):
        assert_error(answer, 403, ErrorCode.READ_ONLY_TOKEN)


def test_end_of_an_import_is_sent_signed(near: Caller, services: Services, receiver: Receiver, clock: Clock) -> None:
    made = create(near, receiver.url)
    import_id = end_an_import(near, services)
    assert send_all(services) == 1
    (received,) = receiver.received
    told = json.loads(received.body)
    assert (told["type"], told["data"]["import_id"]) == ("import.failed", import_id)
    assert received.headers["content-type"] == "application/json"
    (delivery,) = deliveries(near, made)
    assert received.headers["webhook-id"] == delivery["id"]
    assert received.headers["webhook-timestamp"] == str(int(clock().timestamp()))
    signature = Webhook(made["secret"]).sign(delivery["id"], clock(), received.body.decode())
    assert received.headers["webhook-signature"] == signature
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == ("delivered", 1, 204)
    assert "body" not in delivery


def test_import_that_waits_for_a_schema_is_told_of_and_so_is_its_end(
    near: Caller, services: Services, receiver: Receiver
) -> None:
    create(near, receiver.url)
    dataset_id = near.make_dataset()
    import_id = near.upload(dataset_id, b"age\n1\n")
    assert send_all(services) == 1
    cancel_import(services.db, UUID(dataset_id), UUID(import_id))
    assert send_all(services) == 1
    told = [json.loads(received.body) for received in receiver.received]
    assert [each["type"] for each in told] == ["import.pending_schema", "import.failed"]
    assert {each["data"]["import_id"] for each in told} == {import_id}


def test_endpoint_with_many_deliveries_does_not_hold_up_another(
    near: Caller, services: Services, receiver: Receiver
) -> None:
    create(near, f"{receiver.url}/many")
    for _ in range(5):
        end_an_import(near, services)
    create(near, f"{receiver.url}/few")
    end_an_import(near, services)
    for _ in range(3):
        assert send_next(services.db, private_networks=True)
    assert sorted(received.path for received in receiver.received) == ["/hook/few", "/hook/many", "/hook/many"]


def test_receiver_verifies_what_is_sent_with_the_public_library(busy_services: Services, receiver: Receiver) -> None:
    """On the real clock, which that library goes by."""
    allowing = replace(busy_services, settings=replace(busy_services.settings, webhook_private_networks=True))
    with client_of(make_app(allowing)) as client:
        caller = Caller(client, "hooked", make_token(busy_services.db, workspace_id="hooked"))
        made = create(caller, receiver.url)
        end_an_import(caller, busy_services)
        send_all(busy_services)
    (received,) = receiver.received
    assert Webhook(made["secret"]).verify(received.body, received.headers)["type"] == "import.failed"
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 44).verify(received.body, received.headers)


def test_failed_attempts_are_made_again_over_a_day_and_then_given_up(
    near: Caller, services: Services, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer = lambda _: (500, {})
    made = create(near, receiver.url)
    end_an_import(near, services)
    began = clock()
    for delay in RETRY_DELAYS:
        assert send_all(services) == 1
        clock.advance(delay.total_seconds() - 0.1)
        assert send_all(services) == 0
        clock.advance(0.1)
    assert DAY_SECONDS < (clock() - began).total_seconds() < 2 * DAY_SECONDS
    assert deliveries(near, made)[0]["state"] == "waiting"
    assert send_all(services) == 1
    (delivery,) = deliveries(near, made)
    assert (delivery["state"], delivery["attempts"]) == ("given_up", len(RETRY_DELAYS) + 1)
    assert (delivery["last_status"], delivery["last_error"]) == (500, "answered 500")
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
    assert len({received.body for received in receiver.received}) == 1
    clock.advance(10 * DAY_SECONDS)
    assert send_all(services) == 0


def test_what_failed_arrives_once_the_receiver_is_back(
    near: Caller, services: Services, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer = lambda before: (503 if before == 0 else 200, {})
    made = create(near, receiver.url)
    end_an_import(near, services)
    send_all(services)
    clock.advance(5)
    send_all(services)
    (delivery,) = deliveries(near, made)
    assert (delivery["state"], delivery["attempts"], delivery["last_error"]) == ("delivered", 2, None)


@pytest.mark.parametrize(
    ("status", "state"), [(302, "waiting"), (410, "given_up"), (404, "waiting"), (200, "delivered")]
)
def test_answer_decides_what_comes_next(
    near: Caller, services: Services, receiver: Receiver, status: int, state: str
) -> None:
    receiver.answer = lambda _: (status, {"Location": receiver.url})
    made = create(near, receiver.url)
    end_an_import(near, services)
    send_all(services)
    (delivery,) = deliveries(near, made)
    assert (delivery["state"], delivery["last_status"], len(receiver.received)) == (state, status, 1)


def test_name_that_leads_into_a_private_network_is_not_sent_to(caller: Caller, services: Services) -> None:
    made = create(caller, "https://localhost:1/")
    end_an_import(caller, services)
    assert send_next(services.db, private_networks=False)
    (delivery,) = deliveries(caller, made)
    assert (delivery["state"], delivery["last_error"]) == ("waiting", "the host's address is not a public one")


def test_private_url_is_not_sent_to_once_that_is_no_longer_allowed(
    near: Caller, services: Services, receiver: Receiver
) -> None:
    create(near, receiver.url)
    end_an_import(near, services)
    assert send_next(services.db, private_networks=False)
    assert receiver.received == []


def test_a_slow_endpoint_holds_no_other_up(near: Caller, services: Services, receiver: Receiver) -> None:
    release = threading.Event()
    with receiving() as slow:
        slow.answer = lambda _: (release.wait(10), (200, {}))[1]
        create(near, slow.url)
        create(near, receiver.url)
        for _ in range(3):
            end_an_import(near, services)
        sender = WebhookSender(services.db, private_networks=True)
        sender.start()
        wait_until(lambda: len(receiver.received) == 3, what="three webhooks past a slow one")
        assert slow.received == []
        release.set()
        wait_until(lambda: len(slow.received) == 3, what="the slow one's webhooks")
        sender.stop()


def test_several_senders_send_each_once_and_a_new_one_goes_on(
    near: Caller, services: Services, receiver: Receiver
) -> None:
    create(near, receiver.url)
    first = [WebhookSender(services.db, private_networks=True) for _ in range(3)]
    for sender in first:
        sender.start()
    ended = [end_an_import(near, services) for _ in range(6)]
    wait_until(lambda: len(receiver.received) >= 6, what="six webhooks")
    for sender in first:
        sender.stop()
    ended.append(end_an_import(near, services))
    later = WebhookSender(services.db, private_networks=True)
    later.start()
    wait_until(lambda: len(receiver.received) >= 7, what="the one after a restart")
    later.stop()
    assert [json.loads(received.body)["data"]["import_id"] for received in receiver.received] == ended


def test_deliveries_are_listed_newest_first_by_page(near: Caller, services: Services) -> None:
    made = create(near, "http://127.0.0.1:9/")
    ended = [end_an_import(near, services) for _ in range(5)]
    path = f"/webhooks/{made['id']}/deliveries"
    first = near.read(path, limit=3)
    rest = near.read(path, limit=3, cursor=first["next_cursor"])
    assert [row["job_id"] for row in [*first["results"], *rest["results"]]] == ended[::-1]
    assert rest["next_cursor"] is None
    assert_error(near.get(path, cursor="x"), 400, ErrorCode.INVALID_REQUEST)
