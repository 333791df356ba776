"""What people do to the state object by hand: they read it, change one job, and put it back.

They do so as with an editor: some time passes in between, in which commits go on. What they put
back is compared with the version that they read; who comes too late reads and changes it again, a
few times. All that they do not mean to change stays as it is, also what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from osqueue.config import STATE_KEY
from osqueue.storage.protocol import Stored
from osqueue.testing.simulation.faults.disturbances import Kind
from osqueue.testing.simulation.laws.deeds import Deed
from osqueue.testing.simulation.machine.bucket import PERSON
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.testing.simulation.users.user import TYPES

__all__ = ["HANDS", "Change", "Hands"]

TRIES_MAX: Final = 4
"""How often somebody begins anew whose object was written meanwhile."""

EDITOR_S: Final = 0.5
"""The longest that it takes from reading to writing."""

NEWEST: Final = 0.5
"""How often it is the job that came last that is removed: who has submitted it may not have heard
of that yet."""

LONGEST_S: Final = 5.0
"""The longest that a job runs that was written by hand."""

_Fields: TypeAlias = dict[str, Any]


class Change(NamedTuple):
    """What was done to one job."""

    deed: Deed
    job_id: str


class Hands:
    """The people of a world who change its object."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._dice = around.dice.fork("hands")
        self._at_work = True

    def begin(self, kind: Kind) -> None:
        """Somebody reads the object, to change it."""
        self._read(HANDS[kind], TRIES_MAX)

    def rest(self) -> None:
        """Nobody changes it any more."""
        self._at_work = False

    def _read(self, change: _Doing, tries: int) -> None:
        self._around.store.carry_out(partial(self._change, change, tries))

    def _change(self, doing: _Doing, tries: int) -> None:
        stored = self._around.bucket.look(STATE_KEY)
        if stored is None or tries == 0 or not self._at_work:
            return
        state = msgspec.json.decode(stored.data)
        change = doing(state, self._dice, self._around.wall_ms)
        if change is not None:
            put = partial(self._put, stored, state, change)
            back = partial(self._put_back, put, partial(self._read, doing, tries - 1))
            self._around.loop.outside(back, after_s=self._dice.between(0, EDITOR_S))

    def _put_back(self, put: Callable[[], bool], again: Callable[[], None]) -> None:
        def arrive() -> None:
            if self._at_work and not put():
                again()

        self._around.store.carry_out(arrive)

    def _put(self, read: Stored, state: _Fields, change: Change) -> bool:
        """Whether it stood as it was read, so that it was written."""
        around, now = self._around, self._around.bucket.look(STATE_KEY)
        if now is None or now.version != read.version:
            around.happened["hand too late"] += 1
            return False
        around.trace.note(PERSON, "%s: %s", change.job_id, change.deed.value)
        around.happened[f"job {change.deed.value} by hand"] += 1
        around.deeds.note(change.deed, change.job_id, around.loop.now_us)
        if change.deed is Deed.ADDED:
            around.deeds.payloads[change.job_id] = msgspec.json.encode(state["jobs"][-1]["payload"])
        around.bucket.write(STATE_KEY, msgspec.json.encode(state), read.version, PERSON)
        return True


_Doing: TypeAlias = Callable[[_Fields, Dice, int], Change | None]
"""Changes the state that was read; ``None``: there is nothing to be changed."""


def prefer(state: _Fields, dice: Dice, _wall_ms: int) -> Change | None:
    """Set the priority of one job."""
    if not state["jobs"]:
        return None
    job = dice.pick(state["jobs"])
    job["priority"] = dice.whole(-3, 3)
    return Change(Deed.EDITED, job["id"])


def add(state: _Fields, dice: Dice, wall_ms: int) -> Change:
    """Put a job there, behind the others, with as little said of it as there must be."""
    job: _Fields = {
        "id": f"by-hand-{dice.entropy.token()}",
        "status": "unclaimed",
        "type": dice.pick(TYPES),
        "payload": {
            "takes": round(min(dice.about(0.5), LONGEST_S), 3),
            "fails": int(dice.chance(0.2)),
        },
        "createdAt": wall_ms,
        "attempts": 0,
    }
    if dice.chance(0.3):
        job["priority"] = dice.whole(-3, 3)
    state["jobs"].append(job)
    return Change(Deed.ADDED, job["id"])


def remove(state: _Fields, dice: Dice, _wall_ms: int) -> Change | None:
    """Take one job out, whatever it does; not one that others wait for, which then wait for ever.

    There always is such a one where there are jobs: who waits came later than what he waits for.
    """
    waited_for = {parent for job in state["jobs"] for parent in job.get("waitsFor", ())}
    jobs = [job for job in _worked_on(state) if job["id"] not in waited_for]
    if not jobs:
        return None
    job = jobs[-1] if dice.chance(NEWEST) else dice.pick(jobs)
    state["jobs"] = [each for each in state["jobs"] if each is not job]
    return Change(Deed.REMOVED, job["id"])


def revive(state: _Fields, dice: Dice, _wall_ms: int) -> Change | None:
    """Have a dead letter handed out again; if there is none, take a running job from its worker."""
    for status, fields, deed in _REVIVALS:
        jobs = [job for job in _worked_on(state) if job["status"] == status]
        if not jobs:
            continue
        job = dice.pick(jobs)
        for field in fields:
            job.pop(field, None)
        job["status"] = "unclaimed"
        if deed is Deed.REVIVED:
            job["attempts"] = 0
        return Change(deed, job["id"])
    return None


_REVIVALS: Final = (
    ("dead", ("lastError", "earlierErrors"), Deed.REVIVED),
    (
        "in_progress",
        ("workerId", "heartbeat", "lease", "claimId", "progress"),
        Deed.GIVEN_BACK,
    ),
)
"""How jobs stand, what is deleted of them, and what that is called."""

HANDS: Final[Mapping[Kind, _Doing]] = MappingProxyType(
    {
        Kind.HAND_EDIT: prefer,
        Kind.HAND_ADD: add,
        Kind.HAND_REMOVE: remove,
        Kind.HAND_REVIVE: revive,
    }
)
"""What people do, by the disturbance that it is."""


def _worked_on(state: _Fields) -> list[_Fields]:
    """The jobs that there are workers for: others only lie there, and would be met most often."""
    return [job for job in state["jobs"] if job.get("type") in TYPES]
