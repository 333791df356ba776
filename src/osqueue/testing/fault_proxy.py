"""A proxy on loopback that stands in front of an object store and fails as it is told.

Point a store's endpoint at `FaultProxy.url`; the client and the store are the real ones::

    script = HttpScript([
        HttpStep(fault=HttpFault.LOST_REPLY, method="PUT"),     # applied, never answered
        HttpStep(fault=HttpFault.LATE_WRITE, path="queue.json", delay_s=5.0),
    ])
    async with FaultProxy("http://127.0.0.1:9000", script) as proxy:
        ...                                                     # endpoint=proxy.url
        await proxy.settled()                                   # late writes have landed

It speaks plain HTTP/1.1 and passes every byte as it came. The Host header stays the one that the
client signed: its own endpoint, which is the proxy's. It belongs to one event loop; a client that
blocks must run in a thread or a process of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Final, Self
from urllib.parse import urlsplit

from osqueue.testing.http_faults import (
    Exchange,
    HttpFault,
    HttpFaultSource,
    HttpScript,
    HttpStep,
)
from osqueue.testing.http_framing import PIECE_BYTES, FramingError, Head, read_head
from osqueue.testing.http_peer import Peer, Place
from osqueue.testing.http_turn import LateWrite, Turn, request_of

__all__ = ["LOG_MAX", "FaultProxy"]

LOG_MAX: Final = 100_000
"""Entries of the log, the newest: a load test of hours must not fill the memory."""

LOOPBACK: Final = "127.0.0.1"


class FaultProxy:
    """Stands in front of ``upstream`` (``http://host:port``, a path may follow).

    ``faults`` tells what becomes of each request; assign another at any time. What happened stands
    in ``log``, in the order in which it ended, and ``counts`` has the number of requests by fault.
    Use it with ``async with``: at the end every connection is broken, and late writes that have not
    landed never will.
    """

    def __init__(self, upstream: str, faults: HttpFaultSource | None = None) -> None:
        self._place, self._path = _place(upstream)
        self.faults: HttpFaultSource = HttpScript() if faults is None else faults
        self.log: deque[Exchange] = deque(maxlen=LOG_MAX)
        self.counts: Counter[HttpFault] = Counter()
        self._port = 0
        self._server: asyncio.Server | None = None
        self._hanging = False
        self._serving: dict[asyncio.Task[None], Peer] = {}
        self._late: dict[asyncio.Task[Exchange], LateWrite] = {}

    @property
    def url(self) -> str:
        """Where clients connect to, once it has started; stays the same over `down` and `up`."""
        return f"http://{LOOPBACK}:{self._port}{self._path}"

    @property
    def late(self) -> int:
        """How many late writes have not landed yet."""
        return len(self._late)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.down()
        tasks = [*self._serving, *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def down(self, *, hang: bool = False) -> None:
        """Be out of order: refuse connections and break the open ones.

        With ``hang``: take connections and requests, and neither forward nor answer them; such
        requests count as lost. What was forwarded before takes effect all the same.
        """
        self._hanging = hang
        if hang:
            return
        if self._server is not None:
            self._server.close()
            self._server = None
        self._break_connections()

    async def up(self) -> None:
        """Work again. What arrived while it hung is lost. Raises `OSError` if the port is gone."""
        if self._hanging:
            self._hanging = False
            self._break_connections()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, LOOPBACK, self._port, limit=PIECE_BYTES
            )
            self._port = self._server.sockets[0].getsockname()[1]

    async def land(self) -> int:
        """Forward every late write now; how many of them the upstream answered with success."""
        tasks = list(self._late)
        for late in self._late.values():
            late.told.set()
        landed = await asyncio.gather(*tasks)
        return sum(200 <= (entry.upstream or 0) <= 299 for entry in landed)

    async def settled(self) -> None:
        """Return when every late write has landed. One without a ``delay_s`` waits for `land`."""
        while self._late:
            await asyncio.wait(self._late)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Peer(reader, writer)
        task = asyncio.create_task(self._serve(client), name="osqueue-proxy-connection")
        self._serving[task] = client
        task.add_done_callback(self._serving.pop)

    async def _serve(self, client: Peer) -> None:
        try:
            while await self._next_turn(client):
                pass
            await client.close()
        finally:
            client.abort()

    async def _next_turn(self, client: Peer) -> bool:
        head = await self._next_head(client)
        if head is None:
            return False
        if self._hanging:
            return await self._ignore(head, client)
        step = self.faults.step(request_of(head))
        self.counts[step.fault] += 1
        turn = Turn(head, step, client=client, place=self._place, hold=self._hold)
        self.log.append(await turn.play())
        return turn.goes_on and not head.closes

    async def _ignore(self, head: Head, client: Peer) -> bool:
        self.counts[HttpFault.LOST_REQUEST] += 1
        request = request_of(head)
        self.log.append(Exchange(request.method, request.target, HttpFault.LOST_REQUEST))
        await client.left()
        return False

    async def _next_head(self, client: Peer) -> Head | None:
        try:
            return await read_head(client.reader)
        except FramingError as error:
            self.log.append(Exchange("", "", error=str(error)))
            client.reset()
        except OSError:
            pass  # it left between two requests
        return None

    def _hold(self, late: LateWrite, step: HttpStep) -> asyncio.Task[Exchange]:
        task = asyncio.create_task(late.land(step.delay_s), name="osqueue-proxy-late-write")
        self._late[task] = late
        task.add_done_callback(self._landed)
        return task

    def _landed(self, task: asyncio.Task[Exchange]) -> None:
        del self._late[task]
        if not task.cancelled():
            self.log.append(task.result())

    def _break_connections(self) -> None:
        for client in self._serving.values():
            client.reset()


def _place(upstream: str) -> tuple[Place, str]:
    parts = urlsplit(upstream)
    if parts.scheme != "http" or parts.hostname is None or parts.query or parts.username:
        raise ValueError("the upstream of a proxy is an http:// URL of a host, a port and a path")
    return (parts.hostname, parts.port or 80), parts.path.rstrip("/")
