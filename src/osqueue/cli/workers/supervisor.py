"""Several worker processes of one plan: started again when they end, stopped together.

It imports nothing of the program: what the processes load, crash of and leak is theirs. One that
says that there can be no worker ends them all, as it would be said again and again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Final, NoReturn

import msgspec

from osqueue.cli.output import say
from osqueue.cli.signals import StopRequest, either
from osqueue.cli.workers.heartbeat_file import BEAT_S, HeartbeatFile
from osqueue.cli.workers.member import Member, how_it_ended
from osqueue.cli.workers.plan import WorkerPlan
from osqueue.cli.workers.restarts import Restarts
from osqueue.clock import SystemClock
from osqueue.config import MIB

__all__ = ["Supervisor", "supervise"]

_log = logging.getLogger("osqueue.cli")

TICK_S: Final = 1.0

BEAT_TICKS: Final = round(BEAT_S / TICK_S)

SILENT_TICKS_MAX: Final = 30
"""A process whose loop says nothing for so long has lost its leases by then: it hangs. Ticks of the
supervisor are counted, so that a machine that sleeps does not look like it."""

STARTING_TICKS_MAX: Final = 300
"""The same before it works: it may import large libraries from a slow disk."""

HURRY_S_MAX: Final = 3.0
"""How long processes may take that were asked to hurry: a second for giving back jobs, and a
start of theirs that they may be in the middle of."""


async def supervise(plan: WorkerPlan) -> int:
    """Keep the processes of a plan running until stopped; answers the exit code."""
    with StopRequest(supervised=plan.supervised, hurries=True) as stop:
        return await Supervisor(plan, stop).run()


class Supervisor:
    """The processes, each kept by a task of its own."""

    def __init__(self, plan: WorkerPlan, stop: StopRequest) -> None:
        self._plan = msgspec.structs.replace(plan, heartbeat_file=None)
        self._stop = stop
        self._count = plan.processes or 1
        self._file = None if plan.heartbeat_file is None else HeartbeatFile(plan.heartbeat_file)
        self._members: dict[int, Member] = {}
        self._first_works = asyncio.Event()
        self._clock = SystemClock()
        self._code = 0
        stop.before_exit = self._kill_all

    async def run(self) -> int:
        """Run them until stopped; answers the exit code."""
        say(f"Supervising {_processes(self._count)} of {self._plan.target}")
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(each) for each in (self._watch(), self._stop_all())]
            numbers = range(1, self._count + 1)
            await asyncio.wait([group.create_task(self._keep(number)) for number in numbers])
            for task in others:
                task.cancel()
        return self._code or self._stop.exit_code

    async def _keep(self, number: int) -> None:
        """One after another. The first of all shows whether there can be any."""
        if number > 1:
            await either(self._first_works.wait(), self._stop.wait())
        restarts = Restarts()
        while not self._stop.requested:
            started_ms = self._clock.mono_ms()
            end = await self._live(number)
            if not self._stop.requested:
                pause_s = restarts.pause_s((self._clock.mono_ms() - started_ms) / 1_000)
                _log.warning(
                    "%s; another one starts%s", end, f" in {pause_s:g} s" if pause_s else ""
                )
                await either(asyncio.sleep(pause_s), self._stop.wait())

    async def _live(self, number: int) -> str:
        """The life of one process; answers how it ended."""
        try:
            member = await Member.start(self._plan, number=number)
        except OSError as error:
            return f"worker process {number} could not be started: {error}"
        self._members[number] = member
        if self._stop.requested:
            member.stop()
        await member.ready.wait()
        if member.works:
            self._first_works.set()
        code = await member.ended()
        del self._members[number]
        if member.unloadable:
            self._code = code
            self._stop.request()
        return f"{member} {how_it_ended(code)}"

    async def _stop_all(self) -> None:
        await self._stop.wait()
        if self._members and not self._code:
            say(f"Stopping {_processes(len(self._members))}...")
        for member in self._members.values():
            member.stop()
        await self._stop.wait_hurry()
        for member in self._members.values():
            member.hurry()
        await asyncio.sleep(HURRY_S_MAX)
        self._kill_all()

    def _kill_all(self) -> None:
        for member in self._members.values():
            member.kill()

    async def _watch(self) -> NoReturn:
        for ticks in itertools.count(1):
            await asyncio.sleep(TICK_S)
            for member in self._members.values():
                member.tick()
                _end_if_silent(member)
                self._end_if_large(member)
            if self._file is not None and ticks % BEAT_TICKS == 0 and self._all_well():
                self._file.beat()
        raise AssertionError("counting does not end")

    def _all_well(self) -> bool:
        members = self._members.values()
        return len(members) == self._count and all(
            member.works and member.broker_answers and member.silent_ticks <= BEAT_TICKS
            for member in members
        )

    def _end_if_large(self, member: Member) -> None:
        most = self._plan.memory_bytes_max
        if most is None or not member.works or member.stopping:
            return
        taken = member.memory_bytes()
        if taken > most:
            _log.warning(
                "%s takes %d MiB of memory, %d are allowed: it finishes its jobs and ends",
                member,
                taken // MIB,
                most // MIB,
            )
            member.stop()


def _end_if_silent(member: Member) -> None:
    most = SILENT_TICKS_MAX if member.works else STARTING_TICKS_MAX
    if member.silent_ticks > most and member.is_running:
        _log.warning("%s has not answered for %d s: it is killed", member, most)
        member.kill()


def _processes(count: int) -> str:
    return "1 worker process" if count == 1 else f"{count} worker processes"
