"""The law of schedules: they move ahead, and each time that goes by brings its job."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

import msgspec

from osqueue.model.batches import id_time
from osqueue.model.schedules import fired_job_id
from osqueue.testing.simulation.laws.law import expect

__all__ = ["NAMES", "ScheduleView", "expect_moved_on", "is_of_a_time"]

NAMES: Final = ("hourly", "often", "rarely")


class ScheduleView(msgspec.Struct, frozen=True, rename="camel"):
    """A schedule as it stands in the object."""

    name: str
    created_at: int
    last_at: int = 0
    last_job_id: str | None = None


def is_of_a_time(job_id: str) -> bool:
    """Whether it is the id of a job that one of the schedules submits at one of its times."""
    at = id_time(job_id)
    return at is not None and any(job_id == fired_job_id(name, at) for name in NAMES)


def expect_moved_on(
    before: Iterable[ScheduleView], after: Iterable[ScheduleView], known: Container[str]
) -> None:
    """Those that stand in both versions moved ahead, if at all, and the time that they left brought
    its job. ``known``: the jobs that were ever there, up to the later version.
    """
    earlier = {each.name: each for each in before}
    for each in after:
        then = earlier.get(each.name)
        if then is None or then.created_at != each.created_at or then.last_at == each.last_at:
            continue
        expect(each.last_at > then.last_at, "a time of schedule %s came twice", each.name)
        job_id = fired_job_id(each.name, each.last_at)
        expect(each.last_job_id == job_id, "schedule %s names the job of its time", each.name)
        expect(job_id in known, "a time of schedule %s went without its job", each.name)
