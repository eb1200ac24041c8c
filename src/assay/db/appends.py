"""The row of an append, which is there once the append has ended, with its records."""

from sqlalchemy import insert, update

from assay.db.engine import WriteTransaction
from assay.db.jobs import count_columns, errors_to_text, insert_event
from assay.db.tables import datasets, jobs, parts
from assay.jobs import Kind, NewAppend, final_state


def insert_append(tx: WriteTransaction, new: NewAppend, *, workspace_id: str, first_row: int) -> None:
    """Record an append and make its records visible, under the dataset's lock; `first_row` is its record count."""
    now = tx.now()
    state = final_state(new.counts)
    tx.connection.execute(
        insert(jobs).values(
            id=new.id,
            dataset_id=new.dataset_id,
            workspace_id=workspace_id,
            kind=Kind.APPEND.value,
            state=state.value,
            filename="append.jsonl",
            format="jsonl",
            content_type="application/x-ndjson",
            file_key=new.file_key,
            created_at=now,
            updated_at=now,
            expires_at=now,
            uploaded_at=now,
            size_bytes=new.size_bytes,
            upload_hash=new.upload_hash,
            processing_started_at=now,
            attempt=1,
            schema_version=new.schema_version,
            errors=errors_to_text(new.errors),
            **count_columns(new.counts),
        )
    )
    insert_event(tx, new.id, from_state=None, to_state=state, attempt=1, reason=None)
    tx.connection.execute(
        insert(parts).values(
            dataset_id=new.dataset_id,
            first_row=first_row,
            job_id=new.id,
            key=new.part.key,
            row_in_file=0,
            record_count=new.part.record_count,
            size_bytes=new.part.size_bytes,
            footer_hash=new.part.footer_hash,
            schema_version=new.schema_version,
        )
    )
    record_count = first_row + new.part.record_count
    tx.connection.execute(update(datasets).where(datasets.c.id == new.dataset_id).values(record_count=record_count))
