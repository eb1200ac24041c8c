"""Proposes a schema for an uploaded file, whatever has become of its import."""

from collections.abc import Callable

from assay.errors import Conflict, ErrorCode, Unavailable
from assay.jobs import Import
from assay.kernel.files import FileFault
from assay.kernel.infer import infer_schema
from assay.schema import DatasetSchema
from assay.storage.base import Storage


class UnwantedError(Exception):
    """Nobody waits for the answer any more."""


def suggest_schema(storage: Storage, job: Import, *, whole: bool, is_wanted: Callable[[], bool]) -> DatasetSchema:
    """From some of the records of a large upload, or with `whole` from all of them.

    `Conflict` where there is no upload yet, or where no schema can be told from it. `is_wanted` is asked at each look
    at the file; once it is not, the work ends by `UnwantedError`.
    """
    if job.uploaded_at is None:
        message = "The import has no upload yet; upload the file, and ask again."
        raise Conflict(message, code=ErrorCode.NOT_UPLOADED)
    stored = storage.stat(job.file_key)
    if stored is None or stored.size_bytes != job.size_bytes:
        message = "The stored upload is not the one that was uploaded: it was replaced or removed."
        raise Unavailable(message, code=ErrorCode.STORAGE_DAMAGED)

    def read(offset: int, length: int) -> bytes:
        if not is_wanted():
            raise UnwantedError
        return storage.read_range(job.file_key, offset, length)

    try:
        return infer_schema(read, size_bytes=stored.size_bytes, format=job.format, whole=whole).schema
    except FileFault as fault:
        raise Conflict(fault.reason, code=ErrorCode.UNUSABLE_FILE) from fault
