"""taskiq over Redis, by streams: the broker of taskiq-redis that acknowledges.

Default: 100 tasks at a time, JSON. Best: "CLI" (uvloop and a prefetch; more tasks at a time were no
faster) and "Message format" (orjson). It has no bulk call.

``unacknowledged``: the same over the list broker, which forgets what a worker that dies has taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import uvloop
from peers.jobs import NAME, Payload, run_async
from peers.producers import Calls, Tasks
from redis.asyncio import Redis
from taskiq import AsyncBroker
from taskiq.api import run_receiver_task
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import ListQueueBroker, RedisStreamBroker

__all__ = ["connect", "work"]

QUEUE = "taskiq"
"""The name that its brokers take for the queue and for the group of its workers."""


@dataclass(frozen=True)
class Setting:
    tasks: int = 100
    prefetch: int = 0
    fast: bool = False
    acknowledged: bool = True


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "default": Setting(),
        "best": Setting(prefetch=100, fast=True),
        "unacknowledged": Setting(prefetch=100, fast=True, acknowledged=False),
    }
)


class Kicks:
    def __init__(self, broker: AsyncBroker, redis: Redis, setting: Setting) -> None:
        self._task = broker.register_task(run_async, task_name=NAME)
        self._redis = redis
        self._acknowledged = setting.acknowledged

    async def enqueue(self, payload: Payload) -> None:
        await self._task.kiq(payload)

    async def unfinished(self) -> int:
        if not self._acknowledged:
            return int(await self._redis.llen(QUEUE))
        (group,) = await self._redis.xinfo_groups(QUEUE)
        return int(group["pending"]) + int(group["lag"])


def make_broker(setting: Setting, store: str) -> AsyncBroker:
    kind = RedisStreamBroker if setting.acknowledged else ListQueueBroker
    broker = kind(store)
    return broker.with_serializer(ORJSONSerializer()) if setting.fast else broker


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    chosen = SETTINGS[setting]
    broker = make_broker(chosen, store)
    await broker.startup()
    redis = Redis.from_url(store)
    try:
        yield Tasks(Kicks(broker, redis, chosen))
    finally:
        await redis.aclose()
        await broker.shutdown()


def work(setting: str, store: str) -> None:
    chosen = SETTINGS[setting]
    loop = uvloop.new_event_loop if chosen.fast else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run_worker(chosen, store))


async def run_worker(chosen: Setting, store: str) -> None:
    broker = make_broker(chosen, store)
    broker.register_task(run_async, task_name=NAME)
    await run_receiver_task(
        broker, max_async_tasks=chosen.tasks, max_prefetch=chosen.prefetch, run_startup=True
    )
