"""A broker on loopback that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web

__all__ = ["Asked", "Say", "ScriptedBroker", "answers", "hangs", "redirects", "refuses", "running"]

Say = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

STATS = {"total": 0, "unclaimed": 0, "inProgress": 0, "completedTotal": 0, "brokerAddress": "b"}


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    body: Any


class ScriptedBroker:
    """Says ``otherwise``, unless ``says`` has something for the path. Health is its own matter."""

    def __init__(self) -> None:
        self.otherwise: Say = answers({})
        self.says: dict[str, Say] = {}
        self.healthy = True
        self.checks = 0
        self.asked: list[Asked] = []
        self.gone: list[str] = []
        self.address = ""
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.asked]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until ``true()``, which is looked at after each request."""
        async with asyncio.timeout(10):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/healthz" and self.healthy:
            self.checks += 1
            self._changed.set()
            return web.json_response({"status": "ok"})
        body = await request.read()
        self.asked.append(Asked(request.method, request.path, _json(body)))
        self._changed.set()
        try:
            say = hangs() if request.path == "/healthz" else self.says.get(request.path)
            return await (say or self.otherwise)(request)
        except asyncio.CancelledError:
            self.gone.append(request.path)
            self._changed.set()
            raise


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:  # of another protocol
        return body


def answers(body: object, *, epoch: int | None = None, number: int = 1, status: int = 200) -> Say:
    """The answer of a leader."""

    async def say(_: web.BaseRequest) -> web.StreamResponse:
        headers = {} if epoch is None else {"osqueue-commit": f"{epoch}-{number}"}
        return web.json_response(body, status=status, headers=headers)

    return say


def redirects(leader: str | None, *, status: int = 307, applied: str = "no") -> Say:
    """The answer of a broker that does not lead."""
    body = {"_tag": "BrokerLeadershipError", "message": "not the leader", "applied": applied}

    async def say(request: web.BaseRequest) -> web.StreamResponse:
        if leader is None:
            return web.json_response(body, status=503)
        location = f"http://{leader}{request.path_qs}"
        told = {**body, "leader": leader}
        return web.json_response(told, status=status, headers={"location": location})

    return say


def refuses(tag: str, *, status: int) -> Say:
    """An error in the broker's form."""
    return answers({"_tag": tag, "message": f"{tag}!"}, status=status)


def hangs() -> Say:
    """No answer, ever."""

    async def say(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    return say


@asynccontextmanager
async def running(broker: ScriptedBroker, port: int = 0) -> AsyncIterator[ScriptedBroker]:
    """The broker listens inside."""
    server = web.Server(broker.handle, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    host, port = runner.addresses[0][:2]
    broker.address = f"{host}:{port}"
    try:
        yield broker
    finally:
        await runner.cleanup()
