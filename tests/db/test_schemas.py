"""Schema versions: kept as given, and published by one at a time."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from assay.db import datasets
from assay.db.engine import Database
from assay.errors import Conflict, ErrorCode
from db.making import SCHEMA, make_dataset
from db.racing import publish


def test_the_order_of_fields_is_kept(database: Database) -> None:
    dataset_id = make_dataset(database)
    with database.read() as tx:
        dataset = datasets.get_dataset(tx, dataset_id)
        body = datasets.get_schema(tx, dataset_id, version=1)
    assert dataset is not None
    assert json.dumps(dataset.schema) == json.dumps(body) == json.dumps(SCHEMA)


def test_a_dataset_without_a_schema_has_no_version(database: Database) -> None:
    dataset_id = make_dataset(database, schema=False)
    with database.read() as tx:
        dataset = datasets.get_dataset(tx, dataset_id)
    assert dataset is not None
    assert (dataset.schema, dataset.schema_version) == (None, None)


def test_each_version_stays_and_the_newest_is_the_datasets(database: Database) -> None:
    dataset_id = make_dataset(database)
    assert publish(database, dataset_id, 2)
    with database.read() as tx:
        dataset = datasets.get_dataset(tx, dataset_id)
        assert dataset is not None
        assert (dataset.schema_version, dataset.schema) == (2, {"strict": True, "fields": {}})
        assert datasets.get_schema(tx, dataset_id, version=1) == SCHEMA


def test_of_two_that_publish_at_once_one_is_told(database: Database) -> None:
    dataset_id = make_dataset(database)
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda _: publish(database, dataset_id, 2), range(8)))
    assert won.count(True) == 1


def test_a_version_that_was_taken_in_between_is_a_conflict(database: Database) -> None:
    dataset_id = make_dataset(database)
    with pytest.raises(Conflict, match="by someone else") as raised, database.write() as tx:
        datasets.insert_schema(tx, dataset_id, version=1, body=SCHEMA)
    assert raised.value.code is ErrorCode.STATE_CHANGED


def test_the_datasets_lock_makes_others_wait(database: Database) -> None:
    dataset_id = make_dataset(database)
    seen: list[int | None] = []

    def look() -> None:
        with database.write() as tx:
            assert datasets.lock_dataset(tx, dataset_id)
            dataset = datasets.get_dataset(tx, dataset_id)
            assert dataset is not None
            seen.append(dataset.schema_version)

    with ThreadPoolExecutor(1) as thread:
        with database.write() as tx:
            datasets.lock_dataset(tx, dataset_id)
            looking = thread.submit(look)
            datasets.insert_schema(tx, dataset_id, version=2, body=SCHEMA)
        looking.result(timeout=10)
    assert seen == [2]
