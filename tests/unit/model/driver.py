"""A queue in the hand of a test: every operation in one line, and a clock that moves when told."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from osqueue.config import QueueLimits
from osqueue.model.apply import apply
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.ops import (
    Cancel,
    Claim,
    Complete,
    Expire,
    Fail,
    Forget,
    GetJob,
    GetStats,
    Heartbeat,
    LeaseRef,
    NewJob,
    Op,
    Pause,
    Release,
    Resume,
    Retry,
    SetPriority,
    Submit,
)
from osqueue.model.outcomes import Claimed, Counts, Grant, JobView, Outcome, RefOutcome, Results
from osqueue.model.snapshot import decode_state, encode_state

__all__ = ["ERROR", "START", "Driver", "ended_json", "job_json", "noted", "state_json"]

START = Moment(1_800_000_000_000, 1_000)
ERROR = Raw(b'{"type":"ValueError","message":"no"}')


def noted(attempt: int = 1, at: int = START.wall, worker: str = "w") -> Raw:
    """What is kept of `ERROR`."""
    return Raw(
        b'{"type":"ValueError","message":"no","at":%d,"attempt":%d,"workerId":"%b"}'
        % (at, attempt, worker.encode())
    )


def job_json(**fields: Any) -> dict[str, Any]:
    """A job as an older implementation writes it, with changes."""
    return {"id": "a", "status": "unclaimed", "createdAt": 1, "attempts": 0, **fields}


def ended_json(**fields: Any) -> dict[str, Any]:
    """An entry of `finished`, with changes."""
    return job_json(status="completed", attempts=1, endedAt=2) | fields


def state_json(*jobs: dict[str, Any], **fields: Any) -> bytes:
    """A state object as an older implementation writes it, with changes."""
    whole = {"broker": None, "brokerHeartbeat": 0, "jobs": jobs, "completedTotal": 0}
    return json.dumps({**whole, **fields}).encode()


class Driver:
    """Does one operation after another, and checks the laws of the state after each."""

    def __init__(self, data: bytes | None = None, **limits: Any) -> None:
        self.limits = QueueLimits(**limits)
        self.now = START
        self.seed = 0
        self.open(state_json() if data is None else data)

    def open(self, data: bytes) -> None:
        self.state = decode_state(data, limits=self.limits, now=self.now, generation="g")

    def reload(self) -> None:
        self.open(self.encoded)

    @property
    def encoded(self) -> bytes:
        return encode_state(self.state)

    @property
    def json(self) -> Any:
        return json.loads(self.encoded)

    def job(self, job_id: str) -> Any:
        """A job as it is written."""
        return next(job for job in self.json["jobs"] if job["id"] == job_id)

    def passes(self, ms: int) -> None:
        self.now = Moment(self.now.wall + ms, self.now.serving + ms)

    def do(self, op: Op) -> Outcome:
        outcome = apply(self.state, op, self.now)
        check(self.state)
        return outcome

    def submit(self, *job_ids: str, **fields: Any) -> Outcome:
        return self.do(Submit(tuple(NewJob(job_id, **fields) for job_id in job_ids)))

    def claim(
        self,
        *types: str,
        most: int = 1,
        worker: str = "w",
        claim_id: str | None = None,
        caps: dict[str, int] | None = None,
    ) -> tuple[Grant, ...]:
        self.seed += 1
        capped = tuple((caps or {}).items())
        claimed = self.do(Claim(worker, f"lease{self.seed}", types or None, most, claim_id, capped))
        assert isinstance(claimed, Claimed)
        return claimed.grants

    def claim_ids(
        self, *types: str, most: int = 1, caps: dict[str, int] | None = None
    ) -> list[str]:
        return [grant.id for grant in self.claim(*types, most=most, caps=caps)]

    def heartbeat(
        self,
        *refs: LeaseRef,
        worker: str = "w",
        complete: bool = False,
        progress: tuple[Raw | None, ...] = (),
    ) -> Results:
        results = self.do(Heartbeat(worker, refs, complete, progress))
        assert isinstance(results, Results)
        return results

    def complete(
        self,
        job_id: str,
        lease: str | None = None,
        worker: str = "w",
        result: bytes | None = None,
    ) -> RefOutcome:
        brought = () if result is None else (Raw(result),)
        results = self.do(Complete(worker, (LeaseRef(job_id, lease),), brought))
        assert isinstance(results, Results)
        return results.each[0]

    def release(self, job_id: str, lease: str | None = None, worker: str = "w") -> RefOutcome:
        results = self.do(Release(worker, (LeaseRef(job_id, lease),)))
        assert isinstance(results, Results)
        return results.each[0]

    def fail(
        self,
        job_id: str,
        lease: str | None = None,
        *,
        retry: bool = True,
        delay_ms: int | None = 0,
    ) -> Outcome:
        return self.do(Fail("w", LeaseRef(job_id, lease), ERROR, retry, delay_ms))

    def cancel(self, job_id: str) -> Outcome:
        return self.do(Cancel(job_id))

    def retry(self, job_id: str) -> Outcome:
        return self.do(Retry(job_id))

    def set_priority(self, job_id: str, priority: int) -> Outcome:
        return self.do(SetPriority(job_id, priority))

    def pause(self) -> Outcome:
        return self.do(Pause())

    def resume(self) -> Outcome:
        return self.do(Resume())

    def expire(self) -> Outcome:
        return self.do(Expire())

    def forget(self) -> Outcome:
        return self.do(Forget())

    def view(self, job_id: str) -> JobView:
        view = self.do(GetJob(job_id))
        assert isinstance(view, JobView)
        return view

    def counts(self) -> Counts:
        counts = self.do(GetStats())
        assert isinstance(counts, Counts)
        return counts
