"""One job, and the states it can be in."""

from __future__ import annotations

import zlib
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.config import DEFAULT_MAX_ATTEMPTS, RetryPolicy

__all__ = [
    "END_STATUSES",
    "NO_TERMS",
    "PAYLOADS",
    "Job",
    "JobStatus",
    "LargePayload",
    "Moment",
    "Notes",
    "Terms",
    "after_bytes",
    "checksum",
    "content_of",
    "length_of",
    "payload_of",
]

PAYLOADS = "payloads/"
"""What the keys of payload objects begin with; the epoch that wrote them follows."""


class Moment(NamedTuple):
    """When something happens, in milliseconds."""

    wall: int
    """Since the Unix epoch, by the leader's clock: what is written down."""

    serving: int
    """On a clock that runs only while the broker serves: what leases are measured by."""


class JobStatus(StrEnum):
    """Where a job is in its life."""

    UNCLAIMED = "unclaimed"
    IN_PROGRESS = "in_progress"
    DEAD = "dead"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DISCARDED = "discarded"


END_STATUSES = frozenset(
    {JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.EXPIRED, JobStatus.DISCARDED}
)
"""A job in one of these is over and never changes again."""


class LargePayload(msgspec.Struct, frozen=True, gc=False):
    """A payload that is an object of its own, named here."""

    key: str
    size: int
    """Bytes of its JSON text."""
    content: int
    """The `checksum` of the job's type and the payload."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a job says of its attempts. Jobs that say the same share one object."""

    retry: RetryPolicy | None = None
    """How long it waits after a failure; ``None``: as the queue's own policy says."""
    timeout_ms: int | None = None
    """The time of one attempt, which its worker keeps."""
    keep_result: bool = False
    """Whether its worker is asked for a result."""


NO_TERMS = Terms()
"""Of a job that says nothing of them."""


class Notes(msgspec.Struct, gc=False, eq=False):
    """What few jobs have, so that the others need no room for it."""

    earlier: bytes = b""
    """The failures before the last, oldest first: JSON texts with commas between."""
    progress: Raw | None = None
    """How far its worker is; written along with whatever is, and gone with the lease."""
    result: Raw | UnsetType = UNSET
    """What it brought when it completed."""
    after: tuple[str, ...] = ()
    """The jobs that it was submitted to run after."""
    waits_for: dict[str, None] | None = None
    """Those of them that have not completed yet, in their order."""


class Job(msgspec.Struct, gc=False, eq=False):
    """A job and what the indexes know of it. Mutable: only `QueueState` changes one.

    The payload stands in ``encoded`` from the first encoding on and is not kept twice.
    """

    id: str
    type: str
    """``""``: untyped."""
    created_at: int
    payload: Raw | UnsetType | None
    """Its JSON; unset when the job has none; ``None`` when it stands in ``encoded``."""
    status: JobStatus = JobStatus.UNCLAIMED
    priority: int = 0
    run_at: int | None = None
    attempts: int = 0
    max_attempts: int | None = None
    worker_id: str | None = None
    heartbeat: int | None = None
    lease: str | None = None
    claim_id: str | None = None
    last_error: Raw | UnsetType = UNSET
    terms: Terms = NO_TERMS
    notes: Notes | None = None
    """What few jobs have."""
    large: LargePayload | None = None
    """Stands for the payload, which is unset then."""
    traceparent: str | None = None
    """Where it comes from, as W3C Trace Context writes it; not read here."""
    ended_at: int | None = None
    content: int | None = None
    """Checksum of type and payload, once the job has ended and its payload is gone."""
    extra: bytes = b""
    """Fields of other implementations, as the JSON text ``,"name":value…``."""

    seq: int = -1
    """Place in the order of arrival."""
    deadline: int = 0
    """When the lease expires, in serving time; of a job that has ended, when it did."""
    granted_at: int = 0
    """When the lease was granted, in serving time."""
    encoded: bytes = b""
    stale: bool = True
    """Whether ``encoded`` is older than the fields."""
    since: int = 0
    """When it became ready, or was handed out, as wall time; 0: when it was submitted."""

    @property
    def earlier(self) -> bytes:
        """See `Notes`."""
        return b"" if self.notes is None else self.notes.earlier

    @property
    def progress(self) -> Raw | None:
        """See `Notes`."""
        return None if self.notes is None else self.notes.progress

    @property
    def result(self) -> Raw | UnsetType:
        """See `Notes`."""
        return UNSET if self.notes is None else self.notes.result

    @property
    def after(self) -> tuple[str, ...]:
        """See `Notes`."""
        return () if self.notes is None else self.notes.after

    @property
    def waits_for(self) -> tuple[str, ...]:
        """See `Notes`."""
        return () if self.notes is None else tuple(self.notes.waits_for or ())

    @property
    def waits(self) -> bool:
        """Whether it waits for other jobs."""
        return self.notes is not None and bool(self.notes.waits_for)

    def noting(self) -> Notes:
        """The notes, to be written to."""
        if self.notes is None:
            self.notes = Notes()
        return self.notes

    @property
    def attempts_allowed(self) -> int:
        """How many attempts it has in all: 0 and 1 both mean one, nothing given means three."""
        return DEFAULT_MAX_ATTEMPTS if self.max_attempts is None else max(1, self.max_attempts)


def checksum(type_: str, payload: Raw | bytes | UnsetType) -> int:
    """A number that tells one submit's content from another's."""
    start = zlib.crc32(type_.encode())
    return start if payload is UNSET else zlib.crc32(memoryview(payload), start)


def after_bytes(after: tuple[str, ...]) -> int:
    """About as many bytes as naming these jobs takes."""
    return sum([len(each) + 3 for each in after])


def length_of(json: Raw | UnsetType) -> int:
    """Bytes of a JSON text that may be unset."""
    return 0 if json is UNSET else len(memoryview(json))


class _Payload(msgspec.Struct, gc=False):
    payload: Raw | UnsetType = UNSET


_payload_decoder = msgspec.json.Decoder(_Payload)


def payload_of(job: Job) -> Raw | UnsetType:
    """The payload's JSON text, byte for byte as it was submitted; unset when there is none."""
    if job.payload is not None:
        return job.payload
    return _payload_decoder.decode(job.encoded).payload


def content_of(type_: str, payload: Raw | UnsetType, large: LargePayload | None) -> int:
    """The checksum of a job's content, wherever its payload is."""
    return checksum(type_, payload) if large is None else large.content
