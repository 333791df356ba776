"""One address in front of several brokers, as a load balancer is: it leads to one of them at a
time, and connections that are open when it turns are broken.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

from tests.integration.servers.process import HOST

__all__ = ["Switch"]

PIECE_BYTES = 65_536


class Switch:
    """Passes bytes on to a port of this machine, and refuses connections while there is none.

    Use it with ``async with``.
    """

    def __init__(self) -> None:
        self._port = 0
        self._target: int | None = None
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Stays the same, wherever it leads."""
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.turn(None)
        if self._server is not None:
            self._server.close()

    async def turn(self, port: int | None) -> None:
        """Lead to another port, or nowhere."""
        self._target = port
        passing = list(self._passing)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="switch")
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._target is not None:
                with suppress(OSError):
                    await _pass_on(reader, writer, self._target)
        finally:
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    far_reader, far_writer = await asyncio.open_connection(HOST, port)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, far_writer))
            both.create_task(_pump(far_reader, writer))
    except* OSError:
        pass  # one of them has gone, as connections do
    finally:
        far_writer.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE_BYTES):
        sink.write(piece)
        await sink.drain()
    sink.write_eof()
