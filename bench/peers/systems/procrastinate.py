"""Procrastinate over PostgreSQL.

Default: one job at a time. Best: "Launch multiple jobs concurrently" (more than 8 were slower, as
was deleting finished jobs) and "Defer multiple jobs at once".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

import uvloop
from peers.jobs import NAME, Payload, run_async
from peers.producers import Calls, Tasks
from procrastinate import App, PsycopgConnector
from procrastinate.tasks import Task

__all__ = ["connect", "work"]

SETTINGS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {"default": {}, "best": {"concurrency": 8}}
)
UNFINISHED = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"


class Defers:
    def __init__(self, app: App, task: Task) -> None:
        self._app = app
        self._task = task

    async def enqueue(self, payload: Payload) -> None:
        await self._task.defer_async(given=payload)

    async def enqueue_bulk(self, payloads: Sequence[Payload]) -> None:
        await self._task.batch_defer_async(*[{"given": payload} for payload in payloads])

    async def unfinished(self) -> int:
        return int((await self._app.connector.execute_query_one_async(UNFINISHED))["count"])


def make_app(store: str) -> tuple[App, Task]:
    app = App(connector=PsycopgConnector(conninfo=store))
    return app, app.task(name=NAME)(run_async)


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    assert setting in SETTINGS
    app, task = make_app(store)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        defers = Defers(app, task)
        yield Tasks(defers, defers.enqueue_bulk)


def work(setting: str, store: str) -> None:
    loop = asyncio.new_event_loop if setting == "default" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run_worker(setting, store))


async def run_worker(setting: str, store: str) -> None:
    app, _ = make_app(store)
    async with app.open_async():
        await app.run_worker_async(**SETTINGS[setting])
