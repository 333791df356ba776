"""A transport that follows a script, and a time that passes only by sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest

from osqueue.client import OsqueueClient, Runtime
from osqueue.client.transports import Answer
from osqueue.config import ClientSettings
from osqueue.wire.operations import Operation


class Call(NamedTuple):
    operation: Operation
    request: Any
    job_id: str | None
    timeout_s: float


class ManualTime:
    """A clock whose time passes by sleeping, and by what a call is said to take."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.slept_ms: list[float] = []

    def wall_ms(self) -> int:
        return self.now_ms

    def mono_ms(self) -> int:
        return self.now_ms

    def cpu_us(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.slept_ms.append(seconds * 1_000)
        self.now_ms += round(seconds * 1_000)
        await asyncio.sleep(0)


class CountingEntropy:
    """Ids that count up, and no jitter beyond ``spread``."""

    def __init__(self) -> None:
        self.spread = 0.5
        self._made = 0

    def job_id(self) -> str:
        self._made += 1
        return f"job-{self._made}"

    def job_ids(self, number: int) -> list[str]:
        return [self.job_id() for _ in range(number)]

    def secret(self) -> str:
        return self.token()

    def token(self) -> str:
        self._made += 1
        return f"token-{self._made}"

    def jitter(self) -> float:
        return self.spread


class ScriptedTransport:
    """Gives the next answer of its script, or raises it; each call takes ``takes_ms``."""

    def __init__(self, time: ManualTime) -> None:
        self.calls: list[Call] = []
        self.script: list[Any] = []
        self.takes_ms = 0
        self.reconnected = 0
        self.closed = 0
        self._time = time

    def answers(self, *script: Any) -> None:
        self.script += script

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        self.calls.append(Call(operation, request, job_id, timeout_s))
        self._time.now_ms += self.takes_ms
        step = self.script[0] if len(self.script) == 1 else self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, Answer) else Answer(step)

    async def reconnect(self) -> None:
        self.reconnected += 1

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def entropy() -> CountingEntropy:
    return CountingEntropy()


@pytest.fixture
def transport(time: ManualTime) -> ScriptedTransport:
    return ScriptedTransport(time)


@pytest.fixture
def runtime(time: ManualTime, entropy: CountingEntropy) -> Runtime:
    return Runtime(clock=time, entropy=entropy, sleep=time.sleep)


@pytest.fixture
async def client(transport: ScriptedTransport, runtime: Runtime) -> AsyncIterator[OsqueueClient]:
    settings = ClientSettings(timeout_ms=10_000, retry_for_ms=30_000)
    async with OsqueueClient(transport=transport, settings=settings, runtime=runtime) as client:
        yield client
