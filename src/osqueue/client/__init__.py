"""The client: one object, one method per operation, over any transport."""

from __future__ import annotations

from osqueue.client.client import OsqueueClient
from osqueue.client.credentials import Credentials, TlsSettings
from osqueue.client.discovery import LeaderStore
from osqueue.client.models import (
    BrokerStatus,
    Job,
    JobError,
    JobInfo,
    JobOptions,
    JobsPage,
    NewJob,
    Standby,
    Stats,
)
from osqueue.client.runtime import Runtime
from osqueue.client.sync import SyncOsqueueClient

__all__ = [
    "BrokerStatus",
    "Credentials",
    "Job",
    "JobError",
    "JobInfo",
    "JobOptions",
    "JobsPage",
    "LeaderStore",
    "NewJob",
    "OsqueueClient",
    "Runtime",
    "Standby",
    "Stats",
    "SyncOsqueueClient",
    "TlsSettings",
]
