"""Queueing dead letters again that have left the state, many in one go."""

from __future__ import annotations

from typing import cast

import pytest
from tests.unit.model.driver import Driver

from osqueue.broker.bulk import act_on_jobs
from osqueue.broker.engines import QueueEngine
from osqueue.broker.reply import Reply
from osqueue.engine.archive import Archive
from osqueue.engine.requests import Held
from osqueue.model.batches import BatchName
from osqueue.model.ops import Act, Drop, Op, Seal
from osqueue.model.outcomes import Sealed
from osqueue.storage.memory import MemoryBackend
from osqueue.testing import ScriptedStore
from osqueue.wire.messages import ActionAnswer, ActionRequest, JobFilter


class Place:
    """A queue that keeps no dead letters itself, and its archive."""

    def __init__(self) -> None:
        self.queue = Driver(archived=True, dead_max=0)
        self.store = ScriptedStore(MemoryBackend())
        self.archive = Archive(self.store)
        self.asked: list[Op] = []
        self.sealed = 0

    async def ask(self, op: Op, *, size: int = 0) -> Held:
        self.asked.append(op)
        position = (1, len(self.asked))
        return Held(op=op, size=size, outcome=self.queue.do(op), position=position)

    async def bury(self, *job_ids: str) -> None:
        """Let them die, in one batch of the archive."""
        for job_id in job_ids:
            self.queue.submit(job_id, max_attempts=1)
            (job,) = self.queue.claim()
            self.queue.fail(job_id, job.lease)
        await self.move()

    async def move(self) -> None:
        self.sealed += 1
        self.queue.passes(1)
        sealed = self.queue.do(Seal(f"token{self.sealed}", 100, 10**9))
        assert isinstance(sealed, Sealed)
        await self.store.create(sealed.key, sealed.data)
        name = BatchName.parse(sealed.key)
        assert name is not None
        self.archive.add(name)
        self.queue.do(Drop(sealed.key))

    async def retry(self, *job_ids: str, wanted: JobFilter | None = None) -> Reply[ActionAnswer]:
        await self.archive.load()
        request = ActionRequest(action="retry", job_ids=list(job_ids), filter=wanted)
        return await act_on_jobs(cast("QueueEngine", self), request, self.archive)


def dated(number: int) -> str:
    """An id whose time is that of no other."""
    return f"0199{number:04}-0000-7000-8000-000000000000"


def reads(place: Place) -> int:
    return sum(each.call == "get" for each in place.store.log)


def refused(reply: Reply[ActionAnswer]) -> list[tuple[str, str]]:
    failed = reply.value.failed
    return [(each.job_id, each.error.tag) for each in failed if each.error is not None]


async def test_retry_when_all_stand_in_one_batch_then_it_is_read_once() -> None:
    place = Place()
    await place.bury(*"abc")
    reply = await place.retry(*"abc")
    assert (reply.value.done, reply.value.failed, reads(place)) == (3, [], 1)
    assert reply.position == (1, 2)
    assert {job_id: place.queue.state.jobs[job_id].attempts for job_id in "abc"} == dict.fromkeys(
        "abc", 0
    )


async def test_retry_when_none_has_left_the_state_then_the_archive_is_not_read() -> None:
    place = Place()
    await place.bury("gone")
    place.queue.submit("a")
    reply = await place.retry("a")
    assert (reply.value.done, reads(place), len(place.asked)) == (1, 0, 1)


async def test_retry_when_a_filter_is_given_too_then_what_it_does_not_mean_is_left_alone() -> None:
    place = Place()
    await place.bury("a")
    reply = await place.retry("a", wanted=JobFilter(type="t"))
    assert (reply.value.done, reply.value.skipped, place.queue.state.jobs.get("a")) == (0, 1, None)


async def test_retry_when_the_search_is_cut_short_then_asking_again_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("osqueue.engine.archive.ARCHIVE_LOOKUP_OBJECTS_MAX", 1)
    place = Place()
    first, second, third, unknown = map(dated, range(4))
    for job_id in (first, second, third):
        await place.bury(job_id)
    ask = (first, second, third, unknown)
    missing = (unknown, "JobNotFoundError")
    for left in ([first, second], [first], []):
        reply = await place.retry(*ask)
        assert refused(reply) == [*((job_id, "OverloadedError") for job_id in left), missing]
    assert {first, second, third} <= place.queue.state.jobs.keys()


async def test_retry_when_what_was_found_is_large_then_the_rest_is_left_for_another_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("osqueue.engine.archive.ARCHIVE_FOUND_BYTES_MAX", 10)
    place = Place()
    await place.bury("a")
    await place.bury("b")
    assert refused(await place.retry("a", "b")) == [("a", "OverloadedError")]


async def test_retry_when_it_died_and_was_completed_later_then_the_last_end_counts() -> None:
    place = Place()
    await place.bury("a")
    await place.retry("a")
    (job,) = place.queue.claim()
    place.queue.complete("a", job.lease)
    await place.move()
    place.queue.passes(10**9)
    place.asked.clear()
    reply = await place.retry("a")
    assert (reply.value.done, refused(reply)) == (0, [("a", "JobNotFoundError")])
    assert isinstance(place.asked[0], Act)
