"""Parquet as other engines read it, dictionaries only where they pay, and arrays as pyarrow itself would build them."""

import random
import subprocess
import sys
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.kernel.arrays import bool_array, int64_array, value_array
from assay.kernel.columns import Accepted, merged
from assay.kernel.write import parquet_bytes, repeating_columns, without_rows

VALUES = {
    pa.string(): ["", "é", "a\0b", "x" * 50],
    pa.int64(): [-(2**63), 2**63 - 1, 0],
    pa.float64(): [-0.0, 1.5, 5e-324],
    pa.bool_(): [True, False],
    pa.date32(): [date.min, date.max, date(1970, 1, 1)],
    pa.timestamp("us", tz="UTC"): [-62135596800000000, 253402300799999999],
}


@pytest.mark.parametrize("arrow_type", VALUES, ids=str)
@pytest.mark.parametrize("share_absent", [0, 0.3, 1])
def test_array_is_what_pyarrow_builds(arrow_type, share_absent):
    rng = random.Random(1)
    for count in [*range(20), 1000]:
        values = [None if rng.random() < share_absent else rng.choice(VALUES[arrow_type]) for _ in range(count)]
        array = value_array(values, arrow_type)
        array.validate(full=True)
        assert array.equals(pa.array(values, arrow_type))
        assert array.null_count == values.count(None)


def test_numpy_arrays_are_taken_as_they_are():
    assert int64_array(np.arange(10)[::2]).to_pylist() == [0, 2, 4, 6, 8]
    assert bool_array(np.arange(10) > 7).to_pylist() == [False] * 8 + [True] * 2


def test_parts_judged_apart_come_together_in_record_order():
    one = Accepted(np.array([0, 3, 4]), [pa.array(["a", "d", None]), pa.array([0, 3, 4])])
    other = Accepted(np.array([1, 6]), [pa.array(["b", "g"]), pa.array([1, 6])])
    nothing = Accepted(np.array([], np.int64), [pa.array([], pa.string()), pa.array([], pa.int64())])
    whole = merged([nothing, one, other])
    assert whole.rows.tolist() == [0, 1, 3, 4, 6]
    assert [column.to_pylist() for column in whole.columns] == [["a", "b", "d", None, "g"], [0, 1, 3, 4, 6]]
    assert merged([nothing, one]) is one
    assert merged([nothing]) is nothing


def test_only_texts_that_repeat_get_a_dictionary():
    table = pa.table(
        {"kind": ["cat", "dog"] * 3000, "text": [str(n) for n in range(6000)], "n": [1] * 6000, "none": [None] * 6000}
    )
    assert repeating_columns(table) == ["kind"]
    read = pq.ParquetFile(pa.BufferReader(parquet_bytes(table)))
    group = read.metadata.row_group(0)
    assert [group.column(n).compression for n in range(2)] == ["ZSTD", "ZSTD"]
    assert ["RLE_DICTIONARY" in group.column(n).encodings for n in range(2)] == [True, False]
    assert read.read().equals(table)


def test_rows_are_dropped_by_their_numbers():
    table = pa.table({"n": list(range(10))})
    assert without_rows(table, np.array([0, 5])).column(0).to_pylist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert without_rows(table, np.array([], np.int64)) is table


def test_checking_a_small_file_imports_neither_pandas_nor_a_compiler(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":"1"}\n{"a":5}\n{}\n')
    program = f"""if True:
        import sys
        from pathlib import Path
        from assay.kernel.check import check_file
        from assay.schema import parse_schema
        schema = parse_schema({{"strict": True, "fields": {{"a": {{"type": "text"}}}}}})
        folder = Path({str(tmp_path)!r})
        report = check_file(folder / "a.jsonl", schema, accepted=folder / "b", rejected=folder / "c", processes=2)
        print(report.accepted_count, report.rejected_count, sorted({{"pandas", "numba"}} & set(sys.modules)))
    """
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "2 1 []\n"
