"""What makes two records the same, and how repeated ids are found."""

import numpy as np
import pyarrow as pa

from assay.kernel.identity import ids_of_parquet, ids_to_arrow
from assay.kernel.write import parquet_bytes, without_stored_rows
from kernel.runs import DATASET_ID, fields_schema, outcome_of

A = fields_schema(a="text")


def ids(data, schema=A, **options):
    return outcome_of(data, schema, **options).ids


def as_rows(raw_ids):
    return np.frombuffer(b"".join(raw_ids), np.uint8).reshape(-1, 16)


def test_id_is_the_contents_whatever_the_schema_line_end_or_white_space_around():
    (known,) = ids(b'{"a":"1"}\n')
    assert ids(b'\xef\xbb\xbf{"a":"1"}') == [known]
    assert ids(b'\n \t{"a":"1"} \r\n') == [known]
    assert ids(b'{"a":"1"}', fields_schema(b="text", a="metadata")) == [known]
    assert ids(b'{"a":"2"}\n{"a":"1"}', chunk_bytes=1)[1] == known
    assert ids(b'{"a": "1"}') != [known]


def test_id_of_a_csv_record_depends_on_the_header_and_not_on_its_line_end():
    (known,) = ids(b"a,b\n1,2\n", format="csv")
    assert ids(b"\xef\xbb\xbf a ,b\r\n1,2", format="csv") == [known]
    assert ids(b"b,a\n1,2\n", format="csv") != [known]
    assert ids(b"a,b\n1,2 \n", format="csv") != [known]


def test_id_is_stable_for_good():
    """Ids are stored: a change of these values would make every record of every dataset new."""
    assert ids(b'{"a":"1"}')[0].hex() == "f287dd54c947819a9492dd7132b7c7ad"
    assert ids(b"a,b\n1,2\n", format="csv")[0].hex() == "64cf69ef1d458a3a84e4b32f0c0e76ff"
    assert str(DATASET_ID) == "0190a5d0-7c3e-7c3e-8c3e-0123456789ab"


def test_ids_are_version_8_uuids():
    for raw_id in ids(b"".join(b'{"a":"%d"}\n' % n for n in range(100))):
        assert raw_id[6] >> 4 == 8
        assert raw_id[8] >> 6 == 0b10


def test_ids_come_back_from_parquet_without_the_rows_that_were_dropped():
    rows = as_rows([bytes([n]) * 16 for n in range(10)])
    parquet = parquet_bytes(pa.table({"datapoint_id": ids_to_arrow(rows)}))
    assert (ids_of_parquet(parquet) == rows).all()
    kept = without_stored_rows(parquet, np.array([0, 3, 9]))
    assert (ids_of_parquet(kept) == np.delete(rows, [0, 3, 9], axis=0)).all()
