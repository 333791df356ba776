"""A reverse proxy, as nginx is one: it passes on what lies under a path, without that path."""

from __future__ import annotations

import asyncio
from typing import Final, Self

import aiohttp
from aiohttp import WSMsgType, web
from tests.integration.servers.process import HOST

__all__ = ["SubPath"]

OF_ONE_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})


class SubPath:
    """Serves ``upstream`` under ``path``, such as ``/queues/mail``. Use it with ``async with``."""

    def __init__(self, upstream: str, path: str) -> None:
        self._upstream = upstream
        self._path = path
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where the broker's root is."""
        assert self._runner is not None, "it has started"
        return f"http://{HOST}:{self._runner.addresses[0][1]}{self._path}"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", f"{self._path}/{{rest:.*}}", self._pass_on)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._runner is not None and self._session is not None  # noqa: PT018
        await self._session.close()
        await self._runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        target = self._upstream + request.raw_path.removeprefix(self._path)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in OF_ONE_HOP}
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._pass_socket_on(request, self._session, target)
        async with self._session.request(
            request.method,
            target,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in OF_ONE_HOP]
            body = await answer.read()
            return web.Response(status=answer.status, headers=kept, body=body)

    async def _pass_socket_on(
        self, request: web.Request, session: aiohttp.ClientSession, target: str
    ) -> web.StreamResponse:
        kept = {
            name: request.headers[name]
            for name in ("host", "origin", "cookie")
            if name in request.headers
        }
        offered = [
            each.strip() for each in request.headers.get("sec-websocket-protocol", "").split(",")
        ]
        protocols = [each for each in offered if each]
        async with session.ws_connect(target, headers=kept, protocols=protocols) as far:
            near = web.WebSocketResponse(protocols=protocols)
            await near.prepare(request)
            await asyncio.gather(_pump(near, far), _pump(far, near))
            return near


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: _Socket, sink: _Socket) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
    await sink.close()
