"""What a list of datasets shows of each: its newest import alone, and how many it has; migrations are none."""

from assay.db import overviews
from assay.db.engine import Database
from assay.db.migrating import insert_migration
from assay.ids import new_id
from assay.jobs import State
from db.making import make_dataset, make_import, queue_job


def test_newest_import_of_each_dataset_is_found(database: Database) -> None:
    first, second, empty = make_dataset(database), make_dataset(database), make_dataset(database)
    queue_job(database, first)
    newest = queue_job(database, first)
    with database.write() as tx:
        other = make_import(tx, second)
        insert_migration(tx, first, migration_id=new_id(), workspace_id="default", schema_version=1)
    with database.read() as tx:
        found = overviews.list_newest_imports(tx, [first, second, empty])
        counts = [overviews.count_imports(tx, dataset_id) for dataset_id in (first, second, empty)]
    assert {dataset_id: row.id for dataset_id, row in found.items()} == {first: newest.id, second: other.id}
    assert [(found[first].state, found[first].import_count)] == [(State.QUEUED, 2)]
    assert counts == [2, 1, 0]


def test_no_datasets_have_no_imports(database: Database) -> None:
    with database.read() as tx:
        assert overviews.list_newest_imports(tx, []) == {}
