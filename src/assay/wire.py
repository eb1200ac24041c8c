"""The bodies of requests and answers, as the HTTP contract has them. Shared by the web routes and the client.

Keys that the contract calls absent are absent, never null: the answers leave out what was not set.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SkipValidation
from pydantic.functional_serializers import PlainSerializer
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

Result = TypeVar("Result")

DATASET_GENERATION = 4  # the dataset format that the API calls `schema_version`; it counts nothing


def format_time(value: datetime) -> str:
    """ISO 8601 in UTC with `Z`, to the microsecond."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str, when_used="json"),
    Field(description="ISO 8601, UTC.", json_schema_extra={"format": "date-time"}),
]


class Body(BaseModel):
    """What every body has in common: fields may be set by the names that Python can't use as an attribute."""

    model_config = ConfigDict(populate_by_name=True)


class FieldBody(Body):
    """One field of a schema. Constraints that don't fit the type are refused."""

    model_config = ConfigDict(extra="forbid")

    type: Literal[
        "text",
        "image_url",
        "audio_url",
        "video_url",
        "metadata",
        "task_group_id",
        "integer",
        "number",
        "boolean",
        "date",
        "datetime",
        "json",
    ]
    label: Annotated[str, Field(max_length=255)] | SkipJsonSchema[None] = None
    required: Annotated[bool | SkipJsonSchema[None], Field(description="Overrides `strict` for this field.")] = None
    enum: Annotated[list[Any], Field(min_length=1, max_length=10_000)] | SkipJsonSchema[None] = None
    pattern: Annotated[str | SkipJsonSchema[None], Field(description="RE2 syntax, searched, not anchored.")] = None
    minLength: Annotated[int, Field(ge=0)] | SkipJsonSchema[None] = None
    maxLength: Annotated[int, Field(ge=0)] | SkipJsonSchema[None] = None
    minimum: float | int | str | SkipJsonSchema[None] = None
    maximum: float | int | str | SkipJsonSchema[None] = None
    exclusiveMinimum: float | int | str | SkipJsonSchema[None] = None
    exclusiveMaximum: float | int | str | SkipJsonSchema[None] = None


class SchemaBody(Body):
    """What a record of a dataset must look like: 1 to 200 fields, at most one `task_group_id`; their order is kept."""

    model_config = ConfigDict(extra="forbid")

    strict: Annotated[bool, Field(description="Whether a record must have every field.")] = False
    fields: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=128)], FieldBody], Field(min_length=1, max_length=200)
    ]


def _check_name(name: str) -> str:
    if "\0" in name:
        raise PydanticCustomError("name", "The name has a NUL character, which can't be kept; leave it out.")
    if not name.strip():
        raise PydanticCustomError("name", "The name is blank; give one that can be seen.")
    return name


# The patterns of what is refused in words are for the description.
DatasetName = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}),
    AfterValidator(_check_name),
]


OwnWorkspace = Annotated[
    Annotated[str, Field(min_length=1, max_length=64)] | None,
    Field(description="The token's own workspace, and no other; left out, it is that too."),
]


class NewDatasetBody(Body):
    """A dataset to create. Without a schema its uploads wait in `pending_schema`.

    The schema is described here and checked elsewhere, by the rules that the kernel goes by.
    """

    name: DatasetName
    workspace_id: OwnWorkspace = None
    schema_: Annotated[SkipValidation[SchemaBody] | None, Field(alias="schema")] = None


class DatasetPatchBody(Body):
    """The dataset's new schema."""

    schema_: Annotated[SkipValidation[SchemaBody], Field(alias="schema")]


class ImportErrorBody(Body):
    """The first failing field of a rejected record."""

    record_index: Annotated[int, Field(description="Zero-based; counts every record of the file.")]
    field: Annotated[str, Field(description="The schema field's key, or `_raw` for a record that can't be parsed.")]
    reason: str


class ErrorCountBody(Body):
    """How many faults a field has for one reason."""

    field: str
    reason: str
    count: int


class ImportBody(Body):
    """An import job: one file's way into a dataset."""

    dataset_id: UUID
    import_id: UUID
    type: Literal["file_upload"] = "file_upload"
    filename: Annotated[str | None, Field(description="As given when the upload URL was requested.")]
    created_at: Time
    updated_at: Time
    status: Literal["uninitialised", "queued", "processing", "complete", "partial", "failed", "pending_schema"]
    accepted_count: Annotated[int | SkipJsonSchema[None], Field(description="Includes duplicates.")] = None
    duplicate_count: Annotated[
        int | SkipJsonSchema[None], Field(description="Accepted, and in the dataset before.")
    ] = None
    rejected_count: int | SkipJsonSchema[None] = None
    errors: Annotated[
        list[ImportErrorBody] | SkipJsonSchema[None],
        Field(description="One entry a rejected record, in file order, at most 1,000."),
    ] = None
    error_summary: Annotated[
        list[ErrorCountBody] | SkipJsonSchema[None],
        Field(description="All faults counted by field and reason, the largest count first, at most 100 entries."),
    ] = None
    reason: Annotated[str | SkipJsonSchema[None], Field(description="Why the import failed.")] = None
    processing_started_at: Time | SkipJsonSchema[None] = None
    processed_offset: Annotated[int | SkipJsonSchema[None], Field(description="Bytes of the upload read so far.")] = (
        None
    )
    written_count: int | SkipJsonSchema[None] = None
    duplicate_seen_count: int | SkipJsonSchema[None] = None
    rejected_seen_count: int | SkipJsonSchema[None] = None


class DatasetBody(Body):
    """A dataset with its newest imports."""

    id: UUID
    name: str
    created_at: Time
    created_by: str
    workspace_id: str
    total_datapoint_count: int
    schema_version: Annotated[int, Field(description="The dataset generation, always 4.")] = DATASET_GENERATION
    schema_: Annotated[SchemaBody | None, Field(alias="schema")]
    imports: Annotated[list[ImportBody], Field(description="Newest first, at most 100; the list of imports has all.")]
    migration_job_id: Annotated[
        UUID | SkipJsonSchema[None],
        Field(description="Where a schema was set: the migration that brings the records under it, if one is needed."),
    ] = None

    @property
    def schema(self) -> SchemaBody | None:  # type: ignore[override]  # an old name of pydantic's for something else
        """The dataset's schema, if it has one."""
        return self.schema_


class DatasetStatusBody(Body):
    """`ERROR`: nothing is usable because every import failed."""

    status: Literal["UNINITIALISED", "PROCESSING", "READY", "ERROR"]


class UploadUrlBody(Body):
    """Where to PUT a file, and how: with exactly this content type, and no token."""

    dataset_id: UUID
    import_id: UUID
    upload_url: str
    http_method: Literal["PUT"] = "PUT"
    content_type: str
    expires_at: Time
    file_key: str


class UploadedBody(Body):
    """The answer to an upload."""

    import_id: UUID
    size_bytes: int


class AppendBody(Body):
    """What became of appended records. Here `record_index` counts from one, as this API always had it."""

    accepted: Annotated[int, Field(description="Includes duplicates.")]
    rejected: int
    errors: Annotated[list[ImportErrorBody], Field(description="One entry a rejected record.")]


class NulledValueBody(Body):
    """A value that a migration made null: the new schema refuses it, or requires one that is not there."""

    datapoint_id: UUID
    field: str
    reason: str


class MigrationBody(Body):
    """A schema migration: all records of a dataset brought under another schema."""

    dataset_id: UUID
    job_id: UUID
    schema_version: Annotated[int, Field(description="Counts the dataset's schemas from 1.")]
    created_at: Time
    updated_at: Time
    status: Annotated[
        Literal["processing", "complete", "partial", "failed"],
        Field(description="`partial`: some values became null. `failed`: the records are as they were."),
    ]
    reprocessed_count: Annotated[
        int | SkipJsonSchema[None], Field(description="How many records are under the new schema so far.")
    ] = None
    failed_count: Annotated[int | SkipJsonSchema[None], Field(description="How many of them lost a value.")] = None
    errors: Annotated[
        list[NulledValueBody] | SkipJsonSchema[None], Field(description="The first 1,000 lost values, in order.")
    ] = None
    reason: Annotated[str | SkipJsonSchema[None], Field(description="Why the migration failed.")] = None


class DatapointBody(Body):
    """An accepted record: its values by field, absent ones as null."""

    id: UUID
    import_id: UUID
    record_index: int
    data: dict[str, Any]


class Page(Body, Generic[Result]):
    """Part of a list; ask for the rest with `cursor=<next_cursor>` until that is null."""

    results: list[Result]
    next_cursor: str | None


class StorageBucketBody(Body):
    name: str


class StorageObjectBody(Body):
    key: Annotated[str, Field(description="URL-encoded, as S3 sends it.")]


class StoragePlaceBody(Body):
    bucket: StorageBucketBody
    object: StorageObjectBody


class StorageRecordBody(Body):
    s3: StoragePlaceBody


class StorageEventBody(Body):
    """An S3 event notification, as far as it is read. A test event has no records."""

    records: Annotated[list[StorageRecordBody], Field(alias="Records", max_length=1000)] = []


class NoticedBody(Body):
    """How many imports had their file and were moved on."""

    noticed: int


class NewWebhookBody(Body):
    """Where the workspace wants to be told of jobs that ended."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[
        str,
        Field(
            max_length=2048,
            description="An https URL of a public host.",
            json_schema_extra={"pattern": r"^[hH][tT][tT][pP][sS]?://[!-~]+$"},
        ),
    ]
    workspace_id: OwnWorkspace = None


class WebhookBody(Body):
    """A place that is told of jobs that ended."""

    id: UUID
    workspace_id: str
    url: str
    created_at: Time
    created_by: str


class NewWebhookSecretBody(WebhookBody):
    """A webhook as it was created; its secret is shown this once."""

    secret: Annotated[str, Field(description="Signs what is sent, by Standard Webhooks.", pattern="^whsec_")]


class WebhookDeliveryBody(Body):
    """What a webhook was told of one job, or is to be told, and how that went."""

    id: Annotated[UUID, Field(description="The header `webhook-id`, the same at each attempt.")]
    job_id: UUID
    dataset_id: UUID
    event_type: str
    created_at: Time
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    next_attempt_at: Annotated[Time, Field(description="When it is due, while it waits.")]
    last_attempt_at: Time | None
    last_status: Annotated[int | None, Field(description="The status of the last answer, if there was one.")]
    last_error: str | None


class ErrorDetail(Body):
    """What went wrong. `error_code` is stable."""

    status: int
    error_code: int
    title: str
    detail: Annotated[
        str | list[str] | dict[str, list[str]],
        Field(description="A sentence, or for a body that fails validation its fields with what is wrong with each."),
    ]
    additional_information: str | SkipJsonSchema[None] = None


class ErrorBody(Body):
    """The answer of every status of 400 and more."""

    error: ErrorDetail
