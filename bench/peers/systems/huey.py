"""huey over Redis, or over SQLite, told to sync at every commit ("Huey's API": ``fsync``).

Default: one thread; a database is looked at ever less often while it is empty. Best: "Consuming
Tasks": 8 threads share the syncs of Redis; SQLite lets one write at a time, so it stays one, which
looks every millisecond. It has no bulk call. A task is off the queue before it runs: one that a
worker died with is lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from huey import RedisHuey, SqliteHuey
from huey.api import Huey
from peers.jobs import NAME, Payload, run
from peers.producers import Calls, Threads

__all__ = ["connect", "work"]

SETTINGS: Mapping[tuple[str, str], Mapping[str, float]] = MappingProxyType(
    {
        ("redis", "default"): {},
        ("redis", "best"): {"workers": 8},
        ("file", "default"): {},
        ("file", "best"): {"initial_delay": 0.001, "max_delay": 0.001},
    }
)
QUEUE = "peers"


class Calling:
    def __init__(self, huey: Huey) -> None:
        self._huey = huey
        self._task = huey.task(name=NAME)(run)

    def enqueue(self, payload: Payload) -> None:
        self._task(payload)

    def unfinished(self) -> int:
        return int(self._huey.pending_count())


def make_huey(store: str) -> Huey:
    if kind(store) == "redis":
        return RedisHuey(QUEUE, url=store)
    return SqliteHuey(QUEUE, filename=f"{store.removeprefix('file://')}/huey.db", fsync=True)


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    assert (kind(store), setting) in SETTINGS
    yield Threads(Calling(make_huey(store)))


def work(setting: str, store: str) -> None:
    huey = make_huey(store)
    Calling(huey)
    options = SETTINGS[kind(store), setting]
    huey.create_consumer(**options, graceful_signal="TERM").run()


def kind(store: str) -> str:
    return store.partition("://")[0]
