"""Embedded queues: an error in each line marked ``wrong``, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

import msgspec
from pydantic import BaseModel

from osqueue import Queue, SyncQueue
from osqueue.embedded import QueueJob, SyncQueueJob


class SendEmail(BaseModel):
    to: str


@dataclass
class Report:
    day: str


class Note(msgspec.Struct):
    text: str


class Fields(TypedDict):
    number: int


async def embedded() -> None:
    async with Queue(SendEmail, storage="memory://") as q:
        assert_type(q, Queue[SendEmail])
        assert_type(await q.push(SendEmail(to="ada"), delay_ms=5, priority=1), str)
        await q.push(Report("monday"))  # wrong
        await q.push(SendEmail(to="ada"), delay="soon")  # wrong
        await q.push_many([SendEmail(to="ada")])
        await q.push_many([Report("monday")])  # wrong
        assert_type(await q.claim(), QueueJob[SendEmail] | None)
        async for job in q.consume():
            assert_type(job.payload, SendEmail)
            assert_type(job.payload.subject, str)  # wrong
            async with job as same:
                assert_type(same, QueueJob[SendEmail])
                await q.complete(same, {"sent": True})
        async with q.consume(concurrency=2) as jobs:
            async for job in jobs:
                assert_type(job.payload.to, str)


async def of_other_kinds(other: QueueJob[Note]) -> None:
    reports = Queue(Report, storage="file:///tmp/q", job_type="report", brokerless=True)
    assert_type(reports, Queue[Report])
    await reports.complete(other)  # wrong
    assert_type(Queue(Note, storage="memory://"), Queue[Note])
    assert_type(Queue(Fields, storage="memory://"), Queue[Fields])
    anything = Queue("app.models:Order", storage="memory://", job_type="order")
    assert_type(anything, Queue[Any])


def options() -> None:
    Queue(Note)  # wrong
    Queue(Note, storage=7)  # wrong
    Queue(Note, storage="memory://", leader=True)  # wrong


def plain() -> None:
    with SyncQueue(Note, storage="memory://") as q:
        assert_type(q, SyncQueue[Note])
        q.push(Note("a"))
        q.push(Report("monday"))  # wrong
        for job in q.consume():
            assert_type(job, SyncQueueJob[Note])
            with job:
                job.payload.text = 7  # wrong
        assert_type(q.ask(lambda client: client.get_stats()).total, int)
