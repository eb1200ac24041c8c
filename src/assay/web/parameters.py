"""What the routes' paths and queries have in common: ids, pages, cursors, and the import that a path names."""

import logging
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, TypeVar
from uuid import UUID

from fastapi import Path, Query

from assay.db.tokens import Token
from assay.errors import ErrorCode, Invalid, NotFound, Unavailable
from assay.ids import parse_id
from assay.jobs import Import
from assay.log import with_cause
from assay.noticing import OTHERS_A_LOOK, notice_upload, notice_uploads_of
from assay.operations import get_import
from assay.web.auth import dataset_for
from assay.web.services import Services
from assay.wire import Page

log = logging.getLogger("assay.web")

BASE_PATH = "/api/v1/data-collection"
FORM_UPLOADS_PATH = "/send-file"  # where a form of the console sends a file

UPLOADS_LOOKED_FOR = 32

DatasetId = Annotated[str, Path(description="The dataset's id.", json_schema_extra={"format": "uuid"})]
ImportId = Annotated[str, Path(description="The import's id.", json_schema_extra={"format": "uuid"})]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many results a page has.")]
# The patterns are for the description: a cursor that is none of ours is refused in words.
Cursor = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the page before.",
        max_length=100,
        json_schema_extra={"pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    ),
]
RowCursor = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the page before.", max_length=100, json_schema_extra={"pattern": "^[0-9]{1,18}$"}
    ),
]


def import_for(services: Services, token: Token, dataset_id: str, import_id: str) -> Import:
    """The import that a path names, if its dataset is the token's workspace's."""
    dataset = dataset_for(services, token, dataset_id)
    return get_import(services.db, dataset.id, import_id_of(import_id))


def noticed(services: Services, job: Import) -> Import:
    """The import as it is once its file was looked for: whoever asks for it is also the one to see that it has come."""
    found = notice_upload(services.db, services.storage, job, max_bytes=services.settings.max_upload_bytes)
    if found.state is not job.state:
        services.wake_worker()
    return found


def notice_uploads_before(services: Services, dataset_id: UUID) -> None:
    """Put the uploads that have come in the dataset's line, before what is about to be put there."""
    _notice_uploads(services, dataset_id, limit=OTHERS_A_LOOK)


def notice_newest_uploads(services: Services, dataset_id: UUID) -> None:
    """For whoever asks how a dataset stands. They are answered all the same where the storage is not."""
    try:
        _notice_uploads(services, dataset_id, limit=UPLOADS_LOOKED_FOR)
    except Unavailable as error:
        log.warning("uploads to dataset %s can't be looked for: %s", dataset_id, with_cause(error))


def _notice_uploads(services: Services, dataset_id: UUID, *, limit: int) -> None:
    max_bytes = services.settings.max_upload_bytes
    if notice_uploads_of(services.db, services.storage, dataset_id, max_bytes=max_bytes, limit=limit):
        services.wake_worker()


def look_again(services: Services, job: Import) -> Import:
    """The import as it is by now. `NotFound` when it was deleted in the meantime."""
    return noticed(services, get_import(services.db, job.dataset_id, job.id))


def import_id_of(text: str) -> UUID:
    identifier = parse_id(text)
    if identifier is None:
        raise NotFound("There is no such import: its id is no UUID.", code=ErrorCode.UNKNOWN_IMPORT)
    return identifier


class _Listed(Protocol):
    @property
    def id(self) -> UUID: ...


Row = TypeVar("Row", bound=_Listed)
Result = TypeVar("Result")


def page_of(found: Sequence[Row], body_of: Callable[[Row], Result], *, limit: int) -> Page[Result]:
    """A page of what is listed newest first by id; `found` has one more than `limit` where there is another page."""
    next_cursor = str(found[limit - 1].id) if len(found) > limit else None
    return Page(results=[body_of(row) for row in found[:limit]], next_cursor=next_cursor)


def id_of_cursor(cursor: str | None) -> UUID | None:
    identifier = None if cursor is None else parse_id(cursor)
    if cursor is not None and identifier is None:
        raise _bad_cursor()
    return identifier


def row_of_cursor(cursor: str | None) -> int:
    """The place in a list that a cursor stands for: the first one without a cursor."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise _bad_cursor()
    return int(cursor)


def _bad_cursor() -> Invalid:
    message = "The cursor is none of ours: send the 'next_cursor' of the page before, or leave it out."
    return Invalid(message, code=ErrorCode.INVALID_REQUEST)
