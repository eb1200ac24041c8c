"""The crash test on PostgreSQL, S3 and Dask: the same promise, on many machines."""

import sys
from pathlib import Path

import pytest

from cluster.set_up import many_machines
from crash.harness import Load, kills_of_environment, run, seed_of_environment
from services.seaweedfs import S3Server


@pytest.mark.timeout(3600)
def test_kills_on_a_cluster_lose_and_double_nothing(tmp_path: Path, postgresql_url: str, s3: S3Server) -> None:
    kills = kills_of_environment() * 3 // 10
    # More and smaller chunks, so that most kills hit a job in its middle.
    with many_machines(tmp_path, database_url=postgresql_url, s3=s3, ASSAY_CHUNK_BYTES="1024") as set_up:
        report = run(set_up, kills=kills, seed=seed_of_environment(), load=Load(4, 2, 500), say=sys.stdout.write)
    sys.stdout.write(f"\n{report}\n")
    assert report.kills.total() >= kills, str(report)
    assert (report.findings.lost, report.findings.doubled, report.findings.wrong) == (0, 0, []), str(report)
