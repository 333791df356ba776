"""What was submitted in a test, and the question whether something was.

A job counts as submitted once the broker has acknowledged it; one that is submitted again under
its id counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET

from osqueue.client.payloads import decode_payload
from osqueue.client.transports.protocol import Answer, StreamingTransportAdapter
from osqueue.clock import Clock
from osqueue.testing.passing import PassingTransport
from osqueue.wire.messages import SubmitAnswer, SubmitBatchRequest, SubmitRequest
from osqueue.wire.operations import Operation

__all__ = ["NotingTransport", "Submissions", "SubmittedJob", "unlike"]

SHOWN_MAX: Final = 20
"""Jobs that a failure shows: more hide what they are to show."""

SHOWN_CHARS_MAX: Final = 200
"""Of the payload of each."""


class SubmittedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it was submitted. Times are UTC."""

    job_id: str
    type: str
    payload: Any
    """As JSON has it: a dictionary of the payload's fields, mostly."""
    submitted_at: datetime
    run_at: datetime | None = None
    """When it was delayed: until then."""
    priority: int = 0
    max_attempts: int | None = None
    timeout_ms: int | None = None
    keep_result: bool = False
    after: tuple[str, ...] = ()
    """The ids of the jobs that it is to run after."""

    def __str__(self) -> str:
        delayed = "" if self.run_at is None else f"  # not before {self.run_at:%Y-%m-%d %H:%M:%S}"
        return f"{self.type or '(no type)'}  {_shown(self.payload)}{delayed}"

    def differs(self, fields: Mapping[str, Any]) -> list[str]:
        """The fields that are not as wanted."""
        payload = self.payload
        if not isinstance(payload, Mapping):
            return list(fields)
        return [
            name for name, wanted in fields.items() if not _equal(payload.get(name, UNSET), wanted)
        ]


class Submissions:
    """All that was submitted, in order. It may be looked at from any thread."""

    def __init__(self) -> None:
        self._jobs: dict[str, SubmittedJob] = {}

    def __iter__(self) -> Iterator[SubmittedJob]:
        return iter(list(self._jobs.values()))

    def note(self, job: SubmittedJob) -> None:
        self._jobs.setdefault(job.job_id, job)

    def clear(self) -> None:
        """Forget what was submitted."""
        self._jobs.clear()

    def matching(self, job_type: str | None, fields: Mapping[str, Any]) -> list[SubmittedJob]:
        """Those of a type, or of any, whose payload has these fields."""
        jobs = list(self._jobs.values())
        return [job for job in jobs if job_type in {None, job.type} and not job.differs(fields)]


def unlike(job_type: str, fields: Mapping[str, Any], submissions: Iterable[SubmittedJob]) -> str:
    """What to say when no such job was submitted: what was, the nearest first."""
    wanted = f"no {job_type!r}{_with(fields)} was submitted"
    jobs = sorted(submissions, key=lambda job: (job.type != job_type, len(job.differs(fields))))
    if not jobs:
        return f"{wanted}, nor was any other job"
    lines = [f"  {job}{_difference(job, job_type, fields)}" for job in jobs[:SHOWN_MAX]]
    if len(jobs) > SHOWN_MAX:
        lines.append(f"  … and {len(jobs) - SHOWN_MAX} more")
    return "\n".join([f"{wanted}; what was:", *lines])


class NotingTransport(PassingTransport):
    """A transport that notes what is submitted by it."""

    def __init__(
        self, inner: StreamingTransportAdapter, submissions: Submissions, clock: Clock
    ) -> None:
        super().__init__(inner)
        self._submissions = submissions
        self._clock = clock

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        answer = await super().call(operation, request, job_id=job_id, timeout_s=timeout_s)
        match request:
            case SubmitRequest():
                assert isinstance(answer.value, SubmitAnswer), "what the operation answers"
                self._note(request, answer.value.job_id)
            case SubmitBatchRequest():
                for each, each_id in zip(request.jobs, answer.value.job_ids, strict=True):
                    self._note(each, each_id)
        return answer

    def _note(self, request: SubmitRequest, job_id: str) -> None:
        text = request.payload
        job = SubmittedJob(
            job_id=job_id,
            type=request.type or "",
            payload=None if text is UNSET else decode_payload(bytes(text)),
            submitted_at=_moment(self._clock.wall_ms()),
            run_at=None if request.run_at is None else _moment(request.run_at),
            priority=request.priority,
            max_attempts=request.max_attempts,
            timeout_ms=request.timeout_ms,
            keep_result=request.keep_result,
            after=tuple(request.after),
        )
        self._submissions.note(job)


def _equal(found: Any, wanted: Any) -> bool:
    """Whether a field is as wanted, which may be said as JSON has it, or as Python does."""
    if found == wanted:
        return True
    try:
        return bool(found == msgspec.to_builtins(wanted))
    except TypeError:  # JSON has no such thing
        return False


def _difference(job: SubmittedJob, job_type: str, fields: Mapping[str, Any]) -> str:
    if job.type != job_type:
        return ""
    return f"  # differs in {', '.join(job.differs(fields))}"


def _with(fields: Mapping[str, Any]) -> str:
    return f" with {_shown(fields)}" if fields else ""


def _shown(payload: Any) -> str:
    if isinstance(payload, Mapping) and all(str(name).isidentifier() for name in payload):
        text = ", ".join(f"{name}={value!r}" for name, value in payload.items())
    else:
        text = repr(payload)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1_000, UTC)
