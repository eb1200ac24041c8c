"""Prometheus metrics at `/metrics`. What the jobs say is read from the database, so any process tells of all."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from assay.db.engine import Database
from assay.db.figures import read_figures
from assay.jobs import State


class Metrics:
    """Holds one application's registry."""

    def __init__(self, db: Database) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Jobs(db))
        self.request_seconds = Histogram(
            "assay_http_request_seconds",
            "Time to answer, by method and status.",
            ["method", "status"],
            registry=self.registry,
        )


class _Jobs(Collector):
    """Reads the jobs' figures when they are asked for."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def describe(self) -> Iterable[Metric]:
        return []  # nothing is read before somebody asks

    def collect(self) -> Iterable[Metric]:
        with self._db.read() as tx:
            figures = read_figures(tx)
        by_state = GaugeMetricFamily("assay_jobs", "Jobs by state.", labels=["state"])
        for state in State:
            by_state.add_metric([state.value], figures.jobs_by_state.get(state, 0))
        yield by_state
        records = CounterMetricFamily("assay_records", "Records of ended imports by outcome.", labels=["outcome"])
        for outcome, count in figures.records_by_outcome.items():
            records.add_metric([outcome], count)
        yield records
        age = GaugeMetricFamily("assay_queue_age_seconds", "How long the oldest queued job has waited.")
        age.add_metric([], figures.queue_age_seconds)
        yield age
        seconds = CounterMetricFamily("assay_import_seconds", "Time spent on ended imports, from claim to end.")
        seconds.add_metric([], figures.import_seconds)
        yield seconds


def get_metrics(request: Request) -> Response:
    """Counts and times only; nothing in it tells of a dataset or a record."""
    registry: CollectorRegistry = request.app.state.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
