"""Figures of one broker process by WebSocket with memory storage, load from this process.

Prints submits, batches and whole cycles per second over pipelined connections, and what many idle
connections cost, each with a claim that waits.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import uvloop
from load import emit
from rest import broker, cpu_s
from websockets.frames import Frame, Opcode

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
IDLE = [int(number) for number in os.environ.get("BENCH_IDLE", "1000,10000").split(",")]
JOB = b'{"payload":{"to":"' + b"x" * 180 + b'"},"type":"email:send"}'
BATCH = b'{"jobs":[' + b",".join([JOB] * 100) + b"]}"
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nhost: localhost:%d\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def message(method: bytes, params: bytes) -> bytes:
    """A request as a client sends it; the masking key is the same for all."""
    text = b'{"id":"1","method":"%b","params":%b}' % (method, params)
    return Frame(Opcode.TEXT, text).serialize(mask=True)


SUBMIT = message(b"submitJob", JOB)
SUBMIT_BATCH = message(b"submitJobs", BATCH)


class Socket(asyncio.Protocol):
    """One connection. It keeps ``depth`` requests under way, and counts the answers by length."""

    def __init__(self, port: int, request: bytes, depth: int) -> None:
        self._port = port
        self._request = request
        self._depth = depth
        self._unread = b""
        self._open = False
        self.answers = 0
        self.opened = asyncio.get_running_loop().create_future()
        self.until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(UPGRADE % self._port)

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._unread = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._open = True
            self.opened.set_result(None)
        answered, self._unread = _count(data)
        self.answers += answered
        if answered and time.perf_counter() < self.until:
            self.transport.write(self._request * answered)

    def run(self, until: float) -> None:
        """Keep asking until then."""
        self.until = until
        self.transport.write(self._request * self._depth)


def _count(data: bytes) -> tuple[int, bytes]:
    """How many whole messages there are, and what is left of the data."""
    at = answered = 0
    while len(data) - at >= 4:
        length, head = data[at + 1], 2
        if length == 126:
            length, head = data[at + 2] << 8 | data[at + 3], 4
        elif length == 127:
            length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        if len(data) < at + head + length:
            break
        assert b'"ok":false' not in data[at : at + head + min(length, 100)], data[at : at + 300]
        at += head + length
        answered += 1
    return answered, data[at:]


@asynccontextmanager
async def sockets(
    port: int, number: int, request: bytes, depth: int
) -> AsyncIterator[list[Socket]]:
    loop = asyncio.get_running_loop()
    made: list[Socket] = []

    def make() -> Socket:
        return Socket(port, request, depth)

    for _ in range(number):
        made.append((await loop.create_connection(make, "127.0.0.1", port))[1])
        await made[-1].opened
    try:
        yield made
    finally:
        for socket in made:
            socket.transport.close()


async def pipelined(name: str, request: bytes, *, units: int, depth: int, target: int) -> None:
    for connections in (1, 16):
        for _ in range(ROUNDS):
            with broker() as (port, pid):
                async with sockets(port, connections, request, depth // connections) as pool:
                    before, started = cpu_s(pid), time.perf_counter()
                    for socket in pool:
                        socket.run(started + SECONDS)
                    await asyncio.sleep(SECONDS)
                    took = time.perf_counter() - started
                    done = sum(socket.answers for socket in pool)
                    share = (cpu_s(pid) - before) / took
            emit(
                f"websocket.{name}_per_s",
                connections=connections,
                under_way=depth,
                figure=round(done * units / took),
                target=target,
                broker_cpu=round(share, 2),
                cpu_us_each=round(share * took / done / units * 1e6, 1),
            )


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def idle(number: int) -> None:
    claim = message(b"claimJobs", b'{"workerId":"w","waitMs":60000}')
    with broker() as (port, pid):
        before = rss_mb(pid)
        async with sockets(port, number, claim, 1) as pool:
            for socket in pool:
                socket.run(0)
            await asyncio.sleep(2)
            after, spent = rss_mb(pid), cpu_s(pid)
            await asyncio.sleep(10)
            emit(
                "websocket.idle",
                connections=number,
                added_mb=round(after - before, 1),
                target_mb=100 * number // 1_000,
                cpu_s_in_10_s=round(cpu_s(pid) - spent, 2),
            )


async def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    await pipelined("submits", SUBMIT, units=1, depth=512, target=15_000)
    await pipelined("batched_jobs", SUBMIT_BATCH, units=100, depth=64, target=100_000)
    for number in IDLE:
        await idle(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    uvloop.run(main())
