"""What a test puts in the place of a chunk's check, to be run in the engine's process: it dies, fails, waits.

A file beside the storage says what has happened, and what may happen: the processes share nothing else.
"""

import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

from assay.chunk_runs import ChunkOutcome, StoredChunk, run_chunk
from assay.errors import ErrorCode, Unavailable

GATE_SECONDS = 30


def beside(chunk: StoredChunk, name: str) -> Path:
    return Path(urlsplit(chunk.storage_url).path).parent / name


def is_first_time(chunk: StoredChunk) -> bool:
    try:
        beside(chunk, "happened").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die_once_in_mid_file(chunk: StoredChunk) -> ChunkOutcome:
    if chunk.task.chunk.index == 3 and is_first_time(chunk):
        os.kill(os.getpid(), signal.SIGKILL)
    return run_chunk(chunk)


def die_on_the_file_of_that_name(chunk: StoredChunk) -> ChunkOutcome:
    if chunk.upload_key.endswith("/deadly.csv"):
        os.kill(os.getpid(), signal.SIGKILL)
    return run_chunk(chunk)


def fail_always(_chunk: StoredChunk) -> ChunkOutcome:
    raise RuntimeError("a bug in the check")


def fail_once(chunk: StoredChunk) -> ChunkOutcome:
    if is_first_time(chunk):
        raise RuntimeError("a bug in the check")
    return run_chunk(chunk)


def be_unavailable_once(chunk: StoredChunk) -> ChunkOutcome:
    if is_first_time(chunk):
        raise Unavailable("The storage is away.", code=ErrorCode.STORAGE_UNAVAILABLE)
    return run_chunk(chunk)


def wait_for_the_gate(chunk: StoredChunk) -> ChunkOutcome:
    """Write everything, then wait, if the file is called so, until the test opens the gate."""
    outcome = run_chunk(chunk)
    if chunk.upload_key.endswith("/gated.csv"):
        beside(chunk, "waiting").touch()
        deadline = time.monotonic() + GATE_SECONDS
        while not beside(chunk, "open").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    return outcome


def hang_once_in_mid_file(chunk: StoredChunk) -> ChunkOutcome:
    if chunk.task.chunk.index == 3 and is_first_time(chunk):
        time.sleep(3600)
    return run_chunk(chunk)


def take_a_while(chunk: StoredChunk) -> ChunkOutcome:
    time.sleep(0.03)
    return run_chunk(chunk)


def be_refused_by_the_storage(chunk: StoredChunk) -> ChunkOutcome:
    raise Unavailable("The storage is read-only.", code=ErrorCode.STORAGE_UNAVAILABLE)
