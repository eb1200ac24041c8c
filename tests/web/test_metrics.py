"""`/metrics`: in Prometheus's own format, and true: of the jobs in the database, and of the requests that were made."""

import math

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from assay.errors import ErrorCode, Unavailable
from assay.web import metrics
from assay.web.services import Services
from moving_clock import Clock
from services.callers import AGES, Caller, ages_csv
from web.test_errors import assert_error

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True)
def fresh_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FIGURES_SECONDS", -1.0)


def read(client: httpx.Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_every_metric_is_there_before_there_is_a_job(caller: Caller) -> None:
    samples = read(caller.client)
    assert value(samples, "assay_jobs", kind="import", state="queued") == 0
    assert value(samples, "assay_records", outcome="rejected") == 0
    assert value(samples, "assay_queue_age_seconds") == 0
    assert value(samples, "assay_webhook_deliveries", state="given_up") == 0
    assert math.isnan(value(samples, "assay_import_seconds", quantile="0.5"))


def test_queued_imports_are_counted_and_grow_old(caller: Caller, services: Services, clock: Clock) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    caller.ask_for_url(dataset_id)
    caller.upload(dataset_id, ages_csv(1))
    clock.advance(90)
    samples = read(caller.client)
    assert value(samples, "assay_jobs", kind="import", state="uninitialised") == 1
    assert value(samples, "assay_jobs", kind="import", state="queued") == 1
    assert value(samples, "assay_queue_age_seconds") == 90


def test_records_are_counted_by_outcome(importer: Caller) -> None:
    before = read(importer.client)
    dataset_id = importer.make_dataset(schema=AGES)
    importer.import_file(dataset_id, ages_csv(1, 2, 2, "x"))
    importer.import_file(dataset_id, ages_csv(2, 3, -1))
    importer.import_file(dataset_id, ages_csv("none"))
    after = read(importer.client)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert {outcome: grown("assay_records", outcome=outcome) for outcome in ("accepted", "duplicate", "rejected")} == {
        "accepted": 3,
        "duplicate": 2,
        "rejected": 3,
    }
    assert grown("assay_jobs", kind="import", state="partial") == 2
    assert grown("assay_jobs", kind="import", state="failed") == 1
    assert 0 < value(after, "assay_import_seconds", quantile="1.0") < 60


def test_requests_are_timed_by_method_and_status(caller: Caller) -> None:
    caller.get("/datasets/nothing")
    caller.get("/datasets/nothing")
    caller.request("BREW", "/datasets")
    caller.request("STIR", "/datasets")
    samples = read(caller.client)
    assert value(samples, "assay_http_request_seconds_count", method="GET", status="404") == 2
    assert value(samples, "assay_http_request_seconds_count", method="other", status="405") == 2


def test_metrics_name_no_dataset_no_workspace_and_no_token(caller: Caller) -> None:
    dataset_id = caller.make_dataset(name="secret-name", schema=AGES)
    caller.upload(dataset_id, ages_csv(1))
    text = caller.client.get("/metrics").text
    for secret in (dataset_id, "secret-name", caller.token, "home", "age"):
        assert f'"{secret}"' not in text
        assert f"/{secret}" not in text


def test_figures_are_read_once_for_many_who_ask(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FIGURES_SECONDS", 60.0)
    read(caller.client)
    caller.ask_for_url(caller.make_dataset())
    assert value(read(caller.client), "assay_jobs", kind="import", state="uninitialised") == 0


def test_metrics_without_a_database_are_a_503(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise Unavailable("No database.", code=ErrorCode.DATABASE_UNAVAILABLE)

    monkeypatch.setattr(metrics, "read_figures", fail)
    assert_error(caller.client.get("/metrics"), 503, ErrorCode.DATABASE_UNAVAILABLE)
