"""The figures as they are made, and the table of them in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.broker.scripted_engine import Under

from osqueue.clock import SystemClock
from osqueue.engine.engine import Gauges
from osqueue.engine.observer import Answered
from osqueue.engine.requests import Landed
from osqueue.model.queries import Depths
from osqueue.server.telemetry.metrics import Metrics
from osqueue.wire.messages import BrokerStatus

PAGE = Path(__file__).parents[4] / "docs/observing.md"
DEPTHS = Depths(1, 0, 0, 0, 7, 0, {"mail": 1}, SystemClock().wall_ms() - 1_500)
STATUS = BrokerStatus(ready=True, role="leader", address="h", broker_id="b", epoch=5)


@pytest.fixture
def metrics() -> Metrics:
    """Of a leader."""
    metrics = Metrics(SystemClock())
    metrics.watch(lambda: Gauges(STATUS, DEPTHS, 0, 0), Under().service.streams)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in metrics.collect():
        for sample in family.samples:
            if sample.name == f"osqueue_{name}" and sample.labels == labels:
                return float(sample.value)
    return None


def table(metrics: Metrics) -> str:
    """What the documentation shows."""
    rows = ["| figure | | labels | |", "|---|---|---|---|"]
    for family in sorted(metrics.collect(), key=lambda family: family.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ()))
        rows.append(f"| `{name}` | {family.type} | {shown} | {family.documentation} |")
    return "\n".join(rows)


def test_page_when_compared_with_what_is_collected_then_every_figure_is_there(
    metrics: Metrics,
) -> None:
    assert table(metrics) in PAGE.read_text(), f"put this there:\n\n{table(metrics)}"


def test_histogram_when_values_come_then_each_counts_in_its_bucket_and_all_above(
    metrics: Metrics,
) -> None:
    for took_us in (400, 500, 600, 70_000_000):
        metrics.answered(Answered("getJob", "rest", "ok", took_us))
    labels = {"operation": "getJob", "transport": "rest"}
    buckets = {
        le: value(metrics, "request_duration_seconds_bucket", **labels, le=le)
        for le in ("0.0005", "0.001", "60.0", "+Inf")
    }
    assert buckets == {"0.0005": 2, "0.001": 3, "60.0": 3, "+Inf": 4}
    assert value(metrics, "request_duration_seconds_count", **labels) == 4
    assert value(metrics, "request_duration_seconds_sum", **labels) == pytest.approx(70.0015)


def test_commits_when_they_land_then_each_counts_once(metrics: Metrics) -> None:
    for size in (1_000, 5_000):
        landed = Landed(position=(1, 2), held=[], changes=3, size=size, took_ms=20)
        metrics.committed(landed)
    assert value(metrics, "commits_total") == 2
    assert value(metrics, "commit_bytes_sum") == 6_000
    assert value(metrics, "commit_jobs_sum") == 6
    assert value(metrics, "commit_duration_seconds_sum") == pytest.approx(0.04)


def test_roles_when_they_change_then_only_that_is_counted(metrics: Metrics) -> None:
    for role, epoch in (("candidate", 5), ("leader", 5), ("leader", 6), ("standby", 6)):
        metrics.role_changed(role, epoch)
    assert value(metrics, "role_changes_total") == 3


def test_age_when_the_clock_was_set_back_then_it_is_not_negative(metrics: Metrics) -> None:
    ahead = DEPTHS._replace(oldest_ready_ms=SystemClock().wall_ms() + 60_000)
    metrics.watch(lambda: Gauges(STATUS, ahead, 0, 0), Under().service.streams)
    assert value(metrics, "oldest_ready_job_age_seconds") == 0


def test_collect_when_the_broker_does_not_lead_then_no_depths(metrics: Metrics) -> None:
    metrics.watch(lambda: Gauges(STATUS, None, 0, 0), Under().service.streams)
    assert value(metrics, "leader") == 0
    assert value(metrics, "jobs", status="ready") is None
