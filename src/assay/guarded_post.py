"""Posts to URLs that strangers chose, so that no such URL reaches what is not on the public Internet.

The host is resolved here, every address of it is checked, and the connection goes to the very address that was
checked: a name that means another address a moment later gains nothing. Redirects are answers like any other, the
environment's proxies are not asked, and neither time nor size of an answer is left to the other side.
"""

import http.client
import io
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from assay.errors import ErrorCode, Invalid

ANSWER_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_URL_CHARACTERS = 2048
# What is not public and is not known as such to every release of Python: of protocols and of old kinds; 168.63.129.16,
# at which a cloud keeps what only its own machines may ask; and IPv6 addresses that carry an IPv4 one, since who
# unpacks them may have other routes than we.
NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"),
        *("fec0::/10", "3fff::/20", "5f00::/16", "100::/64"),
        *("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"),
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PostFailed(Exception):
    """There was no answer. The text says why, in words fit for whoever set the URL up."""


@dataclass(frozen=True)
class Target:
    """A URL that may be posted to, as far as can be said without asking for its host's addresses."""

    url: SplitResult
    host: str
    port: int
    private_networks: bool


def parse_target(url: str, *, private_networks: bool) -> Target:
    """Raises `Invalid` that says what is wrong with the URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _invalid(f"The URL can't be read: {error}.") from error
    schemes = ("https", "http") if private_networks else ("https",)
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or any(letter <= " " or letter == "\x7f" for letter in url):
        raise _invalid(f"The URL must be of at most {MAX_URL_CHARACTERS:,} ASCII characters, without spaces.")
    if parts.scheme not in schemes or not host:
        raise _invalid(f"The URL must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and name a host.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _invalid("The URL must have no user name, no password and no fragment.")
    target = Target(
        url=parts, host=host, port=port or (443 if parts.scheme == "https" else 80), private_networks=private_networks
    )
    if (literal := _literal(host)) is not None and not _may_reach(target, literal):
        raise _invalid("The URL must lead to a public address, not into a private network.")
    return target


def post(target: Target, body: bytes, headers: dict[str, str], *, seconds: float = ANSWER_SECONDS) -> int:
    """The status of the answer. Raises `PostFailed` when there is none, or when the host's address is refused."""
    deadline = time.monotonic() + seconds
    family, address = _checked_address(target)
    try:
        with (
            socket.socket(family, socket.SOCK_STREAM) as plain,
            _connect(plain, target, address, deadline) as connected,
        ):
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.sock = _Bounded(connected, deadline)
            path = (target.url.path or "/") + (f"?{target.url.query}" if target.url.query else "")
            connection.request("POST", path, body=body, headers={**headers, "Host": target.url.netloc})
            return connection.getresponse().status
    except TimeoutError as error:
        raise PostFailed(f"no answer within {seconds:g} s") from error
    except ssl.SSLError as error:
        raise PostFailed(f"no secure connection: {error.reason or 'TLS failed'}") from error
    except OSError as error:
        raise PostFailed(f"no connection: {error.strerror or type(error).__name__}") from error
    except http.client.HTTPException as error:
        raise PostFailed(f"no HTTP answer: {type(error).__name__}") from error


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, for one host, and no other address in disguise."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and not any(address in network for network in NOT_PUBLIC)
    )


def _checked_address(target: Target) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """The host's first address, when all of them may be reached."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PostFailed("the host has no address") from error
    for *_, place in found:
        if not _may_reach(target, ipaddress.ip_address(place[0])):
            raise PostFailed("the host's address is not a public one")
    family, *_, place = found[0]
    return family, place


def _may_reach(target: Target, address: Address) -> bool:
    return target.private_networks or is_public(address)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _connect(plain: socket.socket, target: Target, address: tuple[Any, ...], deadline: float) -> socket.socket:
    """The socket, connected to an address that needs no resolving, and secured if the URL says so."""
    plain.settimeout(_left(deadline))
    plain.connect(address)
    if target.url.scheme == "http":
        return plain
    plain.settimeout(_left(deadline))
    return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)


class _Bounded:
    """A connection as `http.client` uses one; every wait on it ends at the deadline, and so does a long answer."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected = connected
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._connected.settimeout(_left(self._deadline))
        self._connected.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Answer(self._connected, self._deadline))

    def close(self) -> None:
        """Whoever opened the connection closes it."""


class _Answer(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected = connected
        self._deadline = deadline
        self._left_bytes = MAX_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # narrower than a Buffer
        self._connected.settimeout(_left(self._deadline))
        count = self._connected.recv_into(memoryview(buffer)[: self._left_bytes])
        self._left_bytes -= count
        return count


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _invalid(message: str) -> Invalid:
    return Invalid(message, code=ErrorCode.INVALID_WEBHOOK)
