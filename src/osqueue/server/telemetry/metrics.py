"""Figures for Prometheus, at `GET /metrics`: one `Observer`, and what a scrape looks at.

What is counted is counted here in plain integers, for it happens with every request; a scrape makes
the metrics of `prometheus_client` out of that, in a registry of its own. Only a leader tells how
full the queue is. The names of types are the callers': only so many are told apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

import osqueue
from osqueue.broker.streams import Streams
from osqueue.clock import Clock
from osqueue.config import METRIC_TYPES_MAX
from osqueue.engine.engine import Gauges
from osqueue.engine.observer import Answered
from osqueue.engine.requests import Landed
from osqueue.model.queries import Depths

__all__ = ["Metrics"]

Look: TypeAlias = Callable[[], Gauges]

OPENMETRICS: Final = "application/openmetrics-text"

OTHER: Final = "other"
"""Stands for the types that are not told apart."""

SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""From one commit in memory to the longest wait of a claim."""

NUMBERS: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 1e5)
BYTES: Final = tuple(float(1024 * 4**power) for power in range(10))


class _Histogram:
    """How often something came to how much, in one row of buckets."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """How many were at most so much, as Prometheus wants them."""
        so_far, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            buckets.append((bound, float(so_far)))
        return buckets


class _Row:
    """The requests of one operation by one transport."""

    __slots__ = ("outcomes", "took")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.took = _Histogram(SECONDS)


class Metrics:
    """An `Observer` that counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._look: Look | None = None
        self._streams: Streams | None = None
        self._requests: dict[tuple[str, str], _Row] = {}
        self._store: dict[str, _Histogram] = {}
        self._store_errors: dict[tuple[str, str], int] = {}
        self._connections: dict[str, list[int]] = {}
        """By transport: how many are open, and how many ever were."""
        self._role = ""
        self._role_changes = 0
        self._commit_s = _Histogram(SECONDS)
        self._commit_ops = _Histogram(NUMBERS)
        self._commit_jobs = _Histogram(NUMBERS)
        self._commit_bytes = _Histogram(BYTES)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def watch(self, look: Look, streams: Streams) -> None:
        """Tell from now on how this broker stands, and what it pushes."""
        self._look, self._streams = look, streams

    # As an observer

    def committed(self, landed: Landed) -> None:
        self._commit_s.add(landed.took_ms / 1_000)
        self._commit_ops.add(landed.ops)
        self._commit_jobs.add(landed.changes)
        self._commit_bytes.add(landed.size)

    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        took = self._store.get(kind)
        if took is None:
            took = self._store[kind] = _Histogram(SECONDS)
        took.add(took_us / 1e6)
        if error is not None:
            self._store_errors[kind, error] = self._store_errors.get((kind, error), 0) + 1

    def role_changed(self, role: str, epoch: int) -> None:
        del epoch
        self._role_changes += role != self._role
        self._role = role

    def answered(self, answered: Answered) -> None:
        row = self._requests.get((answered.operation, answered.transport))
        if row is None:
            row = self._requests[answered.operation, answered.transport] = _Row()
        row.outcomes[answered.outcome] = row.outcomes.get(answered.outcome, 0) + 1
        row.took.add(answered.took_us / 1e6)

    def connected(self, transport: str) -> None:
        counts = self._connections.setdefault(transport, [0, 0])
        counts[0] += 1
        counts[1] += 1

    def disconnected(self, transport: str) -> None:
        self._connections[transport][0] -= 1

    # As a collector

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All figures as text, and its type: the stricter one for those who know it."""
        if OPENMETRICS in accept:
            text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterable[Metric]:
        """The figures as they are now."""
        yield from self._about_requests()
        yield from self._about_connections()
        yield from self._about_commits()
        yield from self._about_the_store()
        yield _gauge("build_info", "The version that runs.", {"version": osqueue.__version__}, 1)
        if self._look is not None and self._streams is not None:
            yield from self._about_streams(self._streams)
            yield from self._about_the_broker(self._look())

    def _about_requests(self) -> Iterator[Metric]:
        labels = ("operation", "transport")
        number = CounterMetricFamily(
            "osqueue_requests", "Requests that were answered.", labels=(*labels, "outcome")
        )
        took = HistogramMetricFamily(
            "osqueue_request_duration_seconds",
            "From a request's arrival to its answer; a claim's includes its wait.",
            labels=labels,
        )
        for key, row in self._requests.items():
            for outcome, count in row.outcomes.items():
                number.add_metric((*key, outcome), count)
            took.add_metric(key, row.took.buckets(), row.took.total)
        yield from (number, took)

    def _about_connections(self) -> Iterator[Metric]:
        labels = ("transport",)
        opened = CounterMetricFamily(
            "osqueue_connections_opened", "Connections that were made.", labels=labels
        )
        now = GaugeMetricFamily("osqueue_connections", "Connections that are open.", labels=labels)
        for transport, (open_now, ever) in self._connections.items():
            opened.add_metric((transport,), ever)
            now.add_metric((transport,), open_now)
        yield from (opened, now)

    def _about_streams(self, streams: Streams) -> Iterator[Metric]:
        subscriptions, jobs = len(streams.subscriptions), len(streams.jobs)
        yield _gauge("subscriptions", "Observers that are told of changes.", {}, subscriptions)
        yield _gauge("job_streams", "Workers that are sent jobs as they come.", {}, jobs)

    def _about_commits(self) -> Iterator[Metric]:
        number = sum(self._commit_s.counts)
        yield CounterMetricFamily("osqueue_commits", "Commits that became durable.", value=number)
        yield _histogram(
            "commit_duration_seconds",
            "From the fixing of a commit's bytes until it was durable.",
            self._commit_s,
        )
        yield _histogram("commit_operations", "Writing operations per commit.", self._commit_ops)
        yield _histogram("commit_jobs", "Changes of jobs per commit.", self._commit_jobs)
        yield _histogram("commit_bytes", "Bytes of the state per commit.", self._commit_bytes)

    def _about_the_store(self) -> Iterator[Metric]:
        took = HistogramMetricFamily(
            "osqueue_store_request_duration_seconds",
            "How long the store took to answer, also with an error.",
            labels=("kind",),
        )
        for kind, histogram in self._store.items():
            took.add_metric((kind,), histogram.buckets(), histogram.total)
        errors = CounterMetricFamily(
            "osqueue_store_errors",
            "Requests to the store that failed; conflicts are among them.",
            labels=("kind", "error"),
        )
        for key, count in self._store_errors.items():
            errors.add_metric(key, count)
        yield from (took, errors)

    def _about_the_broker(self, gauges: Gauges) -> Iterator[Metric]:
        status = gauges.status
        leads = gauges.depths is not None
        yield _gauge("leader", "1: this broker leads; 0: it does not.", {}, leads)
        yield _gauge("ready", "1: it leads, and its store confirms it.", {}, status.ready)
        yield _gauge("epoch", "The epoch that it leads under, or has last seen.", {}, status.epoch)
        yield CounterMetricFamily(
            "osqueue_role_changes", "Changes between leading and not.", value=self._role_changes
        )
        if gauges.depths is not None:
            yield from self._about_the_queue(gauges, gauges.depths)

    def _about_the_queue(self, gauges: Gauges, depths: Depths) -> Iterator[Metric]:
        yield _gauge("waiting_claims", "Claims that wait for a job.", {}, gauges.waiting)
        pending = "Requests that wait for a commit, or for leadership to be confirmed."
        yield _gauge("pending_requests", pending, {}, gauges.pending)
        yield _gauge("state_bytes", "Bytes of the state.", {}, gauges.status.state_bytes or 0)
        jobs = GaugeMetricFamily(
            "osqueue_jobs", "Jobs in the queue, by what they wait for.", labels=("status",)
        )
        for status in ("ready", "delayed", "waiting", "in_progress", "dead"):
            jobs.add_metric((status,), getattr(depths, status))
        ready = GaugeMetricFamily(
            "osqueue_ready_jobs", "Jobs that can be claimed, by type.", labels=("type",)
        )
        for type_, count in _told_apart(depths.ready_by_type).items():
            ready.add_metric((type_,), count)
        yield from (jobs, ready)
        paused = "1: claims get nothing until the queue is resumed; 0: they get jobs."
        yield _gauge("paused", paused, {}, depths.paused)
        yield _gauge(
            "oldest_ready_job_age_seconds",
            "Since the oldest job was submitted that can be claimed; 0: there is none.",
            {},
            self._age_s(depths.oldest_ready_ms),
        )
        completed, dead = depths.completed_total, depths.dead_total
        yield CounterMetricFamily("osqueue_jobs_completed", "Jobs ever completed.", value=completed)
        yield CounterMetricFamily("osqueue_jobs_dead", "Dead letters ever.", value=dead)

    def _age_s(self, since_ms: int | None) -> float:
        return 0 if since_ms is None else max(0, self._clock.wall_ms() - since_ms) / 1_000


def _told_apart(by_type: dict[str, int]) -> dict[str, int]:
    """The types with the most jobs, and the rest as one."""
    most = dict(nlargest(METRIC_TYPES_MAX, by_type.items(), key=lambda each: each[1]))
    rest = sum(by_type.values()) - sum(most.values())
    if rest > 0:
        most[OTHER] = most.get(OTHER, 0) + rest
    return most


def _gauge(name: str, text: str, labels: dict[str, str], value: float) -> Metric:
    family = GaugeMetricFamily(f"osqueue_{name}", text, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family


def _histogram(name: str, text: str, histogram: _Histogram) -> Metric:
    return HistogramMetricFamily(
        f"osqueue_{name}", text, buckets=histogram.buckets(), sum_value=histogram.total
    )
