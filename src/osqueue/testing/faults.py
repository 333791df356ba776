"""The faults of a store, and where they come from: a script, or a seed.

A *source* answers, for each call, the `Step` that tells what becomes of it. `Script` reads steps
from top to bottom; `RandomFaults` draws them from a seed. Both are plain data in, plain data out:
`osqueue.testing.faulty_store` carries them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, Protocol

import msgspec

from osqueue.testing.draws import Draws

__all__ = ["Call", "Fault", "FaultSource", "RandomFaults", "Script", "Step"]

Call = Literal["get", "head", "create", "put", "delete", "list"]
"""The calls that a source can speak of."""


class Fault(StrEnum):
    """What becomes of a call."""

    NONE = "none"
    """It passes; the step only counts it."""
    LOST_REQUEST = "lost-request"
    """Never applied, answered as unknown (a read: as unavailable)."""
    LOST_REPLY = "lost-reply"
    """Applied, answered as unknown (a read: as unavailable)."""
    LATE_WRITE = "late-write"
    """Answered as unknown; applied after ``after`` more calls, or when the test says `land`."""
    FALSE_CONFLICT = "false-conflict"
    """Applied, answered as a conflict: something on the way sent it twice."""
    TRUNCATED = "truncated"
    """A get that answers the first half of the bytes as if they were all."""
    SLOW = "slow"
    """Applied, answered after ``delay_s``."""
    HANGING = "hanging"
    """Applied, never answered: the caller must give up. (Hold a request that must not apply.)"""
    CONFLICT = "conflict"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    NOT_FOUND = "not-found"


class Step(msgspec.Struct, frozen=True):
    """What becomes of one call, the next of its kind."""

    on: Call
    fault: Fault = Fault.NONE
    hold: Literal["", "request", "reply"] = ""
    """Wait for `FaultyStore.release`, before it is carried out or before it is answered."""
    after: int | None = None
    """Of a late write: how many later calls end before it lands; ``None``: when told to."""
    delay_s: float = 0.0
    """Seconds on the event loop's clock between carrying it out and answering."""

    def __post_init__(self) -> None:
        if not meant_for(self.fault, self.on):
            raise ValueError(f"{self.fault} says nothing about a {self.on}")
        if self.after is not None and (self.fault is not Fault.LATE_WRITE or self.after < 1):
            raise ValueError("after is for a late write, and at least 1")
        if self.delay_s < 0 or (self.fault is Fault.SLOW and not self.delay_s):
            raise ValueError("a slow answer needs a delay_s above 0, and none goes below")


class FaultSource(Protocol):
    """Tells the faults. One that answers ``Step(call)`` lets the call pass."""

    def step(self, call: Call, key: str) -> Step:
        """What becomes of this call. Asked once for each call, in the order of their arrival."""
        ...


class Script:
    """Steps, read from top to bottom.

    The first waits for a call of its kind. What the script leaves out, and everything once it has
    ended, is up to ``otherwise``; without that it passes.
    """

    def __init__(self, steps: Iterable[Step] = (), *, otherwise: FaultSource | None = None) -> None:
        self._steps = deque(steps)
        self._otherwise = otherwise

    @property
    def unused(self) -> tuple[Step, ...]:
        """The steps that still wait for their call."""
        return tuple(self._steps)

    def then(self, *steps: Step) -> None:
        """Add to the end."""
        self._steps.extend(steps)

    def step(self, call: Call, key: str) -> Step:
        if self._steps and self._steps[0].on == call:
            return self._steps.popleft()
        return Step(call) if self._otherwise is None else self._otherwise.step(call, key)


class RandomFaults:
    """Faults drawn from a seed: the same seed and the same order of calls give the same faults.

    ``rates`` names the chance of each fault, from 0 to 1; a fault that says nothing about a call
    lets it pass. Drawn for are only the calls of ``on`` to keys that begin with ``under``.
    ``delay_s`` is how late a slow answer comes; a late write lands after 1 to `LATE_CALLS_MAX`
    more calls.
    """

    def __init__(
        self,
        seed: int,
        rates: Mapping[Fault, float],
        *,
        on: Iterable[Call] = ("get", "head", "create", "put", "delete", "list"),
        under: str = "",
        delay_s: float = 0.05,
    ) -> None:
        self._draws = Draws(seed, rates)
        self._on = frozenset(on)
        self._under = under
        self._delay_s = delay_s

    def step(self, call: Call, key: str) -> Step:
        if call not in self._on or not key.startswith(self._under):
            return Step(call)
        fault = self._draws.fault()
        after = self._draws.up_to(LATE_CALLS_MAX)
        if fault is None or not meant_for(fault, call):
            return Step(call)
        return Step(
            call,
            fault,
            after=after if fault is Fault.LATE_WRITE else None,
            delay_s=self._delay_s if fault is Fault.SLOW else 0.0,
        )


LATE_CALLS_MAX: Final = 8
"""Long enough to be overtaken by a retry and by what follows it."""


def meant_for(fault: Fault, call: Call) -> bool:
    """Whether this fault can befall such a call."""
    return call in _MEANT_FOR.get(fault, _ANY)


_ANY = frozenset({"get", "head", "create", "put", "delete", "list"})
_WRITES = frozenset({"create", "put", "delete"})
_CONDITIONAL = frozenset({"create", "put"})

_MEANT_FOR = MappingProxyType(
    {
        Fault.LATE_WRITE: _WRITES,
        Fault.FALSE_CONFLICT: _CONDITIONAL,
        Fault.CONFLICT: _CONDITIONAL,
        Fault.TRUNCATED: frozenset({"get"}),
        Fault.NOT_FOUND: frozenset({"get", "head", "put"}),
    }
)
