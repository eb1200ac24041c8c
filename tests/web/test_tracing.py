"""Traces: a span for each request and each attempt at a job, with ids and no secret; none unless they are asked for."""

import logging
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from assay import tracing
from services.callers import AGES, API, Caller, ages_csv, wait_until


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is exported, by a provider that is there for one test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


def find(spans: InMemorySpanExporter, name: str) -> ReadableSpan | None:
    return next((span for span in spans.get_finished_spans() if span.name == name), None)


def test_request_and_attempt_are_spans(importer: Caller, spans: InMemorySpanExporter) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    job = importer.import_file(dataset_id, ages_csv(1, "x"))
    attempt = wait_until(lambda: find(spans, "import attempt"), what="the span of the attempt")
    assert attempt.attributes is not None
    assert attempt.attributes["assay.job_id"] == job["import_id"]
    assert attempt.attributes["assay.attempt"] == 1
    request = find(spans, f"POST {API}/datasets")
    assert request is not None
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 201


def test_no_token_no_signed_path_and_no_record_is_in_a_span(importer: Caller, spans: InMemorySpanExporter) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    offer = importer.ask_for_url(dataset_id)
    importer.client.put("/behind/a/proxy" + urlsplit(offer["upload_url"]).path)
    importer.put(offer, ages_csv(1, "zebra-crossing"))
    importer.settled(dataset_id, offer["import_id"])
    wait_until(lambda: find(spans, "import attempt"), what="the span of the attempt")
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    for secret in (importer.token, offer["upload_url"].rpartition("/")[2], "zebra-crossing"):
        assert secret not in told


def test_nothing_is_sent_unless_the_environment_says_where_to() -> None:
    assert not tracing.start_tracing({})
    assert not tracing.start_tracing({tracing.ENDPOINT_VARIABLE: ""})


def test_missing_packages_are_named_and_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with caplog.at_level(logging.WARNING):
        assert not tracing.start_tracing({tracing.ENDPOINT_VARIABLE: "http://127.0.0.1:9"})
    assert "extra 'otel'" in caplog.text
