"""Carries the disturbances of a run out, and heals the world at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from msgspec.structs import replace

from osqueue.testing.simulation.faults.disturbances import LEADER, Disturbance, Kind
from osqueue.testing.simulation.faults.hands import HANDS, Hands
from osqueue.testing.simulation.faults.strangers import Strangers
from osqueue.testing.simulation.machine.bucket import StoreWeather
from osqueue.testing.simulation.machine.network import Weather
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.surroundings import Surroundings

__all__ = ["RESTART_S", "Storm"]

RESTART_S: Final = 2.0
"""After how long a process that ended by itself is started again, as a supervisor would."""

_WEATHER: Final = MappingProxyType(
    {
        Kind.STORE_REQUESTS_LOST: "request_lost",
        Kind.STORE_REPLIES_LOST: "reply_lost",
        Kind.STORE_LATE: "late",
        Kind.STORE_DOUBLED: "doubled",
        Kind.STORE_CONFLICT: "conflict",
        Kind.STORE_BUSY: "busy",
        Kind.STORE_FAILING: "failing",
        Kind.STORE_SLOW: "slow",
        Kind.STORE_SILENT: "silent",
        Kind.STORE_DOWN: "down",
        Kind.STORE_STALL: "stalled",
        Kind.NET_LOST: "lost",
        Kind.NET_DOUBLED: "doubled",
        Kind.NET_SLOW: "slow",
    }
)
_NET: Final = frozenset({Kind.NET_LOST, Kind.NET_DOUBLED, Kind.NET_SLOW})

_Undo: TypeAlias = Callable[[], None]


def _nothing() -> None:
    """There is nothing to undo."""


class Stoppable(Protocol):
    """A process that ends by itself, or is stopped, and then is started again."""

    process: SimulatedProcess
    gone: Callable[[], None] | None

    async def stop(self) -> None: ...


class Host(Stoppable, Protocol):
    """One that others are connected to."""

    adopts: bool
    """Whether it is to go on, when it starts, from what an older implementation wrote."""

    @property
    def halted(self) -> bool:
        """Whether it runs, and does nothing more until it is started again."""
        ...

    def broken(self) -> None: ...

    def silent(self) -> None: ...


class Storm:
    """What goes wrong in a world."""

    def __init__(
        self,
        around: Surroundings,
        hosts: Iterable[Host],
        processes: Mapping[str, SimulatedProcess],
        workers: Iterable[Stoppable],
    ) -> None:
        self._around = around
        self._hosts = {each.process.name: each for each in hosts}
        self._processes = processes
        self._rests: dict[str, float] = {}
        self._cuts: list[tuple[str, str]] = []
        self._closed: list[tuple[str, str]] = []
        self._deaf: list[str] = []
        self._over = False
        self._strangers = Strangers(around, self)
        self._hands = Hands(around)
        self._acts: dict[Kind, Callable[[Disturbance], _Undo | None]] = {
            Kind.CUT: self._cut,
            Kind.CUT_ONE_WAY: self._cut,
            Kind.REFUSE: self._refuse,
            Kind.PAUSE: self._pause,
            Kind.CRASH: self._crash,
            Kind.STOP: self._stop,
            Kind.CLOCK_STEP: self._step_clock,
            **dict.fromkeys(HANDS, self._by_hand),
            Kind.OLDER_WRITER: self._strangers.overwrite,
            Kind.OBJECT_GONE: self._strangers.delete,
        }
        self._stoppable: dict[str, Stoppable] = {
            each.process.name: each for each in (*self._hosts.values(), *workers)
        }
        for name, each in self._stoppable.items():
            each.gone = partial(self._gone, name)

    def plan(self, disturbances: Iterable[Disturbance]) -> None:
        """Have them happen when their time has come."""
        for each in disturbances:
            self._around.loop.outside(partial(self._begin, each), after_s=each.at_s)

    def start(self, name: str) -> None:
        """Start a process, unless it runs."""
        process = self._processes[name]
        if not process.alive:
            process.start()

    def heal(self) -> None:
        """Undo all that still is the matter; from now on nothing goes wrong."""
        self._over = True
        self._around.trace.note("world", "heals")
        self._around.network.weather = Weather()
        self._around.store.weather = StoreWeather()
        self._around.store.go_on()
        self._hands.rest()
        self._rests.clear()
        for source, target in self._cuts:
            self._around.network.mend(source, target)
        for source, target in self._closed:
            self._around.network.accept(source, target)
        for name in self._deaf:
            self._around.network.hear(name)
        for process in self._processes.values():
            process.spare()
            process.resume()
            process.set_clock()
            if not process.alive:
                process.start()

    def begin_again(self, *, adopt: bool) -> None:
        """Start those again that have halted; or all of them, with ``--adopt``."""
        self._around.adopted = adopt
        for host in self._hosts.values():
            host.adopts = adopt
            if host.process.alive and (adopt or host.halted):
                host.process.kill()
                host.broken()
                self.start(host.process.name)

    def _begin(self, it: Disturbance) -> None:
        if self._over:
            return
        it = replace(it, who=self._name(it.who), other=self._name(it.other))
        self._around.trace.note("world", "%s", it)
        self._around.happened[it.kind.value] += 1
        undo = self._act(it)
        self._around.loop.outside(partial(self._end, undo), after_s=it.for_s)

    def _name(self, who: str) -> str:
        if who != LEADER:
            return who
        return self._around.leader or self._around.dice.pick([*self._hosts])

    def _end(self, undo: _Undo) -> None:
        if not self._over:
            undo()

    def _act(self, it: Disturbance) -> _Undo:
        act = self._acts.get(it.kind, self._turn_weather)
        return act(it) or _nothing

    def _turn_weather(self, it: Disturbance) -> _Undo:
        around = self._around
        weather = around.network.weather if it.kind in _NET else around.store.weather
        name, share = _WEATHER[it.kind], it.share or 1.0

        def add(by: float) -> None:
            setattr(weather, name, round(getattr(weather, name) + by, 6))
            around.store.go_on()

        add(share)
        return partial(add, -share)

    def _cut(self, it: Disturbance) -> _Undo:
        network = self._around.network
        ways = [(it.who, it.other)]
        ways += [(it.other, it.who)] if it.kind is Kind.CUT else []
        for way in ways:
            network.cut(*way)
        self._cuts += ways

        def mend() -> None:
            for way in ways:
                network.mend(*way)
                self._cuts.remove(way)

        return mend

    def _refuse(self, it: Disturbance) -> _Undo:
        network = self._around.network
        network.refuse(it.who, it.other)
        self._closed.append((it.who, it.other))

        def accept() -> None:
            network.accept(it.who, it.other)
            self._closed.remove((it.who, it.other))

        return accept

    def _pause(self, it: Disturbance) -> _Undo | None:
        process = self._processes[it.who]
        if not process.alive or process.paused:
            return None
        process.pause()
        if it.share < 0.5:
            return process.resume
        return self._deafened(process)

    def _deafened(self, process: SimulatedProcess) -> _Undo:
        network, name = self._around.network, process.name
        network.deafen(name)
        self._deaf.append(name)

        def wake() -> None:
            self._deaf.remove(name)
            network.hear(name)
            process.resume()

        return wake

    def _crash(self, it: Disturbance) -> None:
        process = self._processes[it.who]
        if process.alive:
            process.kill_after(it.steps, partial(self._died, it))

    def _died(self, it: Disturbance) -> None:
        around = self._around
        around.trace.note(it.who, "crashed")
        around.happened["process died"] += 1
        host = self._hosts.get(it.who)
        if host is not None:
            (host.broken if it.share < 0.5 else host.silent)()
        around.loop.outside(partial(self.start, it.who), after_s=it.for_s)

    def stop_in_peace(self, who: str) -> None:
        """Stop somebody as it should be, in a world that has healed."""
        self._stop(Disturbance(Kind.STOP, 0.0, RESTART_S, who))

    def _stop(self, it: Disturbance) -> None:
        who, loop = self._stoppable[it.who], self._around.loop
        self._rests[it.who] = it.for_s

        def stop() -> None:
            loop.create_task(who.stop())

        if who.process.alive:
            loop.within(who.process.life, stop)

    def _step_clock(self, it: Disturbance) -> None:
        self._processes[it.who].step_clock(it.steps)

    def _gone(self, name: str) -> None:
        rest_s = max(RESTART_S, self._rests.pop(name, 0.0))
        self._around.loop.outside(partial(self.start, name), after_s=rest_s)

    def _by_hand(self, it: Disturbance) -> None:
        self._hands.begin(it.kind)
