"""Settings and store, fitted to each other: the same for a broker and for a process without one."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from osqueue.clock import Clock
from osqueue.config import MEMORY_RETENTION_MS, BrokerSettings
from osqueue.storage.findings import ProbeReport
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Spaced, Store, layers
from osqueue.storage.throttled import DAY_MS, ThrottledStorageBackend

__all__ = ["fitted", "in_one_line", "throttled"]

logger = logging.getLogger("osqueue.broker")


def fitted(settings: BrokerSettings, store: Store) -> BrokerSettings:
    """The settings as they hold for this store.

    Commits keep the distance that it needs, where none was asked for; a queue in memory keeps its
    ended jobs for a shorter time; and with an archive they stay in the state until they are in it.
    """
    kinds = list(layers(store))
    commit, archive, limits = settings.commit, settings.archive, settings.limits
    least_ms = [each.least_write_spacing_ms for each in kinds if isinstance(each, Spaced)]
    if commit.interval_ms == 0 and least_ms:
        commit = replace(commit, interval_ms=max(least_ms))
    if any(isinstance(each, MemoryBackend) for each in kinds):
        kept_ms = min(archive.retention_ms, MEMORY_RETENTION_MS)
        archive = replace(archive, retention_ms=kept_ms)
    limits = replace(limits, archived=archive.retention_ms > 0)
    return replace(settings, commit=commit, archive=archive, limits=limits)


def throttled(store: Store, settings: BrokerSettings, *, clock: Clock) -> Store:
    """The store, asked as often as the settings allow."""
    limits, leadership = settings.throttle, settings.leadership
    if not limits.active:
        return store
    heartbeats = DAY_MS // leadership.heartbeat_interval_ms
    if 0 < limits.writes_per_day < heartbeats:
        logger.warning(
            "S3_MAX_WRITES_PER_DAY=%d is used up by the broker's own %d heartbeats a day, once a "
            "standby watches it; raise it, or BROKER_HEARTBEAT_INTERVAL_MS",
            limits.writes_per_day,
            heartbeats,
        )
    return ThrottledStorageBackend(
        store, limits, least_spacing_ms=leadership.heartbeat_interval_ms, clock=clock
    )


def in_one_line(report: ProbeReport) -> str:
    """What a probe found of a store that it lets through."""
    parts = [f"{report.url} can carry a queue"]
    if report.put_ms is not None and report.get_ms is not None:
        parts.append(f"put {report.put_ms} ms, get {report.get_ms} ms")
    if report.dialect is not None:
        parts.append(f"spoken to as {report.dialect}")
    if report.clock is not None:
        parts.append(f"its clock {report.clock}")
    return "; ".join(parts)
