"""What a worker was asked to be."""

from __future__ import annotations

import msgspec

from osqueue.cli.logs import LogFormat, LogLevel
from osqueue.cli.options import Broker

__all__ = ["WorkerPlan"]


class WorkerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All options of ``osqueue worker``; a process of several is handed them as they are."""

    target: str
    broker: Broker
    concurrency: int | None = None
    prefetch: int | None = None
    type_concurrency: dict[str, int] = {}
    processes: int | None = None
    """How many, under a supervisor; ``None``: this one alone."""
    reload: bool = False
    memory_bytes_max: int | None = None
    heartbeat_file: str | None = None
    supervised: bool = False
    """Whether to stop when stdin ends."""
    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO
    debug: bool = False
