"""The worker: runs handlers for the jobs of a queue."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: a process of handlers needs few of them."""
    if name not in _HOME:
        raise AttributeError(f"module 'osqueue.worker' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
