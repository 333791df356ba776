"""The overview of a broker and its queue, as it travels in JSON: whole, or what has changed since.

What a document does not hold has not changed. `Overview.seq` says where it leaves its reader, who
gives it back as ``since`` to be told what comes next.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from osqueue.config import NAME_CHARS_MAX
from osqueue.wire.messages import JobEvent, Progress

__all__ = [
    "Overview",
    "OverviewBroker",
    "OverviewCounts",
    "OverviewHistory",
    "OverviewJob",
    "OverviewQuery",
    "OverviewStandby",
    "OverviewType",
    "OverviewWorker",
]


class _Message(msgspec.Struct, rename="camel", gc=False):
    """Made for all who watch at once, and encoded once."""


class OverviewQuery(_Message, kw_only=True, omit_defaults=True):
    """`GET /v1/overview`, and the stream `watchOverview`."""

    since: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] | None = None
    """The ``seq`` of what is known already; one that means nothing here gets the whole."""


class OverviewStandby(_Message, kw_only=True):
    """A broker that stands by for the leader."""

    id: str
    address: str
    seen_at: int


class OverviewBroker(_Message, kw_only=True, omit_defaults=True):
    """The broker that was asked. Times are ms since the epoch, as everywhere."""

    address: str
    broker_id: str
    role: str
    epoch: int
    ready: bool
    leader: str | None = None
    """The leader's address, as far as is known."""
    leader_since: int | None = None
    version: str
    store: str
    state_bytes: int | None = None
    standbys: list[OverviewStandby]
    problems: list[str]
    """What it goes on in spite of, and somebody should put right."""


class OverviewCounts(_Message, kw_only=True, omit_defaults=True):
    """The jobs of the queue. ``total`` is all but the dead: ``ready``, ``delayed``, ``waiting`` and
    ``in_progress``.
    """

    total: int
    ready: int
    delayed: int
    in_progress: int
    dead: int
    completed_total: int
    dead_total: int
    waiting_claims: int
    paused: bool
    oldest_ready_at: int | None = None
    """When the job was submitted that is next of its type, of all the oldest."""
    waiting: int = 0
    """Those that wait for other jobs."""


class OverviewType(_Message, kw_only=True):
    """The jobs of one type."""

    ready: int
    in_progress: int
    dead: int


class OverviewHistory(_Message, kw_only=True):
    """What has happened in each step of ``step_ms``, oldest first; the last step goes on.

    What was not measured, as nothing happened, is null. Of the whole history only so many steps
    are kept; a reader drops the oldest beyond that.
    """

    step_ms: int
    steps_max: int
    from_: int = msgspec.field(name="from")
    """When the first of these steps began, in ms since the epoch."""
    submitted: list[int]
    completed: list[int]
    failed: list[int]
    dead: list[int]
    wait_p50: list[int | None] = msgspec.field(name="waitP50")
    """For how long jobs could have been handed out that were, in ms."""
    wait_p99: list[int | None] = msgspec.field(name="waitP99")
    commits: list[int]
    changes: list[int]
    put_p50: list[float | None] = msgspec.field(name="putP50")
    """How long the store took to write the queue, in ms."""
    put_p99: list[float | None] = msgspec.field(name="putP99")
    depth: list[int | None]
    """Jobs that waited at the end of the step, ready or delayed; null while this broker did not
    lead."""


class OverviewJob(_Message, kw_only=True, omit_defaults=True):
    """A job that a worker holds, and since when."""

    id: str
    type: str
    since: int
    progress: Progress | None = None


class OverviewWorker(_Message, kw_only=True, omit_defaults=True):
    """A worker: what it says of itself, and what it holds."""

    id: str
    host: str = ""
    pid: int | None = None
    version: str = ""
    concurrency: int | None = None
    types: list[str] | None = None
    seen_at: int
    """When it was last heard of, by the second."""
    held: int
    jobs: list[OverviewJob]
    """Of many, those that it has held for longest."""


class Overview(_Message, kw_only=True, omit_defaults=True):
    """The whole (``reset``: forget what is known), or what has changed."""

    seq: str
    now: int
    reset: bool = False
    broker: OverviewBroker | None = None
    counts: OverviewCounts | None = None
    types: dict[str, OverviewType | None] | None = None
    """Those that have changed; null: there is nothing of it any more."""
    history: OverviewHistory | None = None
    workers: list[OverviewWorker] | None = None
    """Those that have changed."""
    workers_gone: list[str] = []
    activity: list[JobEvent] = []
    """What has become of jobs, oldest first: the newest of it."""
    skipped: int = 0
    """How much more there was."""
