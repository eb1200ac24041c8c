"""`assay export` while it goes on: its bar on a terminal, its silence in a pipe, and Ctrl-C in the midst of it."""

from pathlib import Path
from uuid import uuid4

import pytest

from assay import Client
from cli.commands import on_terminal, run
from cli.stalling import stalling
from services.callers import AGES, ages_csv, wait_until

RECORDS = 20_000


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The dataset, by the server that it is in."""
    return {}


@pytest.fixture
def dataset_id(made: dict[str, str], client: Client, service: dict[str, str], tmp_path: Path) -> str:
    if service["ASSAY_URL"] not in made:
        path = tmp_path / "long.csv"
        path.write_bytes(ages_csv(*range(1, RECORDS + 1)))
        dataset = client.create_dataset(f"exported {uuid4()}", schema=AGES)
        assert client.import_file(dataset.id, path).accepted_count == RECORDS
        path.unlink()
        made[service["ASSAY_URL"]] = str(dataset.id)
    return made[service["ASSAY_URL"]]


def test_bar_is_shown_on_a_terminal_and_is_gone_at_the_end(
    service: dict[str, str], dataset_id: str, tmp_path: Path
) -> None:
    with on_terminal("export", dataset_id, "-o", tmp_path / "out.csv", **service) as terminal:
        assert terminal.end() == 0
    assert "out.csv: downloading" in terminal.plain
    assert "━" in terminal.plain
    last = " ".join(terminal.plain.splitlines()[-1].split())
    assert last.endswith(f"out.csv ({(tmp_path / 'out.csv').stat().st_size:,} bytes)")
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == RECORDS + 1


def test_pipe_gets_no_bar(service: dict[str, str], dataset_id: str, tmp_path: Path) -> None:
    ran = run("export", dataset_id, "-o", tmp_path / "out.jsonl", **service)
    size = (tmp_path / "out.jsonl").stat().st_size
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", f"{tmp_path}/out.jsonl ({size:,} bytes)\n")


def test_records_on_a_terminal_are_not_mixed_with_a_bar(service: dict[str, str], dataset_id: str) -> None:
    with on_terminal("export", dataset_id, "-o", "-", "--format", "csv", **service) as terminal:
        assert terminal.end() == 0
    assert "downloading" not in terminal.text
    assert "\x1b" not in terminal.text


@pytest.mark.parametrize("before", [None, b"what was there before"])
def test_ctrl_c_leaves_no_part_of_a_file(
    service: dict[str, str], dataset_id: str, tmp_path: Path, before: bytes | None
) -> None:
    path = tmp_path / "out.jsonl"
    if before is not None:
        path.write_bytes(before)
    with stalling(service["ASSAY_URL"], after_bytes=100_000) as address:
        words = ["export", dataset_id, "-o", path]
        with on_terminal(*words, **service | {"ASSAY_URL": address}) as terminal:
            terminal.wait_for(lambda text: "out.jsonl: downloading" in text, what="the bar")
            partial = f".out.jsonl.{terminal.popen.pid}.part"
            wait_until(lambda: (tmp_path / partial).exists() and (tmp_path / partial).stat().st_size, what="a part")
            terminal.press_ctrl_c()
            assert terminal.end() == 130
    assert list(tmp_path.iterdir()) == ([] if before is None else [path])
    assert before is None or path.read_bytes() == before
    assert "assay: Interrupted." in terminal.plain
    assert "Traceback" not in terminal.text
