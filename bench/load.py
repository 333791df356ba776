"""A load generator that costs little: HTTP/1.1 over plain asyncio protocols, no pipelining."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    headers = b""
    """Lines that go with each request, such as a token."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._host = b"%b:%d" % _place(transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        at = head.find(b"content-length: ")
        length = 0 if at < 0 else int(head[at + 16 :].partition(b"\r")[0])
        if len(body) < length or self._answer is None:
            return
        self._buffer = b""
        answer, self._answer = self._answer, None
        if head[9:10] != b"2":
            answer.set_exception(RuntimeError((head + separator + body).decode()))
        else:
            answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(str(exc)))

    async def post(self, path: bytes, body: bytes, *, kind: bytes = b"application/json") -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(
            b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: %b\r\n%bcontent-length: %d\r\n\r\n%b"
            % (path, self._host, kind, self.headers, len(body), body)
        )
        return await self._answer


def _place(peer: tuple[str, int]) -> tuple[bytes, int]:
    return peer[0].encode(), peer[1]


@asynccontextmanager
async def connections(port: int, number: int) -> AsyncIterator[list[Connection]]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(number):
        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        made.append(connection)
    try:
        yield made
    finally:
        for connection in made:
            connection.transport.close()


async def drive(
    pool: list[Connection], seconds: float, step: Callable[[Connection], Awaitable[int]]
) -> float:
    """Units of work per second, all connections stepping until the time is up."""
    until = time.perf_counter() + seconds
    done = 0

    async def one(connection: Connection) -> None:
        nonlocal done
        while time.perf_counter() < until:
            units = await step(connection)
            done += units

    started = time.perf_counter()
    await asyncio.gather(*[one(connection) for connection in pool])
    return done / (time.perf_counter() - started)


def emit(bench: str, **figures: Any) -> None:
    print(json.dumps({"bench": bench, **figures}), flush=True)
