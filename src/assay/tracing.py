"""OpenTelemetry traces, where the extra `otel` is installed and OTEL_EXPORTER_OTLP_ENDPOINT is set; else nothing.

The framework makes a span of each request by itself once there is a provider; a worker makes one of each attempt. The
interface that spans are made by is there always, and does nothing without a provider.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace

log = logging.getLogger("assay")

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
SERVICE_NAME = "assay"


def start_tracing(environ: Mapping[str, str]) -> bool:
    """Send spans to where the environment says; whether it says so, and the packages are there."""
    if not environ.get(ENDPOINT_VARIABLE):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("%s is set, but no traces are sent: install the extra 'otel'", ENDPOINT_VARIABLE)
        return False
    name = environ.get("OTEL_SERVICE_NAME", SERVICE_NAME)
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


@contextmanager
def attempt_span(kind: str, ids: Mapping[str, str], *, attempt: int) -> Iterator[None]:
    """The span of one attempt at a job. What goes wrong in it is told by the log, not here: it may name records."""
    attributes: dict[str, str | int] = {"assay.kind": kind, "assay.attempt": attempt}
    attributes |= {f"assay.{name}": value for name, value in ids.items()}
    with trace.get_tracer("assay").start_as_current_span(
        f"{kind} attempt", attributes=attributes, record_exception=False, set_status_on_exception=False
    ):
        yield
