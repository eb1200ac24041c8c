"""What only a real connection can do to the service: break off, dawdle, send odd bytes."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.callers import AGES, API, Caller, ages_csv, wait_until
from services.processes import Process
from services.serving import TOKEN, address_of, calling, serving
from web.public_shapes import ERROR, assert_shape

WHOLE = ages_csv(1, 2, 3)
BIG = ages_csv(*range(1, 400_000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("connections")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Process]:
    with serving(folder, "--max-upload-bytes", "100000000", ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        yield process


@pytest.fixture
def caller(running: Process) -> Iterator[Caller]:
    with calling(running) as caller:
        yield caller


@pytest.fixture
def connection(running: Process) -> Iterator[socket.socket]:
    address = urlsplit(address_of(running))
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as connection:
        yield connection


def put_head(url: str, *headers: str) -> bytes:
    parts = urlsplit(url)
    lines = [f"PUT {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: text/csv", *headers, "", ""]
    return "\r\n".join(lines).encode()


def unfinished(folder: Path) -> list[Path]:
    return list((folder / "data" / "storage" / "tmp").iterdir())


def answer_of(connection: socket.socket) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


@pytest.mark.parametrize("way", ["announced", "chunked"])
def test_connection_cut_in_mid_upload_leaves_nothing_and_the_same_url_works_again(
    caller: Caller, connection: socket.socket, folder: Path, way: str
) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    offer = caller.ask_for_url(dataset_id)
    if way == "announced":
        connection.sendall(put_head(offer["upload_url"], f"Content-Length: {len(BIG)}") + BIG[: len(BIG) // 2])
    else:
        half = BIG[: len(BIG) // 2]
        connection.sendall(put_head(offer["upload_url"], "Transfer-Encoding: chunked"))
        connection.sendall(b"%x\r\n%b\r\n" % (len(half), half))
    wait_until(lambda: any(path.stat().st_size for path in unfinished(folder)), what="a part of it is on the disk")
    connection.close()
    wait_until(lambda: not unfinished(folder), what="what had come of it is gone")
    assert caller.job(dataset_id, offer["import_id"])["status"] == "uninitialised"
    assert not list((folder / "data" / "storage").rglob(f"*{offer['import_id']}*"))
    assert caller.put(offer, WHOLE).status_code == 200
    job = caller.settled(dataset_id, offer["import_id"])
    assert (job["status"], job["accepted_count"]) == ("complete", 3)


def test_connection_that_is_reset_is_as_one_that_is_closed(
    caller: Caller, connection: socket.socket, folder: Path
) -> None:
    offer = caller.ask_for_url(caller.make_dataset(schema=AGES))
    connection.sendall(put_head(offer["upload_url"], f"Content-Length: {len(BIG)}") + BIG[: len(BIG) // 2])
    wait_until(lambda: any(path.stat().st_size for path in unfinished(folder)), what="a part of it is on the disk")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    wait_until(lambda: not unfinished(folder), what="what had come of it is gone")
    assert caller.put(offer, WHOLE).status_code == 200


def test_slow_upload_is_taken_and_holds_nobody_up(caller: Caller, connection: socket.socket) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    offer = caller.ask_for_url(dataset_id)
    connection.sendall(put_head(offer["upload_url"], f"Content-Length: {len(WHOLE)}"))
    for byte in WHOLE:
        connection.sendall(bytes([byte]))
        assert caller.client.get("/healthz").status_code == 200
    assert answer_of(connection).status == 200
    assert caller.settled(dataset_id, offer["import_id"])["status"] == "complete"


def test_upload_over_the_limit_is_refused_before_its_body(caller: Caller, connection: socket.socket) -> None:
    offer = caller.ask_for_url(caller.make_dataset(schema=AGES))
    connection.sendall(put_head(offer["upload_url"], "Content-Length: 100000001"))
    assert answer_of(connection).status == 413


def test_client_that_asks_to_continue_is_told_to(caller: Caller, connection: socket.socket) -> None:
    """As curl does before a large body."""
    offer = caller.ask_for_url(caller.make_dataset(schema=AGES))
    connection.sendall(put_head(offer["upload_url"], f"Content-Length: {len(WHOLE)}", "Expect: 100-continue"))
    assert connection.recv(100).startswith(b"HTTP/1.1 100")
    connection.sendall(WHOLE)
    assert answer_of(connection).status == 200


def test_many_uploads_at_once_all_arrive(caller: Caller, running: Process) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    offers = [caller.ask_for_url(dataset_id) for _ in range(8)]
    data = ages_csv(*range(1, 50_000))

    def put(offer: dict[str, str]) -> None:
        with calling(running) as own:
            assert own.put(offer, data).status_code == 200

    threads = [threading.Thread(target=put, args=(offer,)) for offer in offers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    jobs = [caller.settled(dataset_id, offer["import_id"]) for offer in offers]
    assert {job["status"] for job in jobs} == {"complete"}
    assert sum(job["written_count"] for job in jobs) == 49_999


@pytest.mark.parametrize(
    "request_line",
    [b"GET / HTTP/9.9", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\xff\xfe HTTP/1.1", b"NONSENSE"],
)
def test_bytes_that_are_no_request_do_no_harm(caller: Caller, connection: socket.socket, request_line: bytes) -> None:
    connection.sendall(request_line + b"\r\nHost: x\r\n\r\n")
    first = connection.recv(1000)
    assert first == b"" or first.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
    assert caller.client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/../../etc/passwd.csv", "/a/../../../x.csv", "/./a.csv", "//a.csv"])
def test_dots_in_a_path_lead_nowhere(caller: Caller, connection: socket.socket, folder: Path, path: str) -> None:
    """Sent as they are, which no well-behaved client does."""
    dataset_id = caller.make_dataset(schema=AGES)
    target = f"{API}/datasets/{dataset_id}/upload-url{path}"
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {TOKEN}\r\n\r\n".encode())
    answer = answer_of(connection)
    assert answer.status in (201, 404)
    (job,) = caller.read(f"/datasets/{dataset_id}/imports")["results"] or [{"filename": None}]
    assert (job["filename"] == path.removeprefix("/")) == (answer.status == 201)


def test_faults_on_a_real_connection_have_the_envelope_too(caller: Caller) -> None:
    for method, path in (("GET", "/nowhere"), ("DELETE", "/healthz"), ("PUT", "/uploads/x")):
        answer = caller.client.request(method, path)
        assert answer.status_code >= 400
        assert_shape(answer.json(), ERROR)
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz?cursor=\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"what is this\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request_get_the_envelope(connection: socket.socket, caller: Caller, sent: bytes) -> None:
    connection.sendall(sent)
    answer = answer_of(connection)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
    assert_shape(json.loads(answer.read()), ERROR)
    assert connection.recv(1) == b""
    assert caller.client.get("/healthz").status_code == 200
