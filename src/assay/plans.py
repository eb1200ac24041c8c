"""What a worker's attempts need to know of their jobs, put together from the database and the settings."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from assay.config import Settings
from assay.db import datasets, jobs
from assay.db.engine import Database
from assay.errors import Conflict, ErrorCode
from assay.importing import ImportPlan
from assay.jobs import Import, Lease
from assay.migrating import Source
from assay.operations import import_folder
from assay.reading import list_all_parts, read_kept
from assay.schema import stored_schema
from assay.storage.base import Storage


def import_plan(db: Database, settings: Settings, lease: Lease) -> ImportPlan:
    job = lease.job
    with db.read() as tx:
        schema = stored_schema(datasets.get_schema(tx, job.dataset_id, version=lease.schema_version))
    return ImportPlan(
        dataset_id=job.dataset_id,
        upload_key=job.file_key,
        size_bytes=job.size_bytes or 0,
        upload_version=job.upload_version,
        upload_hash=job.upload_hash,
        format=job.format,
        schema=schema,
        parts_folder=f"{import_folder(job.dataset_id, 'parts', job.id)}/{job.attempt}",
        rejections_folder=f"{import_folder(job.dataset_id, 'rejections', job.id)}/{job.attempt}",
        storage_url=settings.resolved_storage_url(),
        chunk_bytes=settings.chunk_bytes,
        record_limit_bytes=settings.record_limit_bytes,
    )


def migration_sources(db: Database, storage: Storage, settings: Settings, lease: Lease) -> Iterator[Source]:
    """The jobs whose records the dataset has, in its order. While the migration runs, nobody else changes the parts."""
    of_migration = import_plan(db, settings, lease)
    parts = list_all_parts(db, lease.job.dataset_id)
    for job_id, of_job in groupby(parts, key=lambda part: part.import_id):
        with db.read() as tx:
            job = jobs.get_job(tx, lease.job.dataset_id, job_id)
        if job is None:
            raise Conflict("The dataset was deleted.", code=ErrorCode.LEASE_LOST)
        plan = replace(
            of_migration,
            upload_key=job.file_key,
            size_bytes=job.size_bytes or 0,
            upload_version=job.upload_version,
            upload_hash=job.upload_hash,
            format=job.format,
        )
        yield Source(job_id, name=_name_of(job), plan=plan, kept=read_kept(storage, of_job))


def _name_of(job: Import) -> str:
    return f"the {job.kind.value} {job.id}"
