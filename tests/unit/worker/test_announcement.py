"""How a worker tells the leader what payloads its job types have, and what happens if it cannot."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from tests.unit.worker.conftest import ManualTime, NaiveQueue, eventually, settled

from osqueue.client import OsqueueClient
from osqueue.errors import BrokerProtocolError, TransportConnectionError
from osqueue.jobs import HandlerSpec, Jobs
from osqueue.jobs.schema import Schema
from osqueue.worker import Worker


class Mail(msgspec.Struct):
    to: str


jobs = Jobs()


@jobs.job("email:send")
async def send(_: Mail) -> None: ...


@jobs.job("any")
async def anything(_: Any) -> None: ...


async def nothing(_: Any) -> None: ...


def announced(queue: NaiveQueue) -> list[dict[str, Any]]:
    """What was announced each time: of each type the names of its fields."""
    return [
        {
            name: None if info.schema is msgspec.UNSET else msgspec.json.decode(info.schema)
            for name, info in request.types.items()
        }
        for request in queue.asked("announceTypes")
    ]


async def test_worker_when_it_starts_then_its_types_are_announced(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    async with Worker(client, jobs):
        await eventually(lambda: queue.asked("announceTypes"))
    (told,) = announced(queue)
    assert told == {"email:send": msgspec.json.schema(Mail), "any": None}


async def test_worker_when_another_leader_answers_then_its_types_are_announced_again(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    queue.epoch = 1
    async with Worker(client, {"t": nothing}):
        await eventually(lambda: queue.asked("announceTypes"))
        queue.push()
        await eventually(lambda: queue.completed)
        assert len(announced(queue)) == 1
        queue.epoch = 2
        queue.push()
        await eventually(lambda: len(announced(queue)) == 2)
        queue.push()
        await eventually(lambda: len(queue.completed) == 3)
    assert announced(queue) == [{"t": None}] * 2


async def test_worker_when_the_broker_does_not_know_types_then_it_works_and_leaves_it_be(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    queue.faults["announceTypes"] = [BrokerProtocolError("Route PUT:/v1/types", status=404)]
    async with Worker(client, jobs):
        queue.push(b'{"to":"a"}', job_type="email:send")
        await eventually(lambda: queue.completed and announced(queue))
        await settled()
    assert len(announced(queue)) == 1
    assert caplog.messages == []


async def test_worker_when_the_broker_is_away_then_its_types_are_announced_later(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    queue.faults["announceTypes"] = [TransportConnectionError("away")] * 2
    async with Worker(client, {"t": nothing}):
        await eventually(lambda: len(announced(queue)) == 1)
        await time.pass_ms(5_000)
        assert len(announced(queue)) == 2
        await time.pass_ms(5_000)
        assert len(announced(queue)) == 3
        assert time.pauses_ms() == []


async def test_worker_when_its_transport_knows_nothing_of_types_then_it_works(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    queue.faults["announceTypes"] = [NotImplementedError()]
    async with Worker(client, {"t": nothing}):
        queue.push()
        await eventually(lambda: queue.completed)


async def test_worker_when_its_types_are_not_taken_then_claims_do_not_wait_for_that(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    queue.gates["announceTypes"] = asyncio.Event()
    async with Worker(client, {"t": nothing}):
        queue.push()
        await eventually(lambda: queue.completed)


async def test_worker_when_a_type_is_yet_to_be_imported_then_announced_without_its_schema(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    spec = HandlerSpec(function=nothing, schema=Schema.of("no.such.module:Mail", job_type="t"))
    async with Worker(client, {"t": spec}):
        await eventually(lambda: queue.asked("announceTypes"))
    assert announced(queue) == [{"t": None}]
