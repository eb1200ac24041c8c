"""Files that stand under their names only once they are complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which appears under its name at the end of the block, and not if that fails."""
    if path.is_symlink() or (path.exists() and not path.is_file()):  # such as /dev/stdout: not ours to replace
        with path.open("wb") as file:
            yield file
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            yield file
        beside.replace(path)
    except OSError as error:
        if error.filename == str(beside):  # the caller knows the file by its own name
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)
