"""`assay.check`: on every kind of source, in a script without a main guard, in a notebook's way of running code."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

import assay
from services.callers import AGES, ages_csv


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ages.csv"
    path.write_bytes(ages_csv(1, "old", 2))
    return path


@pytest.mark.parametrize(
    "source",
    [
        pa.table({"age": ["1", "2"]}),
        pa.table({"age": [1, -1, 2]}),
        pl.DataFrame({"age": [1, -1, 2]}),
        pd.DataFrame({"age": [1, "old", 2]}),
    ],
)
def test_table_is_checked_like_a_file(source: Any) -> None:
    report = assay.check(source, AGES)
    wanted = 0 if source.shape[0] == 2 else 2
    assert (report.accepted_count, report.record_count) == (wanted, source.shape[0])
    assert report.first_faults[0][1] == "age"


def test_path_text_and_file_are_checked(path: Path) -> None:
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        more = {"filename": "a.csv"} if isinstance(source, io.BytesIO) else {}
        report = assay.check(source, AGES, **more)
        assert (report.accepted_count, report.rejected_count) == (2, 1)
        assert report.first_faults == [(1, "age", "Value must be an integer")]
        assert report.faults_by_reason == {("age", "Value must be an integer"): 1}


def test_given_name_goes_before_the_files_own(path: Path) -> None:
    data = path.rename(path.with_suffix(".txt"))
    assert assay.check(data, AGES, filename="a.csv").accepted_count == 2
    with pytest.raises(assay.FileFault, match="must end with"):
        assay.check(data.rename(path), AGES, filename="a.txt")
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        assay.check(path.with_name("nothing.txt"), AGES, filename="a.csv")


def test_both_sides_are_written(path: Path, tmp_path: Path) -> None:
    assay.check(path, AGES, accepted=tmp_path / "a.parquet", rejected=str(tmp_path / "r.csv"))
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").column("age").to_pylist() == [1, 2]
    assert (tmp_path / "r.csv").read_bytes() == ages_csv("old")


@pytest.mark.parametrize("outputs", [["accepted"], ["rejected"], ["accepted", "rejected"]])
@pytest.mark.parametrize("way", ["path", "path by another name", "file"])
def test_no_output_takes_the_place_of_the_source_or_of_the_other(
    path: Path, tmp_path: Path, way: str, outputs: list[str]
) -> None:
    before = path.read_bytes()
    output = path if len(outputs) == 1 else tmp_path / "other"
    filename = "other.csv" if way == "path by another name" else None
    with path.open("rb") as file:
        source = file if way == "file" else path
        with pytest.raises(ValueError, match="name another file"):
            assay.check(source, AGES, filename=filename, **dict.fromkeys(outputs, str(output)))
    assert path.read_bytes() == before
    assert not (tmp_path / "other").exists()


def test_what_can_not_be_checked_is_told(path: Path) -> None:
    with pytest.raises(assay.InvalidFields, match="whole") as told:
        assay.check(path, {"fields": {"age": {"type": "whole"}}})
    assert list(told.value.faults) == ["schema.fields.age.type"]
    with pytest.raises(assay.FileFault, match="must end with"):
        assay.check(path.with_suffix(".txt"), AGES)
    with pytest.raises(FileNotFoundError):
        assay.check(path.with_name("nothing.csv"), AGES)
    with pytest.raises(TypeError, match="Can't import a list"):
        assay.check([1], AGES)


SCRIPT = """
import assay
print(assay.check({path!r}, {schema!r}).accepted_count)
import pandas
print(assay.check(pandas.DataFrame({{"age": [1, 2, 3]}}), {schema!r}).accepted_count)
"""


@pytest.mark.parametrize("way", ["script", "notebook"])
def test_it_works_without_a_main_guard(path: Path, tmp_path: Path, way: str) -> None:
    text = SCRIPT.format(path=str(path), schema=AGES)
    if way == "notebook":
        text = f"cell = {text!r}\nexec(compile(cell, '<cell>', 'exec'), {{'__name__': '__main__'}})\n"
    script = tmp_path / "run_me.py"
    script.write_text(text)
    command = [sys.executable, "-W", "error", str(script)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("2\n3\n", "")


def test_import_of_the_package_is_quick() -> None:
    """The best of a few attempts: a busy machine proves nothing. What it loads is held to elsewhere."""
    code = "import time; start = time.perf_counter(); import assay; print(time.perf_counter() - start)"
    attempts = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(5)]
    assert min(float(ran.stdout) for ran in attempts) < 0.2


def test_names_of_the_package_are_all_there() -> None:
    for name in assay.__all__:
        assert getattr(assay, name) is not None
        assert name in dir(assay)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = assay.nothing
