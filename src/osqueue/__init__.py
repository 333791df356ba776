"""osqueue: a durable, distributed job queue that needs no database, only a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osqueue.lazy import lazy_names

if TYPE_CHECKING:
    from osqueue.app import BrokerServer
    from osqueue.client import (
        JobHandle,
        OsqueueClient,
        SyncJobHandle,
        SyncOsqueueClient,
        TlsSettings,
    )
    from osqueue.client.transports import QueueTransportAdapter
    from osqueue.embedded import Queue, SyncQueue
    from osqueue.errors import (
        Discard,
        JobFailedError,
        OsqueueError,
        ResultTimeoutError,
        Retry,
        is_osqueue_error,
    )
    from osqueue.jobs import Backoff, Jobs, JobType, NewJob, Registry
    from osqueue.worker import JobContext, Worker

__version__ = "0.1.0"

__all__ = [
    "Backoff",
    "BrokerServer",
    "Discard",
    "JobContext",
    "JobFailedError",
    "JobHandle",
    "JobType",
    "Jobs",
    "NewJob",
    "OsqueueClient",
    "OsqueueError",
    "Queue",
    "QueueTransportAdapter",
    "Registry",
    "ResultTimeoutError",
    "Retry",
    "SyncJobHandle",
    "SyncOsqueueClient",
    "SyncQueue",
    "TlsSettings",
    "Worker",
    "__version__",
    "is_osqueue_error",
]

_HOME = {
    "Backoff": "osqueue.jobs",
    "BrokerServer": "osqueue.app",
    "Discard": "osqueue.errors",
    "JobContext": "osqueue.worker",
    "JobFailedError": "osqueue.errors",
    "JobHandle": "osqueue.client",
    "JobType": "osqueue.jobs",
    "Jobs": "osqueue.jobs",
    "NewJob": "osqueue.jobs",
    "OsqueueClient": "osqueue.client",
    "OsqueueError": "osqueue.errors",
    "Queue": "osqueue.embedded",
    "QueueTransportAdapter": "osqueue.client.transports",
    "Registry": "osqueue.jobs",
    "ResultTimeoutError": "osqueue.errors",
    "Retry": "osqueue.errors",
    "SyncJobHandle": "osqueue.client",
    "SyncOsqueueClient": "osqueue.client",
    "SyncQueue": "osqueue.embedded",
    "TlsSettings": "osqueue.client",
    "Worker": "osqueue.worker",
    "is_osqueue_error": "osqueue.errors",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)
