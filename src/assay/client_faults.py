"""What goes wrong for who uses the Python client, as exceptions that say what to do."""

from functools import partial
from typing import Any
from uuid import UUID

from assay.wire import ImportBody

Id = UUID | str


class ApiError(Exception):
    """The service refused a call: `status`, the stable `error_code`, what it said, and the request's id in its log.

    `error_code` is 0 where the answer came from something else than the service: a proxy, or another server.
    """

    retry_after_seconds: float | None = None
    # An earlier attempt at the same call was never answered, and may have been carried out.
    follows_lost_answer: bool = False

    def __init__(self, *, status: int, error_code: int, title: str, detail: Any, request_id: str | None) -> None:
        code = f", error code {error_code}" if error_code else ""
        request = f" [request {request_id}]" if request_id else ""
        super().__init__(f"{title} ({status}{code}): {_sentence(detail)}{request}")
        self.status = status
        self.error_code = error_code
        self.title = title
        self.detail = detail
        self.request_id = request_id

    def __reduce__(self) -> Any:
        """Comes back whole from another process: the default forgets what it was made of."""
        names = ("status", "error_code", "title", "detail", "request_id")
        return partial(ApiError, **{name: getattr(self, name) for name in names}), (), self.__dict__

    def __str__(self) -> str:
        said, after = super().__str__(), self.retry_after_seconds
        return f"{said} It asks for {after:,.0f} seconds until it is called again." if after else said


class ServiceUnreachable(Exception):
    """No answer came, however often it was tried: the service is down, or the address is wrong, or, where it
    `was_reached`, the connection to it doesn't hold.
    """

    def __init__(self, message: str, *, was_reached: bool = False) -> None:
        super().__init__(message)
        self.was_reached = was_reached


class ImportUnfinished(Exception):
    """Waiting took longer than was allowed; the import goes on. `job` is how it stood."""

    def __init__(self, job: ImportBody) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"The import {self.job.import_id} is still {self.job.status}; it goes on without this client."


class MigrationUnknown(Exception):
    """A schema was set, and the answer that named the migration never came: records may have lost values."""

    def __init__(self, dataset_id: Id) -> None:
        super().__init__(dataset_id)
        self.dataset_id = dataset_id

    def __str__(self) -> str:
        return (
            f"The schema was received, and the answer to it lost: whether records of the dataset {self.dataset_id} "
            "lost values under it is not known. Look at its schema and its records."
        )


class SourceChanged(Exception):
    """The file grew, shrank or was written to while it was read. Nothing of it is imported."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self.filename = filename

    def __str__(self) -> str:
        return (
            f"The file {self.filename} changed while it was read, and nothing of it is imported: "
            "do it again when nobody writes to it, or with a copy."
        )


CALL_FAULTS = (ApiError, ServiceUnreachable, SourceChanged)
"""What the making of a call raises, and the operation that it is of may see to."""


def _sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        return "; ".join(f"{field}: {text}" for field, texts in detail.items() for text in texts)
    return "; ".join(detail) if isinstance(detail, list) else str(detail)
