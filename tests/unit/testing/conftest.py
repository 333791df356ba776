"""Small real upstreams for the proxy, and clients that see what it does to a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
import pytest
from aiohttp import web

from osqueue.testing import FaultProxy, HttpScript, HttpStep

__all__ = ["Asked", "Bucket", "Start", "eventually", "exchange", "verbatim"]


class Bucket:
    """An object store of the smallest kind: PUT (with If-None-Match), GET, HEAD, DELETE."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests = 0
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        if request.method == "PUT":
            return self._put(request.path, await request.content.read(), request.headers)
        if request.method == "DELETE":
            self.objects.pop(request.path, None)
            return web.Response(status=204)
        if request.path not in self.objects:
            return web.Response(status=404)
        return web.Response(body=self.objects[request.path])

    def _put(self, path: str, body: bytes, headers: Mapping[str, str]) -> web.Response:
        if headers.get("if-none-match") == "*" and path in self.objects:
            return web.Response(status=412)
        self.objects[path] = body
        return web.Response(headers={"etag": f'"{len(body)}"'})


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    bucket = Bucket()
    runner = web.ServerRunner(web.Server(bucket.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bucket.url = "http://{}:{}".format(*runner.addresses[0])
    yield bucket
    await runner.cleanup()


class Start(Protocol):
    """Starts a proxy before the bucket, with a script."""

    async def __call__(self, *steps: HttpStep) -> FaultProxy: ...


@pytest.fixture
async def start(bucket: Bucket) -> AsyncIterator[Start]:
    started: list[FaultProxy] = []

    async def start(*steps: HttpStep) -> FaultProxy:
        proxy = FaultProxy(bucket.url, HttpScript(steps))
        started.append(await proxy.__aenter__())
        return proxy

    yield start
    for proxy in started:
        await proxy.__aexit__(None, None, None)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends a request once, as aiohttp's own tests have it."""
    async with aiohttp.ClientSession() as session:
        session._retry_connection = False
        yield session


class Asked:
    """What an upstream that answers fixed bytes was sent."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.url = ""


@asynccontextmanager
async def verbatim(
    answer: bytes, *, until: Callable[[bytes], bool] = lambda data: data.endswith(b"\r\n\r\n")
) -> AsyncIterator[Asked]:
    """An upstream that answers each connection the same bytes, once it has ``until``; then closes.

    Before a body that waits for it, it says 100.
    """
    asked = Asked()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while piece := await reader.read(2**16):
            data += piece
            if b"100-continue" in data and data.endswith(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif until(data):
                break
        asked.requests.append(data)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    asked.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield asked
    finally:
        server.close()


async def exchange(proxy: FaultProxy, *pieces: bytes) -> bytes:
    """Send bytes on a connection of their own; what comes until it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await _within_reason(reader.read())
    finally:
        writer.transport.abort()


async def _within_reason(answer: Awaitable[bytes]) -> bytes:
    async with asyncio.timeout(20):
        return await answer


async def eventually(true: Callable[[], object]) -> None:
    """Let everything run until ``true()``; fails when it never is."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - looks at what has no event of its own
            await asyncio.sleep(0)
