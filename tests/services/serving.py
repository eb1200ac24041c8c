"""`assay serve` as a process of its own, on a free port, with what a test wants to know of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from services.callers import Caller
from services.processes import HOST, Process, assay, ended_at_the_end

READY = re.compile(r"^Assay is ready at (http://\S+)$", re.MULTILINE)
TOKEN = "assay_a-token-that-the-tests-chose-0123456789"


def server(folder: Path, *options: str, name: str = "serve", **environment: str) -> Process:
    """Not started yet. Its data lies in the folder `data`, unless the options say otherwise."""
    words = ["serve", "--port", "0"] if "--port" not in options else ["serve"]
    place = ["--data-dir", str(folder / "data")] if "--data-dir" not in options else []
    process = assay(name, *words, "--workers", "1", *place, *options, folder=folder, environment=environment)
    process.ready = "Assay is ready at"
    return process


def address_of(process: Process) -> str:
    found = READY.search(process.output())
    assert found is not None, process.output()
    return found[1]


@contextmanager
def serving(folder: Path, *options: str, name: str = "serve", **environment: str) -> Iterator[Process]:
    """A server that is ready; it has ended when the block ends."""
    process = server(folder, *options, name=name, **environment)
    with ended_at_the_end(process):
        process.start()
        process.wait_until_ready()
        yield process


@contextmanager
def calling(process: Process, *, token: str = TOKEN) -> Iterator[Caller]:
    """A writer of the workspace `default` at a server that was set up with that token."""
    assert address_of(process).startswith(f"http://{HOST}:")
    with httpx.Client(base_url=address_of(process), timeout=60, trust_env=False) as client:
        yield Caller(client, "default", token)
