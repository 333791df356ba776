"""How long a broker's event loop stands still while 64 MiB payloads pass through it.

    python bench/payloads.py [--mib 64] [--storage memory://]

The broker runs in a process of its own with a ticker of 1 ms on its loop; this process submits a
job by `PUT`, claims and completes it, by plain HTTP, and asks for the longest gap of each step.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import subprocess
import sys
import time
from collections.abc import Callable

import uvloop
from load import emit

from osqueue.allocator import keep_large_buffers
from osqueue.app import BrokerServer

TICK_S = 0.001
MIB = 1024 * 1024


def texts(size: int) -> dict[str, bytes]:
    return {
        "one string": b'"' + b"x" * (size - 2) + b'"',
        "small numbers": b"[" + b"7," * (size // 2 - 2) + b"7]",
        "small objects": b"[" + b'{"a":1},' * (size // 8 - 1) + b"{}]",
    }


class Ticker:
    """The longest time for which the loop did not come round."""

    def __init__(self) -> None:
        self.gap_s = 0.0

    async def run(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.perf_counter()
            self.gap_s = max(self.gap_s, now - last - TICK_S)
            last = now

    def read(self) -> float:
        gap_s, self.gap_s = self.gap_s, 0.0
        return gap_s


async def serve(storage: str) -> None:
    keep_large_buffers()
    ticker = Ticker()
    async with BrokerServer(storage, host="127.0.0.1", port=0) as broker:
        gc.freeze()
        ticking = asyncio.create_task(ticker.run())
        print(broker.address, flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(f"{ticker.read() * 1_000:.1f}", flush=True)
        ticking.cancel()


class Steps:
    """Requests to the broker, each timed with the gap that it caused."""

    def __init__(self, broker: subprocess.Popen[str], address: str) -> None:
        self.broker = broker
        host, _, port = address.rpartition(":")
        self.http = http.client.HTTPConnection(host, int(port), timeout=120)

    def gap_ms(self) -> float:
        assert self.broker.stdin is not None
        assert self.broker.stdout is not None
        print(file=self.broker.stdin, flush=True)
        return float(self.broker.stdout.readline())

    def request(self, method: str, path: str, body: bytes) -> bytes:
        self.http.request(method, path, body, {"content-type": "application/json"})
        answer = self.http.getresponse()
        content = answer.read()
        assert answer.status < 300, content[:300]
        return content

    def timed(self, step: Callable[[], bytes]) -> tuple[float, float, bytes]:
        self.gap_ms()
        began = time.perf_counter()
        content = step()
        return time.perf_counter() - began, self.gap_ms(), content


def measure(steps: Steps, name: str, text: bytes) -> None:
    def told(step: str, took_s: float, gap_ms: float) -> None:
        figures = {"seconds": round(took_s, 2), "longest_gap_ms": gap_ms, "target": 20}
        emit("payloads.event_loop", payload=name, mib=len(text) // MIB, step=step, **figures)

    claim = b'{"workerId":"w"}'
    path = "/v1/jobs/" + name.replace(" ", "-")
    took_s, gap_ms, _ = steps.timed(lambda: steps.request("PUT", path, text))
    told("submit", took_s, gap_ms)
    took_s, gap_ms, job = steps.timed(lambda: steps.request("POST", "/v1/jobs/claim", claim))
    assert text in job
    told("claim", took_s, gap_ms)
    took_s, gap_ms, _ = steps.timed(lambda: steps.request("POST", f"{path}/complete", claim))
    told("complete", took_s, gap_ms)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--storage", default="memory://")
    parser.add_argument("--serve", action="store_true")
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(arguments.storage))
        return
    command = [sys.executable, __file__, "--serve", "--storage", arguments.storage]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as broker:
        assert broker.stdin is not None
        assert broker.stdout is not None
        steps = Steps(broker, broker.stdout.readline().strip())
        for name, text in texts(arguments.mib * MIB).items():
            measure(steps, name, text)
        broker.stdin.close()


if __name__ == "__main__":
    main()
