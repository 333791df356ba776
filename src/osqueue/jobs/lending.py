"""The client that a worker lends to its handlers, so that a job can submit others."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from osqueue.jobs.typed_job import Submitter

__all__ = ["LENT"]

LENT: Final[ContextVar[Submitter | None]] = ContextVar("osqueue_lent_client", default=None)
"""Of the context in which a handler runs, in its thread, too; none in a process of handlers."""
