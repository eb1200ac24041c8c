"""A file appears under its name once it is whole; what is no regular file is written where it is."""

import os
from pathlib import Path

import pytest

from assay.whole_files import written_whole


class Broken(Exception):
    """What happens in the midst of the writing."""


@pytest.fixture(params=["a file", "a link", "a link to a link"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Different names of the same file, which has something in it."""
    (tmp_path / "real.csv").write_bytes(b"before")
    (tmp_path / "link.csv").symlink_to("real.csv")
    (tmp_path / "further.csv").symlink_to(tmp_path / "link.csv")
    return tmp_path / {"a file": "real.csv", "a link": "link.csv"}.get(request.param, "further.csv")


def write_half(path: Path) -> None:
    with written_whole(path) as file:
        file.write(b"half")
        raise Broken


def listed(folder: Path) -> list[tuple[str, bool]]:
    return sorted((path.name, path.is_symlink()) for path in folder.iterdir())


def test_file_is_replaced_once_it_is_whole(path: Path) -> None:
    before = listed(path.parent)
    with written_whole(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert (path.parent / "real.csv").read_bytes() == b"after"
    assert listed(path.parent) == before


def test_failure_leaves_what_was_there(path: Path) -> None:
    before = listed(path.parent)
    with pytest.raises(Broken):
        write_half(path)
    assert (path.parent / "real.csv").read_bytes() == b"before"
    assert listed(path.parent) == before


def test_link_to_no_file_yet_makes_one(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("real.csv")
    with pytest.raises(Broken):
        write_half(tmp_path / "link.csv")
    assert listed(tmp_path) == [("link.csv", True)]
    with written_whole(tmp_path / "link.csv") as file:
        file.write(b"after")
    assert listed(tmp_path) == [("link.csv", True), ("real.csv", False)]
    assert (tmp_path / "real.csv").read_bytes() == b"after"


def test_link_in_a_circle_is_told_by_its_name(tmp_path: Path) -> None:
    circle = tmp_path / "circle.csv"
    circle.symlink_to("circle.csv")
    with pytest.raises(OSError, match="circle") as caught, written_whole(circle):
        pass
    assert caught.value.filename == str(circle)
    assert circle.is_symlink()


def test_name_that_is_too_long_is_told_as_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    with pytest.raises(OSError, match="too long") as caught, written_whole(path):
        pass
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("is_linked", [False, True])
def test_pipe_is_written_in_place(tmp_path: Path, is_linked: bool) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with written_whole(link if is_linked else pipe) as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert listed(tmp_path) == [("link", True), ("pipe", False)]


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no /dev/fd on this system")
def test_file_that_has_no_name_any_more_is_written_in_place(tmp_path: Path) -> None:
    with (tmp_path / "gone").open("w+b") as opened:
        (tmp_path / "gone").unlink()
        with written_whole(Path(f"/dev/fd/{opened.fileno()}")) as file:
            file.write(b"here")
        assert opened.read() == b"here"
    assert listed(tmp_path) == []
