"""Has the fast pass compiled before a file needs it, by a process beside those that check.

To compile takes some 20 seconds of processor time: the first large file after an installation, or in a new container,
would wait for it, and all others behind that one. While somebody is at it, chunks are left to the exact pass, which
takes a quarter of a second for each.
"""

import os
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

_FIELDS = {
    "text": {"type": "text", "minLength": 1, "maxLength": 99, "pattern": "a", "enum": ["a", "ab"]},
    "image": {"type": "image_url"},
    "audio": {"type": "audio_url"},
    "group": {"type": "task_group_id"},
    "day": {"type": "date"},
    "moment": {"type": "datetime"},
    "whole": {"type": "integer", "minimum": 0},
    "number": {"type": "number", "maximum": 9},
    "flag": {"type": "boolean"},
    "any": {"type": "json"},
}
_TEXTS = (b"http://a/b.png", b"http://a/b.mp3", b"g", b"2026-01-02", b"2026-01-02T03:04:05Z")
_JSONL = b'{"text": "\\u0061", "image": "%s", "audio": "%s", "group": "%s", "day": "%s", "moment": "%s", ' % _TEXTS
_RECORDS = {
    "jsonl": _JSONL + b'"whole": 1, "number": 1.5, "flag": true, "any": [{"a": "b"}]}\n',
    "csv": b'"a",%s,%s,%s,%s,%s,1,1.5,true,"[1, ""b""]"\n' % _TEXTS,
}
_REPEATS = 1000  # enough for the fast pass to be asked


@cache
def compiled_folder() -> Path:
    """Where numba keeps what is compiled of the fast pass, if that can be written.

    What it keeps of a function has the code of those that it calls, from other modules too, and it looks at the
    function's own module alone to see whether that is still true. So what has other sources lies elsewhere.
    """
    here = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(here.glob("fast_*.py")))
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or here / "__pycache__")
    return folder / f"compiled-{sha256(sources).hexdigest()[:16]}"


def begin() -> BinaryIO | None:
    """The lock to hold while the fast pass is compiled. None where that is done or under way, or nothing of it can be
    kept: then each process compiles for itself."""
    if _done().exists():
        return None
    try:
        compiled_folder().mkdir(parents=True, exist_ok=True)
        lock = _lock().open("ab")
    except OSError:
        return None
    if _try_lock(lock, exclusive=True):
        return lock
    lock.close()
    return None


def is_under_way() -> bool:
    try:
        with _lock().open("rb") as lock:
            return not _try_lock(lock, exclusive=False)
    except OSError:  # nobody ever began
        return False


def _try_lock(file: BinaryIO, *, exclusive: bool) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows: nobody ever waits there
        return not exclusive
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def rehearse() -> None:
    """Check a small file of each format, with a field of each kind that is recognised in a way of its own."""
    from assay.kernel.chunks import FAST_PASS, ChunkTask, check_chunk, plan_chunks
    from assay.kernel.formats import FORMATS
    from assay.schema import parse_schema

    import_module(FAST_PASS)
    schema = parse_schema({"fields": _FIELDS})
    for format, record in _RECORDS.items():
        header = ",".join(_FIELDS).encode() + b"\n" if FORMATS[format].has_header else b""
        data = header + record * _REPEATS

        def read(offset: int, length: int, data: bytes = data) -> bytes:
            return data[offset : offset + length]

        for chunk in plan_chunks(read, size_bytes=len(data), format=format, schema=schema):
            check_chunk(read(chunk.offset, chunk.length), ChunkTask(chunk, format, schema, UUID(int=0)))
    with suppress(OSError):  # as on a disk that is full: it is tried again at the next start
        _done().touch()


def _lock() -> Path:
    return compiled_folder() / "under-way"


def _done() -> Path:
    from importlib.metadata import version

    return compiled_folder() / f"all-by-numba-{version('numba')}"
