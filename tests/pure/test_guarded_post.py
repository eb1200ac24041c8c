"""No URL that a stranger chose leads into a private network, and none keeps its sender waiting."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from assay import guarded_post
from assay.errors import ErrorCode, Invalid
from assay.guarded_post import PostFailed, is_public, parse_target, post
from services.receiving import receiving

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001::1", "fec0::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_taken(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [address for address in PRIVATE if "%" not in address])
def test_url_with_an_address_that_is_not_public_is_refused_at_once(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Invalid) as refused:
        parse_target(f"https://{host}/hook", private_networks=False)
    assert refused.value.code is ErrorCode.INVALID_WEBHOOK


@pytest.mark.parametrize(
    "url",
    [
        "", "hook", "/hook", "https://", "https:///hook", "http://example.com/", "ftp://example.com/",
        "https://user@example.com/", "https://user:pass@example.com/", "https://example.com/#part",
        "https://example.com:99999/", "https://example.com:x/", "https://[::1", "https://exa mple.com/",
        "https://example.com/\r\nHost: other", "https://exämple.com/", "https://example.com/" + "a" * 3000,
        "javascript:alert(1)", "file:///etc/passwd", "https://\x00/",
    ],
)  # fmt: skip
def test_url_that_is_none_to_send_to_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_target(url, private_networks=False)
    assert refused.value.code is ErrorCode.INVALID_WEBHOOK


def resolving(*addresses: str) -> Callable[..., Any]:
    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localtest"])
def test_name_of_a_private_address_is_refused_when_it_is_resolved(host: str) -> None:
    with pytest.raises(PostFailed):
        post(parse_target(f"https://{host}:1/", private_networks=False), b"{}", {})


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving("93.184.216.34", "10.0.0.1"))
    with pytest.raises(PostFailed, match="not a public one"):
        post(parse_target("https://mixed.example/", private_networks=False), b"{}", {})


def test_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is resolved a second time, to another address, would get round the check."""
    asked: list[str] = []
    connected: list[Any] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(_: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(PostFailed, match="Connection refused"):
        post(parse_target("https://rebinding.example/", private_networks=False), b"{}", {})
    assert asked == ["rebinding.example"]
    assert connected == [("93.184.216.34", 443)]


def test_post_arrives_whole_with_the_name_of_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving("127.0.0.1"))
    with receiving() as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        target = parse_target(f"http://named.example:{port}/a/b?c=d", private_networks=True)
        assert post(target, b'{"a": 1}', {"X-One": "1"}) == 204
    (received,) = receiver.received
    assert (received.path, received.body) == ("/a/b?c=d", b'{"a": 1}')
    assert received.headers["host"] == f"named.example:{port}"
    assert received.headers["x-one"] == "1"
    assert received.headers["content-length"] == "8"


def test_redirect_is_an_answer_and_is_not_followed() -> None:
    with receiving() as receiver:
        receiver.answer = lambda _: (307, {"Location": receiver.url})
        assert post(parse_target(receiver.url, private_networks=True), b"{}", {}) == 307
    assert len(receiver.received) == 1


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with receiving() as receiver:
        assert post(parse_target(receiver.url, private_networks=True), b"{}", {}) == 204


@contextmanager
def answering(*blocks: bytes, pause: float = 0.0, forever: bool = False) -> Iterator[str]:
    """A server that sends these bytes to whoever connects, slowly, perhaps without end."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                while True:
                    for block in blocks:
                        connection.sendall(block)
                        is_over.wait(pause)
                    if not forever or is_over.is_set():
                        break
                if not blocks:
                    is_over.wait(10)
            except OSError:
                return

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        is_over.set()
        thread.join(10)
        listener.close()


def assert_no_answer(url: str, *, within: float) -> str:
    started = time.monotonic()
    with pytest.raises(PostFailed) as failed:
        post(parse_target(url, private_networks=True), b"{}", {}, seconds=1.0)
    assert time.monotonic() - started < within
    return str(failed.value)


def test_answer_that_does_not_come_is_not_waited_for() -> None:
    with answering() as url:
        assert assert_no_answer(url, within=3) == "no answer within 1 s"


def test_answer_that_drips_is_not_waited_for() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n"] * 50, pause=0.1) as url:
        assert assert_no_answer(url, within=3) == "no answer within 1 s"


@pytest.mark.parametrize(
    "block", [b"x" * 4096, b"HTTP/1.1 200 OK\r\n" + b"a" * 4096, b"a: b\r\n" * 100, b"HTTP/1.1 100 Continue\r\n\r\n"]
)
def test_answer_without_end_is_not_read_to_it(block: bytes) -> None:
    started = time.monotonic()
    with answering(block, forever=True) as url, suppress(PostFailed):
        post(parse_target(url, private_networks=True), b"{}", {}, seconds=1.0)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("block", [b"", b"\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100])
def test_what_is_no_http_is_no_answer(block: bytes) -> None:
    with answering(block) as url:
        assert_no_answer(url, within=3)


def test_body_of_an_answer_is_not_read() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b"x" * 4096, pause=0.05) as url:
        started = time.monotonic()
        assert post(parse_target(url, private_networks=True), b"{}", {}) == 200
    assert time.monotonic() - started < 3


def test_server_without_a_certificate_that_is_trusted_is_refused() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as url:
        assert_no_answer(url.replace("http:", "https:"), within=3)


def test_nobody_listening_is_no_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert "no connection" in assert_no_answer(f"http://127.0.0.1:{port}/", within=3)


def test_limits_are_short() -> None:
    assert guarded_post.ANSWER_SECONDS <= 10
    assert guarded_post.MAX_ANSWER_BYTES <= 64 * 1024
