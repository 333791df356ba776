"""Watches over the demo's processes: starts again who died, and asks the brokers who leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

import aiohttp
import msgspec

from osqueue.cli.demo.crew import Crew
from osqueue.cli.demo.leaders import Leaders, Life
from osqueue.cli.demo.member import Member
from osqueue.clock import SystemClock
from osqueue.wire.messages import BrokerStatus

__all__ = ["Watch"]

LOOK_S: Final = 0.05
"""How exactly the time without a leader is told."""

ANSWER_S_MAX: Final = 0.5
"""A broker that takes longer hangs, or died."""

_decode: Final = msgspec.json.Decoder(BrokerStatus).decode


class Watch:
    """What is going on, with a note of each change."""

    def __init__(self, crew: Crew, note: Callable[[str], None]) -> None:
        self._crew = crew
        self._note = note
        self._leaders = Leaders(note)
        self._answers: list[tuple[Life, BrokerStatus, int]] = []
        self._clock = SystemClock()

    @property
    def leader(self) -> Member | None:
        """The broker that leads, unless it has been started again since."""
        leading = self._leaders.leader
        if leading is None:
            return None
        named = next(each for each in self._crew.brokers if each.name == leading.name)
        return named if named.pid == leading.pid else None

    @property
    def commits(self) -> int:
        """By all brokers, since the first answer."""
        return self._leaders.commits

    async def run(self) -> NoReturn:
        """Watch. Raises `CliError` when a process does not live."""
        asking = [asyncio.create_task(self._keep_asking(each)) for each in self._crew.brokers]
        try:
            while True:
                for revived in self._crew.revive():
                    self._note(revived)
                self._tell()  # afterwards: it follows from who died
                failed, _ = await asyncio.wait(asking, timeout=LOOK_S)
                for task in failed:
                    task.result()
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def look(self) -> None:
        """Ask all brokers now."""
        async with _http() as http:
            await asyncio.gather(*(self._ask(http, each) for each in self._crew.brokers))
        self._tell()

    async def _keep_asking(self, broker: Member) -> NoReturn:
        """Each by itself: the others must not wait for one that hangs."""
        async with _http() as http:
            while True:
                await self._ask(http, broker)
                await asyncio.sleep(LOOK_S)

    async def _ask(self, http: aiohttp.ClientSession, broker: Member) -> None:
        if (address := broker.address) is None:
            return
        life = Life(broker.name, broker.pid)
        with suppress(aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            async with http.get(f"{address}/v1/status") as answer:
                status = _decode(await answer.read())
            self._answers.append((life, status, self._clock.mono_ms()))

    def _tell(self) -> None:
        for life, status, heard_ms in self._answers:
            self._leaders.heard(life, status, heard_ms)
        self._answers.clear()


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX))
