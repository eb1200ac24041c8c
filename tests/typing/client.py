"""The public types, checked by mypy and never executed: what a user writes must pass --strict."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import assert_type
from uuid import UUID

import polars as pl

import assay
from assay import (
    ApiError,
    AsyncClient,
    Client,
    FileFault,
    ImportUnfinished,
    InvalidFields,
    Progress,
    Report,
    ServiceUnreachable,
    check,
)
from assay.wire import AppendBody, DatapointBody, DatasetBody, ImportBody, ImportErrorBody, MigrationBody, SchemaBody


def show(progress: Progress) -> None:
    assert_type(progress.import_id, UUID)
    assert_type(progress.stage, str)
    assert_type(progress.done_bytes, int)


def use(client: Client) -> None:
    dataset = client.create_dataset("a", schema={"fields": {}})
    assert_type(dataset, DatasetBody)
    assert_type(client.datasets(), Iterator[DatasetBody])
    assert_type(client.import_file(dataset.id, "a.csv", progress=show), ImportBody)
    assert_type(client.import_file(str(dataset.id), io.BytesIO(), filename="a.csv", wait=False), ImportBody)
    assert_type(client.import_file(dataset.id, pl.DataFrame(), timeout_seconds=1.5), ImportBody)
    assert_type(client.errors(dataset.id, dataset.id), Iterator[ImportErrorBody])
    assert_type(client.datapoints(dataset.id), Iterator[DatapointBody])
    assert_type(client.append(dataset.id, [{"a": 1}]), AppendBody)
    assert_type(client.migration(dataset.id, dataset.id), MigrationBody)
    assert_type(client.suggested_schema(dataset.id, dataset.id), SchemaBody)
    assert_type(client.to_polars(dataset.id), pl.DataFrame)
    client.export(dataset.id, Path("out.csv"), format="csv")
    client.export(dataset.id, io.BytesIO(), format="csv", progress=print)
    client.import_file(dataset.id, "a.csv", wait="no")  # type: ignore[arg-type]  # it is a bool
    client.dataset(17)  # type: ignore[arg-type]  # an id is a UUID or its text


async def use_async() -> None:
    async with AsyncClient("https://host", "token") as client:
        assert_type(await client.dataset("id"), DatasetBody)
        assert_type(client.errors("id", "id"), AsyncIterator[ImportErrorBody])
        assert_type([point async for point in client.datapoints("id")], list[DatapointBody])
        assert_type(await client.to_polars("id"), pl.DataFrame)


def fail() -> None:
    try:
        assert_type(check(Path("a.csv"), {"fields": {}}, processes=2), Report)
    except ApiError as error:
        assert_type((error.status, error.error_code, error.request_id), tuple[int, int, str | None])
    except ImportUnfinished as error:
        assert_type(error.job, ImportBody)
    except ServiceUnreachable:
        assert_type(assay.__version__, str)
    except FileFault as error:
        assert_type(error.reason, str)
    except InvalidFields as error:
        assert_type(error.faults, dict[str, list[str]])
