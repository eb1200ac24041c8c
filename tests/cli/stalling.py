"""A relay before a real server whose answers stop coming after so many bytes, as on a line that hangs."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"


@contextmanager
def stalling(address: str, *, after_bytes: int) -> Iterator[str]:
    """The relay's address. Connections stay open until the client ends them, or the block does."""
    port = int(address.rsplit(":", 1)[1])
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def carry(source: socket.socket, to: socket.socket, let_through: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                if let_through is None or let_through > 0:
                    to.sendall(data)
                let_through = None if let_through is None else let_through - len(data)
        with suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):  # of a listener that is closed
            while True:
                near = listener.accept()[0]
                far = socket.create_connection((HOST, port))
                ends.extend((near, far))
                for words in ((near, far, None), (far, near, after_bytes)):
                    threads.append(threading.Thread(target=carry, args=words))
                    threads[-1].start()

    listener = socket.create_server((HOST, 0))
    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        for end in (listener, *ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(30)
        for end in (listener, *ends):
            end.close()
