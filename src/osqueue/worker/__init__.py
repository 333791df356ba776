"""The worker: runs handlers for the jobs of a queue."""

from __future__ import annotations

from osqueue.worker.job_context import JobContext
from osqueue.worker.middleware import CallNext, Middleware
from osqueue.worker.worker import Worker, WorkerOptions

__all__ = ["CallNext", "JobContext", "Middleware", "Worker", "WorkerOptions"]
