"""From what is known of a broker and its queue to what the overview tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from osqueue.broker import answers
from osqueue.broker.workers import KnownWorker
from osqueue.model.events import Event
from osqueue.model.outcomes import Counts, Holding, Surveyed, TypeDepth, WorkerView
from osqueue.wire.messages import BrokerStatus, JobEvent, Standby
from osqueue.wire.overview import (
    OverviewBroker,
    OverviewCounts,
    OverviewJob,
    OverviewStandby,
    OverviewType,
    OverviewWorker,
)

__all__ = ["activity_of", "broker_of", "counts_of", "types_of", "workers_of"]

OTHER: Final = "other"
"""Stands for the types that are not told apart."""

SECOND_MS: Final = 1_000


def broker_of(
    status: BrokerStatus,
    *,
    now: int,
    leader_since: int | None,
    version: str,
    store: str,
    problems: list[str],
) -> OverviewBroker:
    """The broker, by what it says of itself."""
    return OverviewBroker(
        address=status.address,
        broker_id=status.broker_id,
        role=status.role,
        epoch=status.epoch,
        ready=status.ready,
        leader=status.leader,
        leader_since=leader_since,
        version=version,
        store=store,
        state_bytes=status.state_bytes,
        standbys=[_standby(each, now) for each in status.standbys],
        problems=[*([] if status.reason is None else [status.reason]), *problems],
    )


def counts_of(surveyed: Surveyed, waiting_claims: int) -> OverviewCounts:
    """The jobs of the queue, and who waits for one."""
    counts: Counts = surveyed.counts
    return OverviewCounts(
        total=counts.unclaimed + counts.in_progress,
        ready=counts.unclaimed - counts.delayed - counts.waiting,
        delayed=counts.delayed,
        in_progress=counts.in_progress,
        dead=counts.dead,
        completed_total=counts.completed_total,
        dead_total=counts.dead_total,
        waiting_claims=waiting_claims,
        paused=surveyed.paused,
        oldest_ready_at=surveyed.oldest_ready_ms,
        waiting=counts.waiting,
    )


def types_of(surveyed: Surveyed) -> dict[str, OverviewType]:
    """The types that are told apart, and all others as one."""
    depths = dict(surveyed.types)
    if any(surveyed.others):
        own = depths.get(OTHER, (0, 0, 0))  # a job may be of a type of that name
        depths[OTHER] = TypeDepth(*map(sum, zip(own, surveyed.others, strict=True)))
    return {
        type_: OverviewType(ready=ready, in_progress=running, dead=dead)
        for type_, (ready, running, dead) in depths.items()
    }


def workers_of(
    surveyed: Surveyed, known: Iterable[KnownWorker], now: int
) -> dict[str, OverviewWorker]:
    """The workers that hold jobs, and those that were heard of."""
    heard: Mapping[str, KnownWorker] = {each.id: each for each in known}
    return {view.id: _worker(view, heard.get(view.id), now) for view in surveyed.workers}


def activity_of(event: Event) -> JobEvent:
    """What has become of a job."""
    return JobEvent(
        kind=event.kind,
        job_id=event.job_id,
        type=event.type,
        at=event.at,
        worker_id=event.worker_id or "",
        attempt=event.attempt,
    )


def _worker(view: WorkerView, known: KnownWorker | None, now: int) -> OverviewWorker:
    seen_at = max(view.seen_at or 0, 0 if known is None else known.seen_at) or now
    worker = OverviewWorker(
        id=view.id,
        seen_at=seen_at // SECOND_MS * SECOND_MS,
        held=view.held,
        jobs=[_job(each) for each in view.jobs],
    )
    info = None if known is None else known.info
    if info is not None:
        worker.host, worker.pid, worker.version = info.host, info.pid, info.version
        worker.concurrency, worker.types = info.concurrency, info.types
    return worker


def _job(held: Holding) -> OverviewJob:
    return OverviewJob(
        id=held.id, type=held.type, since=held.since, progress=answers.progress(held.progress)
    )


def _standby(standby: Standby, now: int) -> OverviewStandby:
    seen_at = (now - standby.seen_ms_ago) // SECOND_MS * SECOND_MS
    return OverviewStandby(id=standby.broker_id, address=standby.address, seen_at=seen_at)
