"""Replicas that start at the same moment, on a database that none of them has seen."""

from concurrent.futures import ThreadPoolExecutor

from assay.db.engine import open_database
from assay.operations import bootstrap, upload_signing_key

REPLICAS = 8


def test_replicas_that_start_together_set_up_one_token_and_one_key(postgresql_url: str) -> None:
    databases = [open_database(postgresql_url) for _ in range(REPLICAS)]
    with ThreadPoolExecutor(REPLICAS) as threads:
        tokens = list(threads.map(lambda database: bootstrap(database, token_text="the same for all"), databases))
        keys = set(threads.map(upload_signing_key, databases))
    for database in databases:
        database.close()
    assert sorted(tokens, key=str) == [None] * (REPLICAS - 1) + ["the same for all"]
    assert len(keys) == 1
