"""The worker: runs handlers for the jobs of a queue."""

from __future__ import annotations

from osqueue.worker.worker import Worker, WorkerOptions

__all__ = ["Worker", "WorkerOptions"]
