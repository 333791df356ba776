"""celery over Redis, without a result backend: none is configured unless one is asked for.

Default: one child process (`--pool prefork`, the pool it comes with). Best: "Optimizing" (prefetch
limits, connection pools) and "Concurrency" (the solo pool spares the pipe to a child), without the
gossip between workers that "Workers Guide" tells of. It has no bulk call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from celery import Celery
from peers.jobs import NAME, Payload, run
from peers.producers import CALLERS, Calls, Threads
from redis import Redis

__all__ = ["connect", "work"]


@dataclass(frozen=True)
class Setting:
    config: Mapping[str, object] = field(default_factory=dict)
    worker: tuple[str, ...] = ("--concurrency=1",)


BEST = Setting(
    config={"worker_prefetch_multiplier": 128, "broker_pool_limit": CALLERS},
    worker=(
        "--pool=solo",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ),
)
SETTINGS: Mapping[str, Setting] = MappingProxyType({"default": Setting(), "best": BEST})


class Sends:
    def __init__(self, app: Celery, store: str) -> None:
        self._redis = Redis.from_url(store)
        self._task = app.tasks[NAME]

    def enqueue(self, payload: Payload) -> None:
        self._task.delay(payload)

    def unfinished(self) -> int:
        return int(self._redis.llen("celery")) + int(self._redis.hlen("unacked"))


def make_app(setting: str, store: str) -> Celery:
    app = Celery("peers", broker=store, set_as_current=False)
    app.conf.update(SETTINGS[setting].config)
    app.task(run, name=NAME)
    app.finalize()
    return app


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    yield Threads(Sends(make_app(setting, store), store))


def work(setting: str, store: str) -> None:
    options = SETTINGS[setting].worker
    make_app(setting, store).worker_main(["worker", "--loglevel=WARNING", *options])
