"""Files that stand under their names only once they are complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which appears under its name at the end of the block, and not if that fails."""
    target = Path(os.path.realpath(path))  # a link stays, and what it leads to is replaced
    if target.is_symlink() or (path.exists() and not target.is_file()):
        # Such as /dev/stdout, or a file without a name that an open descriptor stands for: not ours to replace.
        with path.open("wb") as file:
            yield file
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            yield file
        beside.replace(target)
    except OSError as error:
        if error.filename == str(beside):  # the caller knows the file by its own name
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # mostly it is not there; what went wrong before is to be told
            beside.unlink()
