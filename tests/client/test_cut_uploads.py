"""Uploads to a real server over connections that break: each file is imported once, whole."""

import io
from pathlib import Path
from typing import Any

import pytest

from assay import ApiError, Client
from client.cutting import cutting
from services.callers import AGES, ages_csv
from services.serving import TOKEN, address_of, serving


@pytest.mark.parametrize("let_through", [100_000, None], ids=["in mid-upload", "before the answer"])
def test_upload_that_is_cut_is_imported_once(kind: Any, address: str, name: str, let_through: int | None) -> None:
    data = ages_csv(*range(1, 100_000))
    with cutting(address, let_through=let_through) as relay, kind(relay.address, TOKEN) as client:
        dataset = client.create_dataset(name, schema=AGES)
        job = client.import_file(dataset.id, io.BytesIO(data), filename="a.csv")
        assert (job.status, job.accepted_count, job.duplicate_count) == ("complete", 99_999, 0)
        assert [found.import_id for found in client.imports(dataset.id)] == [job.import_id]
        assert relay.cuts == 1


def test_upload_that_is_too_large_is_refused_with_the_limit(tmp_path: Path) -> None:
    """The service answers before the file has been sent, and ends the connection."""
    with (
        serving(tmp_path, "--workers", "0", "--max-upload-bytes", "1000000", ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process,
        Client(address_of(process), TOKEN) as client,
    ):
        dataset = client.create_dataset("small", schema=AGES)
        with pytest.raises(ApiError, match="larger than the 1,000,000 bytes") as caught:
            client.import_file(dataset.id, io.BytesIO(b"a" * 30_000_000), filename="a.csv")
        assert caught.value.status == 413
