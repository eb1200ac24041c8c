"""Two API replicas and two workers on PostgreSQL, S3 and a Dask cluster, all real and all on loopback."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay import crash_points
from crash.set_ups import SETTINGS, SetUp
from services.dask_cluster import dask_cluster
from services.processes import HOST, assay, ended_at_the_end, free_port
from services.seaweedfs import S3Server

HOOK_SECRET = "a-secret-between-store-and-service"


@contextmanager
def many_machines(
    folder: Path, *, database_url: str, s3: S3Server, with_dask: bool = True, **more: str
) -> Iterator[SetUp]:
    """`more` are further settings by their variables. The Dask workers are the set-up's `others`."""
    settings = {
        **SETTINGS,
        **s3.environment,
        "ASSAY_DATABASE_URL": database_url,
        "ASSAY_STORAGE_URL": f"s3://{s3.bucket}/{uuid.uuid4()}",
        "ASSAY_STORAGE_HOOK_SECRET": HOOK_SECRET,
        **more,
    }
    dask = dask_cluster(folder, s3.environment)
    if with_dask:
        settings["ASSAY_ENGINE"] = dask.address
    ports = [free_port(), free_port()]
    servers = [
        assay(f"api-{port}", "serve", "--workers", "0", "--port", str(port), folder=folder, environment=settings)
        for port in ports
    ]
    workers = [
        assay(f"worker-{number}", "worker", "--workers", "1", folder=folder, environment=settings) for number in (1, 2)
    ]
    # Uploads don't pass through the servers here.
    steps = [step for step in crash_points.STEPS if step != "upload_stored"]
    name = "PostgreSQL + S3 + Dask" if with_dask else "PostgreSQL + S3"
    addresses = [f"http://{HOST}:{port}" for port in ports]
    set_up = SetUp(name, database_url, addresses, servers, workers, dask.workers * with_dask, steps)
    with (
        ended_at_the_end(dask.scheduler),
        ended_at_the_end(*dask.workers),
        ended_at_the_end(*workers, *servers),
    ):
        if with_dask:
            set_up.scheduler = dask.scheduler
            dask.scheduler.start()
            dask.scheduler.wait_until_ready()
        set_up.start_all()
        yield set_up


def migrate(database_url: str) -> None:
    command = [sys.executable, "-m", "assay", "migrate", "--database-url", database_url]
    subprocess.run(command, check=True, timeout=60)
