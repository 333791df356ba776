"""The worker: runs handlers for the jobs of a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osqueue.lazy import lazy_names

if TYPE_CHECKING:
    from osqueue.worker.job_context import JobContext
    from osqueue.worker.middleware import CallNext, Middleware
    from osqueue.worker.worker import Worker, WorkerOptions

__all__ = ["CallNext", "JobContext", "Middleware", "Worker", "WorkerOptions"]

_HOME = {
    "CallNext": "osqueue.worker.middleware",
    "JobContext": "osqueue.worker.job_context",
    "Middleware": "osqueue.worker.middleware",
    "Worker": "osqueue.worker.worker",
    "WorkerOptions": "osqueue.worker.worker",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)
