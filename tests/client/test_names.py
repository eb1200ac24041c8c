"""Columns and keys that are no fields of the schema: their values are lost, so whoever sends them is told before."""

import io
import json
import warnings
from typing import Any

import pandas as pd
import pytest

from client.faulty import DATASET, Faulty, dataset_body, import_body, offer, ok

SCHEMA = {"fields": {"name": {"type": "text"}, "age": {"type": "integer"}}}
UNKNOWN = "columns that the schema doesn't name, whose values are not kept"
UNKNOWN_KEYS = "keys that the schema doesn't name, whose values are not kept"


def told_of(client: Any, dataset_id: Any, source: Any, filename: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.import_file(dataset_id, io.BytesIO(source) if isinstance(source, bytes) else source, filename=filename)
    assert not any("/src/assay/" in warning.filename for warning in caught), "it stands where the caller is"
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("filename", "data", "told"),
    [
        ("a.csv", b"name,age\nAda,3\n", []),
        ("a.csv", b'\xef\xbb\xbf\r\n"name" , "e,mail", Age \r\nAda,x,3\r\n', []),  # which the import refuses
        ("a.csv", b'\xef\xbb\xbf\r\nname,"e,mail", Age \r\nAda,x,3\r\n', [f"{UNKNOWN}: 'e,mail', 'Age'", "age"]),
        ("A.CSV", b"name\nAda\n", ["fields without a column, null in each record: 'age'"]),
        ("a.csv", b"Name,years\nAda,3\n", []),  # the import is refused, with the names that are nearly the same
        ("a.csv", "name,é\n".encode("utf-16"), []),
        ("a.csv", b"name,age,old\nAda,3,1\n\xff,4,2\n", [f"{UNKNOWN}: 'old'"]),
        ("a.csv", b"", []),
        ("a.jsonl", b'{"name": "Ada"}\n', []),
        ("a.jsonl", b'\n[\n{"name": "Ada", "e\\u001bmail": 1}\n{"Age', [f"{UNKNOWN_KEYS}: 'e\\x1bmail'", "age"]),
        ("a.jsonl", b'{"name": "Ada", "old": 1}\n{"age": 3}\n', [f"{UNKNOWN_KEYS}: 'old'"]),
        ("a.jsonl", b'{"Name": "Ada"}\n{"Age": 3}\n', ["no key of the first 2 records is", "'Name', 'Age'", "'name'"]),
        ("a.jsonl", b"{}\n" * 1001 + b'{"Age": 3}\n', []),
    ],
)
def test_names_that_a_file_and_a_schema_do_not_share_are_told(
    client: Any, name: str, filename: str, data: bytes, told: list[str]
) -> None:
    found = told_of(client, client.create_dataset(name, schema=SCHEMA).id, data, filename)
    assert len(found) == len(told)
    for sentence, part in zip(found, told, strict=True):
        assert sentence.startswith(f"{filename}: ")
        assert part in sentence


def test_frame_of_other_names_is_told_of_where_it_was_sent(client: Any, name: str) -> None:
    """None of its records is rejected, and nothing of them is kept."""
    dataset = client.create_dataset(name, schema=SCHEMA)
    frame = pd.DataFrame({"Name": ["Ada"], "Age": [3]})
    assert "no key of its first record is a field" in told_of(client, dataset.id, frame, "people.jsonl")[0]
    long = "\n".join(json.dumps({f"key {number}": number, "name": "x" * 5000}) for number in range(500)).encode()
    assert told_of(client, dataset.id, long, "a.jsonl")[0].endswith("more")
    waiting = client.create_dataset(f"{name} without a schema")
    assert told_of(client, waiting.id, frame, "people.jsonl") == []


def test_the_schema_is_asked_for_once_by_one_that_imports_many_files(kind: Any) -> None:
    """The answer tells of a hundred imports, each with its errors."""
    of_a_file = (ok(offer()), ok({}), ok(import_body()))
    faulty = Faulty(ok(dataset_body() | {"schema": {"strict": False, **SCHEMA}}), *of_a_file, *of_a_file)
    with kind("http://assay.test", "assay_secret", transport=faulty) as client:
        for number in range(2):
            assert len(told_of(client, DATASET, b"name,age,old\n", f"{number}.csv")) == 1
    assert [path for path in faulty.paths() if path.endswith(f"/datasets/{DATASET}")] == [f"GET /datasets/{DATASET}"]
