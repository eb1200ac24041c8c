"""The shapes of the public API's answers as JSON Schemas in our own words, and stricter where our contract is.

The public schema lets optional keys be there at any time; our contract says at which status each is there, and that
none is null in its place. Whatever fits these shapes fits the public ones.
"""

from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FORMATS = FormatChecker(["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_utc_time(value: object) -> bool:
    return not isinstance(value, str) or (value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None)


UUID = {"type": "string", "format": "uuid"}
TIME = {"type": "string", "format": "date-time"}
TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}

STATUSES = ["uninitialised", "queued", "processing", "complete", "partial", "failed", "pending_schema"]
PROGRESS = {
    "processing_started_at": TIME,
    "processed_offset": COUNT,
    "written_count": COUNT,
    "duplicate_seen_count": COUNT,
    "rejected_seen_count": COUNT,
}
RECORD_ERROR = {
    "type": "object",
    "properties": {"record_index": COUNT, "field": TEXT, "reason": TEXT},
    "required": ["record_index", "field", "reason"],
    "additionalProperties": False,
}
ERROR_COUNT = {
    "type": "object",
    "properties": {"field": TEXT, "reason": TEXT, "count": {"type": "integer", "minimum": 1}},
    "required": ["field", "reason", "count"],
    "additionalProperties": False,
}


def _closed(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object that has these keys, all but the optional ones always, and no others."""
    required = [key for key in properties if key not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_ALWAYS = {
    "dataset_id": UUID,
    "import_id": UUID,
    "type": {"const": "file_upload"},
    "filename": {"type": ["string", "null"]},
    "created_at": TIME,
    "updated_at": TIME,
}
_ACCEPTED = {"accepted_count": {"type": "integer", "minimum": 1}, "duplicate_count": COUNT}
_REJECTED = {
    "rejected_count": {"type": "integer", "minimum": 1},
    "errors": {"type": "array", "minItems": 1, "maxItems": 1000, "items": RECORD_ERROR},
    "error_summary": {"type": "array", "minItems": 1, "maxItems": 100, "items": ERROR_COUNT},
}
_REASON = {"reason": TEXT}


def _job(status: str, *more: dict[str, Any]) -> dict[str, Any]:
    properties = {**_ALWAYS, "status": {"const": status}}
    for group in more:
        properties |= group
    return _closed(properties)


IMPORT_JOB = {
    "oneOf": [
        _job("uninitialised"),
        _job("pending_schema"),
        _job("queued"),
        _job("processing", PROGRESS),
        _job("complete", PROGRESS, _ACCEPTED),
        _job("partial", PROGRESS, _ACCEPTED, _REJECTED),
        # Failed before a worker had it; the file can't be used; every record was rejected.
        _job("failed", _REASON),
        _job("failed", PROGRESS, _REASON),
        _job("failed", PROGRESS, _REASON, _REJECTED),
    ]
}

UPLOAD_URL = _closed(
    {
        "dataset_id": UUID,
        "import_id": UUID,
        "upload_url": {"type": "string", "pattern": "^https?://"},
        "http_method": {"const": "PUT"},
        "content_type": {"enum": ["text/csv", "application/x-ndjson"]},
        "expires_at": TIME,
        "file_key": TEXT,
    }
)

SCHEMA = _closed(
    {
        "strict": {"type": "boolean"},
        "fields": {"type": "object", "minProperties": 1, "additionalProperties": {"required": ["type"]}},
    }
)

DATASET = _closed(
    {
        "id": UUID,
        "name": TEXT,
        "created_at": TIME,
        "created_by": TEXT,
        "workspace_id": TEXT,
        "total_datapoint_count": COUNT,
        "schema_version": {"const": 4},
        "schema": {"anyOf": [{"type": "null"}, SCHEMA]},
        "imports": {"type": "array", "items": IMPORT_JOB},
    }
)

MIGRATING_DATASET = _closed({**DATASET["properties"], "migration_job_id": UUID})

_MIGRATION = {
    "dataset_id": UUID,
    "job_id": UUID,
    "schema_version": {"type": "integer", "minimum": 1},
    "created_at": TIME,
    "updated_at": TIME,
}
NULLED_VALUE = _closed({"datapoint_id": UUID, "field": TEXT, "reason": TEXT})
_LOST = {
    "failed_count": {"type": "integer", "minimum": 1},
    "errors": {"type": "array", "minItems": 1, "maxItems": 1000, "items": NULLED_VALUE},
}


def _migration(status: str, more: dict[str, Any]) -> dict[str, Any]:
    return _closed({**_MIGRATION, "status": {"const": status}, **more})


MIGRATION = {
    "oneOf": [
        _migration("processing", {}),
        _migration("processing", {"reprocessed_count": COUNT}),
        _migration("complete", {"reprocessed_count": COUNT}),
        _migration("partial", {"reprocessed_count": COUNT, **_LOST}),
        _migration("failed", _REASON),
    ]
}

APPEND = _closed(
    {
        "accepted": COUNT,
        "rejected": COUNT,
        "errors": {
            "type": "array",
            "items": _closed({"record_index": {"type": "integer", "minimum": 1}, "field": TEXT, "reason": TEXT}),
        },
    }
)

DATASET_STATUS = _closed({"status": {"enum": ["UNINITIALISED", "PROCESSING", "READY", "ERROR"]}})

DATAPOINT = _closed({"id": UUID, "import_id": UUID, "record_index": COUNT, "data": {"type": "object"}})

_TEXTS = {"type": "array", "minItems": 1, "items": TEXT}
ERROR = _closed(
    {
        "error": _closed(
            {
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "error_code": {"type": "integer", "minimum": 1000},
                "title": TEXT,
                "detail": {
                    "anyOf": [TEXT, _TEXTS, {"type": "object", "minProperties": 1, "additionalProperties": _TEXTS}]
                },
                "additional_information": TEXT,
            },
            optional=("additional_information",),
        )
    }
)


def page_of(shape: dict[str, Any]) -> dict[str, Any]:
    return _closed({"results": {"type": "array", "items": shape}, "next_cursor": {"type": ["string", "null"]}})


def assert_shape(value: object, shape: dict[str, Any]) -> None:
    """Fails with what is wrong where, unless the value has the shape, formats included."""
    faults = list(Draft202012Validator(shape, format_checker=FORMATS).iter_errors(value))
    assert not faults, f"{value} does not fit: {[fault.message for fault in faults]}"
