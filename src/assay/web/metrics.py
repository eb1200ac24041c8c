"""Prometheus metrics at `/metrics`. What the jobs say is read from the database, so any process tells of all."""

import threading
import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from assay.db.engine import Database
from assay.db.figures import Cause, Figures, read_figures
from assay.db.webhooks import DeliveryState
from assay.jobs import Kind, State

# The route is open to all, so what it costs the database is bounded.
FIGURES_SECONDS = 1.0
QUANTILES = (0.5, 0.95, 1.0)


class Metrics:
    """Holds one application's registry."""

    def __init__(self, db: Database) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Jobs(db))
        self.request_seconds = Histogram(
            "assay_http_request_seconds",
            "Time until an answer began, by method and status.",
            ["method", "status"],
            registry=self.registry,
        )


class _Jobs(Collector):
    """Reads the jobs' figures when they are asked for, and keeps them for a moment.

    They are gauges, since what a deleted dataset had is gone from them: a counter may not fall.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read: tuple[float, Figures] | None = None

    def describe(self) -> Iterable[Metric]:
        return []  # nothing is read before somebody asks

    def collect(self) -> Iterable[Metric]:
        figures = self._figures()
        by_state = GaugeMetricFamily("assay_jobs", "Jobs by kind and state.", labels=["kind", "state"])
        for kind in Kind:
            for state in State:
                by_state.add_metric([kind.value, state.value], figures.jobs.get((kind, state), 0))
        yield by_state
        failed = GaugeMetricFamily("assay_failed_jobs", "Failed jobs by kind and cause.", labels=["kind", "cause"])
        for kind in Kind:
            for cause in Cause:
                failed.add_metric([kind.value, cause.value], figures.failed.get((kind, cause), 0))
        yield failed
        records = GaugeMetricFamily("assay_records", "Records of ended jobs by outcome.", labels=["outcome"])
        for outcome, count in figures.records_by_outcome.items():
            records.add_metric([outcome], count)
        yield records
        age = GaugeMetricFamily("assay_queue_age_seconds", "How long the oldest queued job has waited.")
        age.add_metric([], figures.queue_age_seconds)
        yield age
        help_text = "How long the imports that ended within the last hour took, by quantile; NaN without any."
        durations = GaugeMetricFamily("assay_import_seconds", help_text, labels=["quantile"])
        for quantile in QUANTILES:
            durations.add_metric([str(quantile)], _quantile(figures.recent_seconds, quantile))
        yield durations
        deliveries = GaugeMetricFamily("assay_webhook_deliveries", "Webhook deliveries by state.", labels=["state"])
        for delivery_state in DeliveryState:
            deliveries.add_metric([delivery_state.value], figures.deliveries.get(delivery_state, 0))
        yield deliveries

    def _figures(self) -> Figures:
        with self._lock:
            if self._read is None or time.monotonic() - self._read[0] > FIGURES_SECONDS:
                with self._db.read() as tx:
                    self._read = time.monotonic(), read_figures(tx)
            return self._read[1]


def _quantile(ordered: Sequence[float], quantile: float) -> float:
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else float("nan")


def get_metrics(request: Request) -> Response:
    """Counts and times only; nothing in it tells of a dataset or a record."""
    registry: CollectorRegistry = request.app.state.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
