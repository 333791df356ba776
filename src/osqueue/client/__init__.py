"""The client: one object, one method per operation, over any transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osqueue.lazy import lazy_names

if TYPE_CHECKING:
    from osqueue.client.client import OsqueueClient
    from osqueue.client.credentials import Credentials, TlsSettings
    from osqueue.client.discovery import LeaderStore
    from osqueue.client.handles import JobHandle, SyncJobHandle
    from osqueue.client.models import (
        ActionAnswer,
        BrokerStatus,
        DeadGroup,
        DeadGroups,
        EndedPage,
        Job,
        JobError,
        JobInfo,
        JobOptions,
        JobsCount,
        JobsPage,
        NamedJob,
        NewJob,
        Progress,
        RetryPolicy,
        Setting,
        Standby,
        Stats,
        WorkerInfo,
        Workflow,
        WorkflowEdge,
        WorkflowJob,
    )
    from osqueue.client.runtime import Runtime
    from osqueue.client.scheduling import ScheduleInfo, ScheduleOptions
    from osqueue.client.sync import SyncOsqueueClient

__all__ = [
    "ActionAnswer",
    "BrokerStatus",
    "Credentials",
    "DeadGroup",
    "DeadGroups",
    "EndedPage",
    "Job",
    "JobError",
    "JobHandle",
    "JobInfo",
    "JobOptions",
    "JobsCount",
    "JobsPage",
    "LeaderStore",
    "NamedJob",
    "NewJob",
    "OsqueueClient",
    "Progress",
    "RetryPolicy",
    "Runtime",
    "ScheduleInfo",
    "ScheduleOptions",
    "Setting",
    "Standby",
    "Stats",
    "SyncJobHandle",
    "SyncOsqueueClient",
    "TlsSettings",
    "WorkerInfo",
    "Workflow",
    "WorkflowEdge",
    "WorkflowJob",
]

_HOME = {
    "ActionAnswer": "osqueue.client.models",
    "BrokerStatus": "osqueue.client.models",
    "Credentials": "osqueue.client.credentials",
    "DeadGroup": "osqueue.client.models",
    "DeadGroups": "osqueue.client.models",
    "EndedPage": "osqueue.client.models",
    "Job": "osqueue.client.models",
    "JobError": "osqueue.client.models",
    "JobHandle": "osqueue.client.handles",
    "JobInfo": "osqueue.client.models",
    "JobOptions": "osqueue.client.models",
    "JobsCount": "osqueue.client.models",
    "JobsPage": "osqueue.client.models",
    "LeaderStore": "osqueue.client.discovery",
    "NamedJob": "osqueue.client.models",
    "NewJob": "osqueue.client.models",
    "OsqueueClient": "osqueue.client.client",
    "Progress": "osqueue.client.models",
    "RetryPolicy": "osqueue.client.models",
    "Runtime": "osqueue.client.runtime",
    "ScheduleInfo": "osqueue.client.scheduling",
    "ScheduleOptions": "osqueue.client.scheduling",
    "Setting": "osqueue.client.models",
    "Standby": "osqueue.client.models",
    "Stats": "osqueue.client.models",
    "SyncJobHandle": "osqueue.client.handles",
    "SyncOsqueueClient": "osqueue.client.sync",
    "TlsSettings": "osqueue.client.credentials",
    "WorkerInfo": "osqueue.client.models",
    "Workflow": "osqueue.client.models",
    "WorkflowEdge": "osqueue.client.models",
    "WorkflowJob": "osqueue.client.models",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)
