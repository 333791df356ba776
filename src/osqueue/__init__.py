"""osqueue: a durable, distributed job queue that needs no database, only a bucket."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: a client needs no broker's packages."""
    if name not in _HOME:
        raise AttributeError(f"module 'osqueue' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
