"""A queue in one process, with no server: `Queue`, and `SyncQueue` for plain code."""

from __future__ import annotations

from osqueue.embedded.consumer import Consumer
from osqueue.embedded.job import QueueJob
from osqueue.embedded.queue import Queue, QueueOptions
from osqueue.embedded.sync import SyncConsumer, SyncQueue, SyncQueueJob

__all__ = [
    "Consumer",
    "Queue",
    "QueueJob",
    "QueueOptions",
    "SyncConsumer",
    "SyncQueue",
    "SyncQueueJob",
]
