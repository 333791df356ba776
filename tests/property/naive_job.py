"""A job of the naive queue: what the specification says that a job is."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.model import outcomes as out
from osqueue.model.job import NO_TERMS, Terms

__all__ = ["NaiveJob"]


@dataclass(eq=False)
class NaiveJob:
    id: str
    type: str
    payload: Raw | UnsetType
    created: int
    priority: int = 0
    run_at: int | None = None
    max_attempts: int | None = None
    status: str = "unclaimed"
    attempts: int = 0
    worker: str | None = None
    lease: str | None = None
    claim: str | None = None
    heartbeat: int | None = None
    granted: int = 0
    deadline: int = 0
    errors: tuple[Raw, ...] = ()
    """The last five, oldest first."""
    terms: Terms = NO_TERMS
    progress: Raw | None = None
    result: Raw | UnsetType = UNSET
    after: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    """Those that have not completed yet."""
    ended_at: int | None = None
    since: int = 0
    """When it was first known to have ended, in serving time."""

    @property
    def allowed(self) -> int:
        return 3 if self.max_attempts is None else max(1, self.max_attempts)

    def view(self) -> out.JobView:
        live = self.ended_at is None  # of an ended job, payload and delay are not kept
        left = self.status == "dead"  # a dead letter that has left looks like any other
        return out.JobView(
            id=self.id,
            status=self.status,
            type=self.type,
            payload=self.payload if live or left else UNSET,
            created_at=self.created,
            attempts=self.attempts,
            max_attempts=self.max_attempts,
            priority=self.priority,
            run_at=self.run_at if live else None,
            worker_id=self.worker,
            heartbeat=self.heartbeat if self.status == "in_progress" else None,
            last_error=self.errors[-1] if self.errors else UNSET,
            ended_at=None if left else self.ended_at,
            earlier=b",".join(map(bytes, self.errors[:-1])),
            terms=self.terms,
            progress=self.progress,
            result=self.result,
            after=self.after,
            waits_for=self.waits_for,
        )

    def grant(self) -> out.Grant:
        what = (self.id, self.type, self.payload, self.lease or "", self.attempts)
        grant = out.Grant(*what, self.allowed, self.created, self.priority)
        return msgspec.structs.replace(grant, terms=self.terms)

    def put_back(self, *, status: str = "unclaimed") -> None:
        self.status = status
        self.worker = self.lease = self.claim = self.heartbeat = self.progress = None
