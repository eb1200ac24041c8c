"""A relay before a real server that cuts connections as a test says: in mid-upload, or before the answer to one."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BLOCK = 65536
HOST = "127.0.0.1"


class Relay:
    """Carries bytes both ways. The first upload is cut: after `let_through` bytes, or once it has all arrived."""

    def __init__(self, port: int, *, let_through: int | None) -> None:
        self._port = port
        self._let_through = let_through
        self.cuts = 0
        self._listener = socket.create_server((HOST, 0))
        self.address = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):  # of a listener that is closed
            while True:
                near = self._listener.accept()[0]
                self._threads.append(threading.Thread(target=self._carry, args=(near,)))
                self._threads[-1].start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection((HOST, self._port)) as far, suppress(OSError):
            answers = threading.Thread(target=self._carry_back, args=(far, near))
            answers.start()
            carried = 0
            while data := near.recv(BLOCK):
                if data.startswith(b"PUT ") and self.cuts == 0:
                    carried = 1
                carried += len(data) if carried else 0
                if self._let_through is not None and carried > self._let_through and self.cuts == 0:
                    self.cuts += 1
                    break
                far.sendall(data)
            for end in (far, near):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            answers.join(30)

    def _carry_back(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(BLOCK):
                if self._let_through is None and self.cuts == 0 and b'"size_bytes"' in data:
                    self.cuts += 1
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)


@contextmanager
def cutting(address: str, *, let_through: int | None) -> Iterator[Relay]:
    relay = Relay(int(address.rsplit(":", 1)[1]), let_through=let_through)
    try:
        yield relay
    finally:
        relay.close()
