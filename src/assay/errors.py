"""The faults of a caller or an operator: one base, five kinds, and a catalogue of stable codes.

A bad record is data, not an exception (see rejections.py). Anything raised that is no `AssayError` is a bug.
How a kind becomes an HTTP status is web/errors.py's business alone.
"""

from enum import IntEnum
from typing import Any


class ErrorCode(IntEnum):
    """The stable `error_code` of an answer. A number is never given a second meaning."""

    INVALID_REQUEST = 1000
    INVALID_SCHEMA = 1001
    INVALID_FILE_NAME = 1002
    CONTENT_TYPE_MISMATCH = 1003
    BODY_TOO_LARGE = 1004
    BODY_INCOMPLETE = 1005
    INVALID_SETTING = 1006
    UNUSABLE_FILE = 1007
    MISSING_PACKAGE = 1008
    GROUP_FIELD_CHANGED = 1009
    INVALID_WEBHOOK = 1010
    WRONG_MEDIA_TYPE = 1011

    NOT_AUTHENTICATED = 1100
    FOREIGN_WORKSPACE = 1101
    READ_ONLY_TOKEN = 1102
    INVALID_UPLOAD_URL = 1103
    EXPIRED_UPLOAD_URL = 1104
    INVALID_FORM_TOKEN = 1105

    UNKNOWN_ROUTE = 1200
    UNKNOWN_DATASET = 1201
    UNKNOWN_IMPORT = 1202
    UNKNOWN_TOKEN = 1203
    METHOD_NOT_ALLOWED = 1204
    UNKNOWN_MIGRATION = 1205
    UNKNOWN_WEBHOOK = 1206

    ALREADY_UPLOADED = 1300
    ALREADY_ENDED = 1301
    STATE_CHANGED = 1302
    LEASE_LOST = 1303
    DATASET_BUSY = 1305
    NOT_ENDED = 1306
    NOT_UPLOADED = 1307
    TOO_MANY_WEBHOOKS = 1308

    DATABASE_UNAVAILABLE = 1400
    STORAGE_UNAVAILABLE = 1401
    ENGINE_UNAVAILABLE = 1402
    STORAGE_DAMAGED = 1403
    RATE_LIMITED = 1404
    SERVICE_ENDING = 1405

    INTERNAL = 1500


class AssayError(Exception):
    """What went wrong, why, and what to do next, in words fit to show to whoever caused it."""

    retryable = False

    def __init__(self, message: str, *, code: ErrorCode) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __reduce__(self) -> Any:
        """Comes back whole from another process: the default forgets the code, and fails."""
        return _rebuilt, (type(self), self.message, self.code), self.__dict__


def _rebuilt(kind: type[AssayError], message: str, code: ErrorCode) -> AssayError:
    error = kind.__new__(kind, message)
    AssayError.__init__(error, message, code=code)
    return error


class Invalid(AssayError):
    """The request, the schema, the file or a setting can't be used as it is."""


class InvalidFields(Invalid):
    """A body with faults in named fields: `faults` maps a field's path to what is wrong with it."""

    def __init__(self, faults: dict[str, list[str]], *, code: ErrorCode) -> None:
        super().__init__("; ".join(f"{field}: {text}" for field, texts in faults.items() for text in texts), code=code)
        self.faults = faults


class Denied(AssayError):
    """The caller is not known, or known and not allowed."""


class NotFound(AssayError):
    """Nothing of that id is here, or not for this caller."""


class Conflict(AssayError):
    """The thing exists, in a state that does not allow this."""


class Unavailable(AssayError):
    """A part of the service can't be reached now; the same call may work later."""

    retryable = True
