"""A rule of the system, with a script that shows it: it holds with the rule, not without."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from tests.simulation.mutants import Edit, Mutant, broken
from tests.simulation.rules.stage import Script, Stage

from osqueue.config import BrokerSettings, QueueLimits
from osqueue.testing.simulation import BrokenLawError
from osqueue.testing.simulation.machine.apart import apart
from osqueue.testing.simulation.machine.loop import SimulatedLoop, StuckError
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.machine.trace import heard

__all__ = ["ORDINARY", "Edit", "Rule", "play", "rule"]

ORDINARY = BrokerSettings(limits=QueueLimits(archived=True))

PLAYS_S = 900
"""No script takes longer: what it waits for never comes."""


class Rule(NamedTuple):
    """``without``: how the system is without it. ``found``: a part of what is said then.

    ``sharers``: how many write the queue without a broker. ``given``: a fault of the system itself,
    against which the rule protects.
    """

    name: str
    script: Script
    without: tuple[Edit, ...]
    found: str
    brokers: int
    sharers: int
    settings: BrokerSettings
    given: tuple[Edit, ...]


def rule(
    name: str,
    *without: Edit,
    found: str,
    brokers: int = 1,
    sharers: int = 0,
    settings: BrokerSettings = ORDINARY,
    given: tuple[Edit, ...] = (),
) -> Callable[[Script], Rule]:
    """Make a rule of the script that shows it."""

    def made(script: Script) -> Rule:
        return Rule(name, script, without, found, brokers, sharers, settings, given)

    return made


def play(it: Rule, *, without: bool = False, trace: list[str] | None = None) -> str | None:
    """What does not hold when the script is played, if anything."""
    with ExitStack() as stack:
        stack.enter_context(broken(Mutant(f"given for: {it.name}", it.given)))
        if without:
            stack.enter_context(broken(Mutant(f"without: {it.name}", it.without)))
        return apart(partial(_Player, it), partial(_Player.told, trace=trace))


class _Player:
    def __init__(self, it: Rule) -> None:
        self._script = it.script
        self.stage = stage = Stage(it.settings, brokers=it.brokers, sharers=it.sharers)
        self._over = False
        self._error: Exception | None = None
        dice = stage.dice.fork("script")
        stage.me = SimulatedProcess(stage.loop, dice, "script", self._main)

    @property
    def loop(self) -> SimulatedLoop:
        return self.stage.loop

    def told(self, *, trace: list[str] | None) -> str | None:
        """Play the script, and note all that happens."""
        found = self.play()
        if trace is not None:
            trace.extend(self.stage.trace.lines())
        return found

    def play(self) -> str | None:
        stage = self.stage
        assert stage.me is not None
        with heard(stage.trace, stage.loop):
            stage.me.start()
            try:
                while not self._over and stage.loop.now_us < PLAYS_S * 1_000_000:
                    self._go_on()
                self._expect_end()
            except BrokenLawError as error:
                return str(error)
        return None

    def _go_on(self) -> None:
        stage = self.stage
        try:
            stage.loop.run(until_s=stage.loop.now_us / 1_000_000 + 1)
        except StuckError as error:
            if not self._over:  # or all have ended, and nobody waits any more
                raise BrokenLawError(str(error)) from error
        stage.checks.raise_found()

    def _expect_end(self) -> None:
        if self._error is not None:
            raise BrokenLawError(f"{type(self._error).__name__}: {self._error}")
        if not self._over:
            raise BrokenLawError("the script does not come to its end")

    async def _main(self, _process: SimulatedProcess) -> None:
        try:
            await self._script(self.stage)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rule does not hold
            self._error = error
        self._over = True
