"""What is tried again and what is not, how long, and that nobody is told who has not asked."""

import io
import pickle
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest

from assay import ApiError, Client, ImportUnfinished, MigrationUnknown, ServiceUnreachable, client_calls
from assay.client_calls import Call
from assay.client_retries import MOST_SECONDS, Patience
from client.faulty import BEGUN, DATASET, IMPORT, CutOff, Faulty, dataset_body, import_body, ok, refusal

REFUSED = httpx.ConnectError("[Errno 111] Connection refused")
LOST = httpx.ReadError("connection reset")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; they take no time."""
    made: list[float] = []

    async def note(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("assay.client.time.sleep", made.append)
    monkeypatch.setattr("assay.client_async.asyncio.sleep", note)
    return made


def client_of(kind: Any, *answers: Any) -> tuple[Any, Faulty]:
    faulty = Faulty(*answers)
    return kind("http://assay.test", "assay_secret", transport=faulty), faulty


def import_one(client: Any, **more: Any) -> Any:
    return client.import_file(DATASET, io.BytesIO(b"age\n1\n"), filename="a.csv", **more)


@pytest.mark.parametrize("fault", [REFUSED, LOST, httpx.ReadTimeout("slow"), refusal(502), refusal(503), refusal(429)])
def test_reading_is_tried_again(kind: Any, pauses: list[float], fault: Any) -> None:
    client, faulty = client_of(kind, fault, fault, ok(dataset_body()))
    with client:
        assert client.dataset(DATASET).id == DATASET
    assert len(faulty.requests) == 3
    assert 0 < pauses[0] < pauses[1] < 1


@pytest.mark.parametrize("fault", [LOST, httpx.ReadTimeout("slow"), refusal(500), refusal(503), refusal(404)])
def test_making_a_dataset_is_not_tried_again_once_it_may_have_been_received(
    kind: Any, pauses: list[float], fault: Any
) -> None:
    client, faulty = client_of(kind, fault)
    with client, pytest.raises((ApiError, ServiceUnreachable)):
        client.create_dataset("a")
    assert (len(faulty.requests), pauses) == (1, [])


@pytest.mark.parametrize("fault", [REFUSED, httpx.ConnectTimeout("slow"), refusal(429)])
def test_making_a_dataset_is_tried_again_where_it_was_never_received(
    kind: Any, pauses: list[float], fault: Any
) -> None:
    client, faulty = client_of(kind, fault, ok(dataset_body(), status=201))
    with client:
        client.create_dataset("a")
    assert len(faulty.requests) == 2


@pytest.mark.parametrize("fault", [refusal(400), refusal(401), refusal(404), refusal(409), refusal(500)])
def test_refusal_is_not_tried_again(kind: Any, pauses: list[float], fault: Any) -> None:
    client, faulty = client_of(kind, fault)
    with client, pytest.raises(ApiError):
        client.dataset(DATASET)
    assert (len(faulty.requests), pauses) == (1, [])


def test_retry_after_is_honoured(kind: Any, pauses: list[float]) -> None:
    client, _ = client_of(kind, refusal(503, Retry_After="7"), refusal(429, Retry_After="3"), ok(dataset_body()))
    with client:
        client.dataset(DATASET)
    assert pauses == [7, 3]


def test_retry_after_that_is_too_long_or_a_date_does_no_harm(kind: Any, pauses: list[float]) -> None:
    client, faulty = client_of(kind, refusal(503, Retry_After="3600"))
    with client, pytest.raises(ApiError) as caught:
        client.dataset(DATASET)
    assert caught.value.retry_after_seconds == 3600
    assert str(caught.value).endswith("It asks for 3,600 seconds until it is called again.")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert len(faulty.requests) == 1
    past, odd = refusal(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), refusal(503, Retry_After="soon")
    client, _ = client_of(kind, past, odd, ok(dataset_body()))
    with client:
        client.dataset(DATASET)
    assert pauses[0] == 0
    assert 0 < pauses[1] < 1


def test_trying_ends(kind: Any, pauses: list[float]) -> None:
    client, faulty = client_of(kind, REFUSED)
    with client, pytest.raises(ServiceUnreachable, match=r"No answer from http://assay\.test.*refused"):
        client.dataset(DATASET)
    assert len(faulty.requests) == 5
    assert sum(pauses) < 4


def test_no_attempt_begins_after_the_longest_time() -> None:
    now = 0.0
    patience = Patience(Call("GET", "/datasets", attempts=1000), clock=lambda: now)
    while now <= MOST_SECONDS + 5:
        try:
            now += patience.pause_after(LOST)
        except httpx.ReadError:
            break
    assert MOST_SECONDS - 5 <= now <= MOST_SECONDS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What those who are patient take for the time, to be moved."""
    now = [0.0]
    monkeypatch.setattr("assay.client_retries.Patience.__init__.__kwdefaults__", {"clock": lambda: now[0]})
    return now


def test_upload_or_download_that_was_cut_late_is_made_again(
    kind: Any, pauses: list[float], clock: list[float], tmp_path: Any
) -> None:
    """The minute is for failing: one of an hour's transfer goes by before it."""

    def cut_after_an_hour(request: httpx.Request) -> httpx.Response:
        clock[0] += 3600
        if request.method == "PUT":
            raise LOST
        return httpx.Response(200, stream=CutOff())

    client, _ = client_of(kind, *BEGUN, cut_after_an_hour, cut_after_an_hour, ok({}), ok(import_body()))
    with client:
        assert import_one(client).status == "complete"
    client, _ = client_of(kind, cut_after_an_hour, lambda _: httpx.Response(200, content=b"whole"))
    with client:
        client.export(DATASET, tmp_path / "a.csv", format="csv")
    assert (tmp_path / "a.csv").read_bytes() == b"whole"


def test_service_that_hangs_or_moves_nothing_for_a_minute_is_given_up(
    kind: Any, pauses: list[float], clock: list[float]
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        clock[0] += 61
        raise httpx.ReadTimeout("slow") if request.method == "PUT" else LOST

    for answers, count in ([*BEGUN, fail], 3), ([fail], 1):
        client, faulty = client_of(kind, *answers)
        with client, pytest.raises(ServiceUnreachable):
            import_one(client)
        assert len(faulty.requests) == count


def test_caller_who_waits_outlasts_a_restart(kind: Any, pauses: list[float]) -> None:
    begun = [*BEGUN, ok({}), ok(import_body("processing"))]
    client, _ = client_of(kind, *begun, *[REFUSED] * 10, refusal(503), ok(import_body()))
    with client:
        assert import_one(client).status == "complete"
    assert sum(pauses) > 10


@pytest.mark.parametrize("fault", [LOST, refusal(503), refusal(429, Retry_After="20")])
def test_waiting_ends_in_time_while_nothing_is_answered(kind: Any, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the job as it was seen last, if it was; in real time."""
    monkeypatch.setattr(client_calls, "ANSWER_SECONDS", 0.1)
    for seen, told in (([ok(import_body("processing"))], ImportUnfinished), ([], (ApiError, ServiceUnreachable))):
        client, _ = client_of(kind, *seen, fault)
        begun = time.monotonic()
        with client, pytest.raises(told) as caught:
            client.wait_for_import(DATASET, IMPORT, timeout_seconds=0.2)
        assert 0.2 <= time.monotonic() - begun < 10
        assert not seen or caught.value.job.status == "processing"


def test_no_request_of_who_waits_outlasts_the_deadline(kind: Any) -> None:
    client, faulty = client_of(kind, ok(import_body("processing")), ok(import_body("queued")))
    with client, pytest.raises(ImportUnfinished) as caught:
        client.wait_for_import(DATASET, IMPORT, timeout_seconds=0.1)
    assert caught.value.job.status == "queued"
    for request in faulty.requests:
        assert 0 < request.extensions["timeout"]["read"] <= 1.1
        assert 0 < request.extensions["timeout"]["connect"] <= 1.1


def test_refusal_while_waiting_is_told_at_once(kind: Any) -> None:
    client, _ = client_of(kind, ok(import_body("processing")), refusal(404, code=1202))
    with client, pytest.raises(ApiError):
        client.wait_for_import(DATASET, IMPORT, timeout_seconds=60)


def test_cut_upload_is_sent_again_whole_and_409_then_says_it_had_arrived(kind: Any, pauses: list[float]) -> None:
    client, faulty = client_of(kind, *BEGUN, LOST, refusal(409, code=1300), ok(import_body()))
    with client:
        assert import_one(client).status == "complete"
    assert [request.method for request in faulty.requests] == ["GET", "GET", "PUT", "PUT", "GET"]
    assert faulty.bodies[2:4] == [b"age\n1\n"] * 2


@pytest.mark.parametrize("before", [[], [REFUSED], [refusal(429)]])
def test_409_to_an_upload_that_never_arrived_before_is_an_error(kind: Any, pauses: list[float], before: Any) -> None:
    client, _ = client_of(kind, *BEGUN, *before, refusal(409, code=1300))
    with client, pytest.raises(ApiError) as caught:
        import_one(client)
    assert (caught.value.status, caught.value.error_code) == (409, 1300)


def test_deletion_whose_answer_was_lost_is_done_when_nothing_is_there(kind: Any, pauses: list[float]) -> None:
    client, _ = client_of(kind, LOST, refusal(404, code=1201))
    with client:
        client.delete_dataset(DATASET)
    client, _ = client_of(kind, REFUSED, refusal(404, code=1201))
    with client, pytest.raises(ApiError):
        client.delete_dataset(DATASET)


def test_schema_whose_answer_was_lost_may_have_cost_values(kind: Any, pauses: list[float]) -> None:
    with_records = ok(dataset_body() | {"total_datapoint_count": 3})
    for answer in (with_records, refusal(409, code=1305)):
        for fault in (LOST, refusal(503)):
            client, _ = client_of(kind, fault, answer)
            with client, pytest.raises(MigrationUnknown, match="lost values under it is not known") as caught:
                client.set_schema(DATASET, {"fields": {}})
            assert caught.value.dataset_id == DATASET


def test_schema_is_set_without_a_doubt_where_none_is(kind: Any, pauses: list[float]) -> None:
    with_records = dataset_body() | {"total_datapoint_count": 3}
    named = with_records | {"migration_job_id": str(IMPORT)}
    for answers in ([with_records], [REFUSED, with_records], [refusal(429), with_records], [LOST, named]):
        client, _ = client_of(kind, *[ok(answer) if isinstance(answer, dict) else answer for answer in answers])
        with client:
            assert client.set_schema(DATASET, {"fields": {}}).total_datapoint_count == 3
    client, _ = client_of(kind, LOST, ok(dataset_body()))
    with client:
        assert client.set_schema(DATASET, {"fields": {}}).migration_job_id is None
    client, _ = client_of(kind, refusal(409, code=1305))
    with client, pytest.raises(ApiError):
        client.set_schema(DATASET, {"fields": {}})


def test_file_that_changes_after_an_attempt_came_through_is_imported_as_it_was(
    kind: Any, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter([(6, 1), (6, 1), (6, 2)])
    monkeypatch.setattr("assay.client_sources._state_of", lambda file: next(states))
    client, faulty = client_of(kind, *BEGUN, LOST, refusal(409, code=1301), ok(import_body()))
    with client:
        assert import_one(client).status == "complete"
    assert faulty.paths()[3].endswith("/cancel")


def test_download_that_is_cut_off_begins_again(kind: Any, pauses: list[float], tmp_path: Any) -> None:
    def whole(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"whole")

    client, _ = client_of(kind, lambda _: httpx.Response(200, stream=CutOff()), refusal(503), whole)
    with client:
        client.download_rejected(DATASET, IMPORT, tmp_path / "rejected.csv")
    assert (tmp_path / "rejected.csv").read_bytes() == b"whole"
    client, _ = client_of(kind, lambda _: httpx.Response(200, stream=CutOff()))
    with client, pytest.raises(ServiceUnreachable, match="without sending complete"):
        client.download_rejected(DATASET, IMPORT, tmp_path / "cut.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["rejected.csv"]


@pytest.mark.parametrize(
    ("fault", "was_reached", "told"),
    [
        (REFUSED, False, r"^No answer from http://assay\.test: .*refused\. Is the service running there\?$"),
        (LOST, True, r"^The connection to http://assay\.test was cut before .*: connection reset\.$"),
        (httpx.ReadTimeout("slow"), True, r"^No answer from http://assay\.test in time: slow\."),
    ],
)
def test_what_is_told_of_no_answer_is_true(
    kind: Any, pauses: list[float], fault: Exception, was_reached: bool, told: str
) -> None:
    client, _ = client_of(kind, fault)
    with client, pytest.raises(ServiceUnreachable, match=told) as caught:
        client.dataset(DATASET)
    assert caught.value.was_reached is was_reached


def test_service_that_comes_up_meanwhile_is_reached(kind: Any) -> None:
    """Really: nothing listens on the port at first."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))

        def answer_once() -> None:
            time.sleep(0.3)
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                page = b'{"results": [], "next_cursor": null}'
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % len(page) + page)

        thread = threading.Thread(target=answer_once)
        thread.start()
        with kind("http://{}:{}".format(*listener.getsockname()), "assay_secret") as client:
            assert list(client.datasets()) == []
        thread.join(10)


def test_script_sees_nothing_of_retries_unless_it_asks() -> None:
    script = """
import logging, assay, assay.client_retries, sys
assay.client_retries.MOST_SECONDS = 0.3
if sys.argv[1:]: logging.basicConfig(level=logging.INFO)
try:
    assay.Client("http://127.0.0.1:1", "assay_secret").dataset("a")
except assay.ServiceUnreachable as error:
    print(error)
"""
    for words in [], ["loud"]:
        command = [sys.executable, "-W", "error", "-c", script, *words]
        ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
        assert ran.stdout.startswith("No answer from http://127.0.0.1:1: ")
        assert ("trying again in" in ran.stderr) == bool(words)
        assert bool(ran.stderr) == bool(words)


def test_client_is_closed_at_the_end_of_its_block() -> None:
    client = Client("http://assay.test", "assay_secret", transport=Faulty(ok({"status": "READY"})))
    with client:
        assert client.dataset_status(DATASET) == "READY"
    with pytest.raises(RuntimeError, match="closed"):
        client.dataset_status(DATASET)
