"""A broker on a real Ceph cluster of this machine, and what a write costs there.

Prints the put latency of the S3 store against boto3, then submits, cycles and commits per second
with 64 clients. Wants what `make servers` installs; cluster, broker and load share the machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import boto3
import uvloop
from load import Connection, connections, drive, emit
from rest import broker, cpu_s, cycle, submit

from osqueue.storage import Store, open_store

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.integration.servers.ceph import Ceph, ceph
from tests.integration.servers.s3 import ACCESS_KEY, SECRET_KEY

Step = Callable[[Connection], Awaitable[int]]

CLIENTS = 64
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
SIZES = {"1 KB": (1_000, 200), "1 MB": (1_000_000, 30), "30 MB": (30_000_000, 7)}


async def store_puts(store: Store, size: int, times: int) -> tuple[list[float], float]:
    """Seconds of each conditional put, and processor seconds of one."""
    version = await store.create(f"bench/{size}", b"0" * size)
    taken, cpu = [], time.process_time()
    for number in range(times):
        data = b"%d" % (number % 10) * size
        began = time.perf_counter()
        version = await store.put(f"bench/{size}", data, if_version=version)
        taken.append(time.perf_counter() - began)
    return taken, (time.process_time() - cpu) / times


def boto_puts(url: str, port: int, size: int, times: int) -> tuple[list[float], float]:
    """The same with boto3; unquoted, as this Ceph wants it."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )
    place = {"Bucket": url.removeprefix("s3://").partition("?")[0], "Key": f"boto/{size}"}
    e_tag = client.put_object(**place, Body=b"0" * size, IfNoneMatch="*")["ETag"]
    taken, cpu = [], time.process_time()
    for number in range(times):
        data = b"%d" % (number % 10) * size
        began = time.perf_counter()
        e_tag = client.put_object(**place, Body=data, IfMatch=e_tag.strip('"'))["ETag"]
        taken.append(time.perf_counter() - began)
    return taken, (time.process_time() - cpu) / times


async def put_latency(cluster: Ceph) -> None:
    url = cluster.new_store()
    store = open_store(url)
    for name, (size, times) in SIZES.items():
        port = cluster.gateway_ports[0]
        ours, our_cpu = await store_puts(store, size, times)
        theirs, their_cpu = await asyncio.to_thread(boto_puts, url, port, size, times)
        emit(
            "ceph.put_ms",
            size=name,
            store_p50=round(sorted(ours)[times // 2] * 1e3, 2),
            boto3_p50=round(sorted(theirs)[times // 2] * 1e3, 2),
            store_cpu_ms=round(our_cpu * 1e3, 2),
            boto3_cpu_ms=round(their_cpu * 1e3, 2),
        )
    await store.close()


async def commits(session: aiohttp.ClientSession, port: int) -> int:
    """How many the broker has made."""
    async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        made: int = (await answer.json())["commits"]
    return made


async def throughput(
    cluster: Ceph, name: str, step: Callable[[Connection], Awaitable[int]]
) -> None:
    with broker(cluster.new_store()) as (port, pid):
        async with connections(port, CLIENTS) as pool, aiohttp.ClientSession() as session:
            await drive(pool, 1, step)
            first, cpu = await commits(session, port), cpu_s(pid)
            began = time.perf_counter()
            rate = await drive(pool, SECONDS, step)
            took = time.perf_counter() - began
            made = await commits(session, port) - first
            share = (cpu_s(pid) - cpu) / took
    emit(
        f"ceph.{name}_per_s",
        clients=CLIENTS,
        figure=round(rate),
        commits_per_s=round(made / took, 1),
        jobs_per_commit=round(rate * took / made, 1),
        broker_cpu=round(share, 2),
    )


async def main() -> None:
    with ceph() as cluster:
        await put_latency(cluster)
        await throughput(cluster, "submits", submit)
        await throughput(cluster, "cycles", cycle)


if __name__ == "__main__":
    uvloop.run(main())
