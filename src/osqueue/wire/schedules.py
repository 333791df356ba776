"""Schedules as they travel, for both sides of the wire; see `osqueue.wire.messages`.

REST names a schedule in its path; its bodies (`ScheduleSpec`, `RunSpec`) say the rest.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from osqueue.config import (
    SCHEDULE_CRON_CHARS_MAX,
    SCHEDULE_EVERY_MS_MAX,
    SCHEDULE_EVERY_MS_MIN,
    SCHEDULE_NAME_CHARS_MAX,
    SCHEDULE_ZONE_CHARS_MAX,
    RetryPolicy,
)
from osqueue.wire.messages import Attempts, JobId, Name, Priority, TimeoutMs

__all__ = [
    "PutScheduleRequest",
    "RunScheduleRequest",
    "RunSpec",
    "ScheduleInfo",
    "ScheduleName",
    "ScheduleRef",
    "ScheduleSpec",
    "SchedulesPage",
]

ScheduleName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=SCHEDULE_NAME_CHARS_MAX,
        pattern=r"^(?!\.{1,2}\Z)[A-Za-z0-9._~-]+\Z",
    ),
]
"""What can stand in a path, as a job's id."""


class _Message(msgspec.Struct, rename="camel", gc=False):
    """Unknown fields are ignored, as everywhere on this wire."""


class ScheduleSpec(_Message, kw_only=True, omit_defaults=True):
    """`PUT /v1/schedules/{name}`: what is submitted, and when.

    Either ``cron`` (five fields: minute, hour, day, month, weekday) in ``timezone``, an IANA name
    and by default UTC; or ``everyMs``. ``missed``: ``once`` (the default) makes one job of all the
    times that were missed, ``skip`` none. The rest is as in a submit.
    """

    type: Name | None = None
    payload: Raw | UnsetType = UNSET
    cron: Annotated[str, Meta(max_length=SCHEDULE_CRON_CHARS_MAX)] | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=SCHEDULE_ZONE_CHARS_MAX)] | None = None
    every_ms: Annotated[int, Meta(ge=SCHEDULE_EVERY_MS_MIN, le=SCHEDULE_EVERY_MS_MAX)] | None = None
    priority: Priority = 0
    max_attempts: Attempts | None = None
    retry: RetryPolicy | None = None
    timeout_ms: TimeoutMs | None = None
    keep_result: bool = False
    missed: Annotated[str, Meta(pattern=r"^(once|skip)\Z")] | None = None
    paused: bool | None = None
    """By default as it is; a new one is not paused."""


class PutScheduleRequest(ScheduleSpec, kw_only=True, omit_defaults=True):
    """The same with its name."""

    name: ScheduleName


class ScheduleRef(_Message, kw_only=True, omit_defaults=True):
    """Which schedule is meant."""

    name: ScheduleName


class RunSpec(_Message, kw_only=True, omit_defaults=True):
    """`POST /v1/schedules/{name}/run`. ``jobId`` makes it idempotent."""

    job_id: JobId | None = None


class RunScheduleRequest(RunSpec, kw_only=True, omit_defaults=True):
    """The same with the schedule's name."""

    name: ScheduleName


class ScheduleInfo(_Message, kw_only=True, omit_defaults=True):
    """A schedule as it stands. Times are ms since the epoch.

    ``when`` says in words when it comes. ``nextAt`` is left out while it is paused, or when it
    comes never again; ``lastAt`` is the time that came last, and ``lastJobId`` its job.
    ``payloadHidden``: the payload is left out, as whoever asks may not see it.
    """

    name: str
    type: str = ""
    payload: Raw | UnsetType = UNSET
    cron: str | None = None
    timezone: str | None = None
    every_ms: int | None = None
    when: str = ""
    priority: int = 0
    max_attempts: int | None = None
    retry: RetryPolicy | None = None
    timeout_ms: int | None = None
    keep_result: bool = False
    missed: str = "once"
    paused: bool = False
    created_at: int
    next_at: int | None = None
    last_at: int | None = None
    last_job_id: str | None = None
    payload_hidden: bool = False

    def hide_payload(self) -> None:
        """Leave out what may be secret."""
        self.payload_hidden = self.payload is not UNSET
        self.payload = UNSET


class SchedulesPage(_Message, kw_only=True, omit_defaults=True):
    """`GET /v1/schedules`: a page of schedules, by name."""

    schedules: list[ScheduleInfo]
    next_cursor: str | None = None
