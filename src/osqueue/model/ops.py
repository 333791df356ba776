"""What can be asked of a queue, as plain data.

Ids, tokens and times come in with the operation: applying the same one again on the same base
changes the same things.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.model.job import NO_TERMS, LargePayload, Terms, length_of

__all__ = [
    "Cancel",
    "Change",
    "Claim",
    "Complete",
    "Drop",
    "Expire",
    "Fail",
    "Forget",
    "GetJob",
    "GetPayloadKeys",
    "GetState",
    "GetStats",
    "GetTypes",
    "Heartbeat",
    "Lead",
    "LeaseRef",
    "ListJobs",
    "NewJob",
    "Op",
    "Query",
    "Release",
    "Resign",
    "Retry",
    "Seal",
    "Share",
    "Submit",
]


class NewJob(msgspec.Struct, frozen=True, gc=False):
    """A job to be. ``payload`` is checked JSON text; ``large`` names it where it is an object."""

    id: str
    type: str = ""
    payload: Raw | UnsetType = UNSET
    max_attempts: int | None = None
    priority: int = 0
    run_at: int | None = None
    large: LargePayload | None = None
    traceparent: str | None = None
    """Where it comes from; kept, and handed out with it."""
    terms: Terms = NO_TERMS

    @property
    def payload_bytes(self) -> int:
        if self.large is not None:
            return self.large.size
        return length_of(self.payload)


class LeaseRef(msgspec.Struct, frozen=True, gc=False):
    """A job, and the lease that the caller holds on it; older callers know no lease."""

    id: str
    lease: str | None = None


class Submit(msgspec.Struct, frozen=True, gc=False):
    """Add jobs: all or none. Ids already known add nothing.

    Payload objects must have been written under the epoch that applies this.
    """

    jobs: tuple[NewJob, ...]


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Hand out up to ``max`` jobs. Leases are ``<lease_seed>-<n>``; the seed is never used again.

    A ``claim_id`` seen before gets the leases that it still holds. ``caps``: of these types at most
    so many; one with 0 is left out.
    """

    worker_id: str
    lease_seed: str
    types: tuple[str, ...] | None = None
    max: int = 1
    claim_id: str | None = None
    caps: tuple[tuple[str, int], ...] = ()


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """Renew leases. ``complete_list``: the worker holds no others.

    ``progress``: of each, as bounded JSON text, or nothing of any.
    """

    worker_id: str
    refs: tuple[LeaseRef, ...]
    complete_list: bool = False
    progress: tuple[Raw | None, ...] = ()


class Complete(msgspec.Struct, frozen=True, gc=False):
    """End jobs as done, each for itself.

    ``results``: of each what it brought, as checked JSON text of a bounded size, or nothing of any.
    While those that wait for the archive are beyond the state's bound, none more are taken.
    """

    worker_id: str
    refs: tuple[LeaseRef, ...]
    results: tuple[Raw | UnsetType, ...] = ()


class Fail(msgspec.Struct, frozen=True, gc=False):
    """End an attempt as failed. ``error`` is bounded JSON text, an object that is not empty.

    It runs again after ``delay_ms``, by default as its own policy says.
    """

    worker_id: str
    ref: LeaseRef
    error: Raw
    retry: bool = True
    delay_ms: int | None = None


class Release(msgspec.Struct, frozen=True, gc=False):
    """Give leases back; the attempts do not count."""

    worker_id: str
    refs: tuple[LeaseRef, ...]


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """End a job, whoever holds it; a dead letter is discarded."""

    id: str


class Retry(msgspec.Struct, frozen=True, gc=False):
    """Queue a dead letter again with all its attempts.

    ``archived``: its entry in the archive, for one that has left the state.
    """

    id: str
    archived: bytes | None = None


class Expire(msgspec.Struct, frozen=True, gc=False):
    """Take back leases whose deadline has passed."""


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Drop remembered ends that are older than the window."""


class Seal(msgspec.Struct, frozen=True, gc=False):
    """Fix the next batch for the archive, or answer the one that is fixed already.

    ``token`` is never used again: it makes the key of the batch's object unique.
    """

    token: str
    jobs_max: int
    bytes_max: int


class Drop(msgspec.Struct, frozen=True, gc=False):
    """The batch of this key stands in the archive: let go of its jobs' details."""

    key: str


class Lead(msgspec.Struct, frozen=True, gc=False):
    """Become the leader under a new epoch."""

    epoch: int
    broker: str
    broker_id: str
    heartbeat_every: int


class Share(msgspec.Struct, frozen=True, gc=False):
    """Go on from a version that nobody leads, as one of several writers.

    ``takes``: the place is taken by a commit of its own; otherwise the next change writes it down.
    """

    epoch: int
    writer: str
    takes: bool = False


class Resign(msgspec.Struct, frozen=True, gc=False):
    """Give leadership back."""


class GetJob(msgspec.Struct, frozen=True, gc=False):
    """Look at one job."""

    id: str


class GetStats(msgspec.Struct, frozen=True, gc=False):
    """Look at the counts."""


class GetState(msgspec.Struct, frozen=True, gc=False):
    """Look at the whole state object."""


class ListJobs(msgspec.Struct, frozen=True, gc=False):
    """Look at a page of jobs in the order of arrival."""

    limit: int
    cursor: str | None = None
    status: str | None = None
    type: str | None = None


class GetTypes(msgspec.Struct, frozen=True, gc=False):
    """Look at which types jobs are of."""


class GetPayloadKeys(msgspec.Struct, frozen=True, gc=False):
    """Look at which payload objects are named."""


Change: TypeAlias = (
    Submit
    | Claim
    | Complete
    | Heartbeat
    | Fail
    | Release
    | Cancel
    | Retry
    | Expire
    | Forget
    | Seal
    | Drop
    | Lead
    | Share
    | Resign
)
Query: TypeAlias = GetJob | GetStats | GetState | ListJobs | GetTypes | GetPayloadKeys
Op: TypeAlias = Change | Query
