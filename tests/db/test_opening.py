"""Opening databases."""

from assay.db.engine import Database


def test_a_template_copy_is_migrated(database: Database) -> None:
    assert database.is_migrated()
