"""What open dashboards cost a broker: its processor time under a steady load, by how many watch.

Jobs come, are claimed and completed one by one at a fixed rate, over REST. One broker process for
all, and short rounds of the variants in turn, as the machine is not alike at all times: the least
of each tells of it, and the others of what else went on. What it takes to renew the overview, and
to make the next document, is also timed by itself, in this process.
"""

# ruff: noqa: SLF001 - what is timed is inside
from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles

import aiohttp
import uvloop
from load import Connection, connections, emit
from rest import broker, cycle

from osqueue.app import BrokerServer
from osqueue.broker.service import DEFAULT_QUEUE
from osqueue.clock import SystemClock, SystemEntropy
from osqueue.engine.callers import Caller
from osqueue.server.dashboard.live import Live, Place
from osqueue.wire.messages import ClaimRequest, SubmitBatchRequest, SubmitRequest

JOBS_PER_S = int(os.environ.get("BENCH_JOBS_PER_S", "1000"))
CONNECTIONS = 16
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "20"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
WATCHERS = (0, 1, 10)
RENEWALS = 200
TARGET = 0.01
"""Of a processor, more than without anybody."""


class Heard:
    """What the watchers of one phase have been sent."""

    documents = 0
    size = 0
    seconds = 0.0


def cpu_s(pid: int) -> float:
    """Of the thread that serves, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def steady(pool: list[Connection], seconds: float) -> float:
    """Jobs per second, as they come due; each connection does its share one after another."""
    started = time.perf_counter()
    interval_s = len(pool) / JOBS_PER_S

    async def one(number: int, connection: Connection) -> int:
        done = 0
        due_at = started + interval_s * number / len(pool)
        while due_at < started + seconds:
            await asyncio.sleep(max(0, due_at - time.perf_counter()))
            done += await cycle(connection)
            due_at += interval_s
        return done

    done = sum(await asyncio.gather(*[one(*each) for each in enumerate(pool)]))
    return done / (time.perf_counter() - started)


async def watch(session: aiohttp.ClientSession, port: int, heard: Heard) -> None:
    async with session.ws_connect(f"http://127.0.0.1:{port}/v1/ws", max_msg_size=0) as socket:
        await socket.send_json({"id": 1, "method": "watchOverview", "params": {}})
        async for message in socket:
            heard.documents += 1
            heard.size += len(message.data)


@asynccontextmanager
async def watchers(port: int, number: int) -> AsyncIterator[Heard]:
    heard = Heard()
    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(watch(session, port, heard)) for _ in range(number)]
        try:
            yield heard
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def phase(
    pool: list[Connection], port: int, pid: int, number: int
) -> tuple[float, float, Heard]:
    """Share of a processor, jobs per second, and what was sent."""
    async with watchers(port, number) as heard:
        await steady(pool, 0.5)  # the whole document is sent in it
        heard.documents = heard.size = 0
        before, started = cpu_s(pid), time.perf_counter()
        rate = await steady(pool, SECONDS)
        heard.seconds = time.perf_counter() - started
        share = (cpu_s(pid) - before) / heard.seconds
    return share, rate, heard


async def renewals(types: int, workers: int, jobs: int) -> None:
    """Processor time of one renewal, when all has changed that can be told."""
    live = Live(SystemClock(), SystemEntropy())
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=0) as server:
        assert server._core is not None, "it has been started"
        engine, service = server._core.engine, server._core.service
        place = Place(engine, service.streams, "memory://", list, service.workers)
        live.settle(place)
        live.role_changed("leader", 1)
        for number in range(types):
            batch = [SubmitRequest(type=f"type-{number}")] * (workers * jobs // types + 5)
            await service.submit_batch(DEFAULT_QUEUE, SubmitBatchRequest(batch))
        for number in range(workers):
            request = ClaimRequest(worker_id=f"worker-{number}", max=jobs)
            await service.claim(DEFAULT_QUEUE, request, Caller())
        times, size = [], 0
        for _ in range(RENEWALS):
            for worker in live._documents._workers.all().values():
                worker.held += 1  # as if it had changed
            mark = live._documents.mark
            live.history.put(1_000)
            live._outdated = True
            began = time.thread_time()
            await live.renew(place)
            size = len(live._documents.since(mark, 0))
            times.append(time.thread_time() - began)
    emit(
        "dashboard.us_per_renewal",
        types=types,
        workers=workers,
        jobs_of_each=jobs,
        best=round(min(times) * 1e6),
        document_bytes=size,
        share_at_4_per_s=round(4 * min(times), 5),
        target=TARGET,
    )


async def main() -> None:
    for types, workers, jobs in ((3, 4, 4), (10, 20, 10), (100, 200, 20)):
        await renewals(types, workers, jobs)
    shares: dict[int, list[float]] = {number: [] for number in WATCHERS}
    sent: dict[int, list[Heard]] = {number: [] for number in WATCHERS}
    rates: dict[int, list[float]] = {number: [] for number in WATCHERS}
    with broker() as (port, pid):
        async with connections(port, CONNECTIONS) as pool:
            await steady(pool, 2)
            for _ in range(ROUNDS):
                for number in WATCHERS:
                    share, rate, heard = await phase(pool, port, pid, number)
                    shares[number].append(share)
                    rates[number].append(rate)
                    sent[number].append(heard)
    least = {number: min(shares[number]) for number in WATCHERS}
    for number in WATCHERS:
        told = sum(each.seconds for each in sent[number]) * max(1, number)
        emit(
            "dashboard.broker_cpu",
            watchers=number,
            jobs_per_s=round(sum(rates[number]) / ROUNDS),
            least=round(least[number], 4),
            lower_quartile=round(quantiles(shares[number], n=4)[0], 4),
            more_than_without=round(least[number] - least[0], 4),
            target=TARGET if number else None,
            documents_per_s=round(sum(each.documents for each in sent[number]) / told, 1),
            bytes_per_s=round(sum(each.size for each in sent[number]) / told),
        )


if __name__ == "__main__":
    uvloop.run(main())
