"""Other hands on the state object: an older implementation writes over it, a person deletes it.

And what people do then, as the documentation tells them to: they stop the older implementation, put
a copy back, or have brokers adopt what is there, and start the brokers again.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from osqueue.config import STATE_KEY
from osqueue.engine.requests import BEFORE
from osqueue.errors import CASConflictError, StoreNotFoundError
from osqueue.model.lineage import CommitId
from osqueue.storage.protocol import Stored, Version
from osqueue.testing.simulation.faults.disturbances import Disturbance
from osqueue.testing.simulation.machine.bucket import OLDER, PERSON, RESTORER
from osqueue.testing.simulation.surroundings import Surroundings

__all__ = ["Strangers"]

WORKS_EVERY_S: Final = 3.0
"""How often an older implementation writes: it keeps its place by that."""

READS_S: Final = 0.3
"""How long it has read the object before it writes it, at most."""

NOTICED_S: Final = (15.0, 30.0)
"""How long it takes a person to see what has happened, and to do something about it."""

FORGOTTEN_S: Final = 20.0
"""How long copies are kept for when brokers go on without them."""

JOB_FIELDS: Final = (
    *("id", "status", "type", "payload", "createdAt"),
    *("attempts", "maxAttempts", "workerId", "heartbeat"),
)
"""What older implementations know of a job."""


class Brokers(Protocol):
    """What a person can do with all brokers."""

    def begin_again(self, *, adopt: bool) -> None:
        """Start those again that have halted; or all of them, with ``--adopt``."""
        ...


class Strangers:
    """Those who write the object and are none of us, one at a time."""

    def __init__(self, around: Surroundings, brokers: Brokers) -> None:
        self._around = around
        self._brokers = brokers
        self._dice = around.dice.fork("strangers")
        self._at_work = False
        self._epoch = 0
        """Of the state that was overwritten."""

    def overwrite(self, it: Disturbance) -> None:
        """Have an older implementation work for a while, and somebody notice."""
        if self._at_work or self._around.bucket.look(STATE_KEY) is None:
            return
        self._at_work = self._around.overwritten = True
        self._around.adopted = False
        loop = self._around.loop
        for number in range(1 + int(it.for_s / WORKS_EVERY_S)):
            loop.outside(self._read, after_s=number * WORKS_EVERY_S)
        noticed_s = it.for_s + self._dice.between(*NOTICED_S)
        loop.outside(partial(self._put_right, adopt=it.share >= 0.5), after_s=noticed_s)

    def delete(self, _: Disturbance) -> None:
        """Delete the object; who does keeps what was in it."""
        backup = self._around.bucket.look(STATE_KEY)
        if self._at_work or backup is None:
            return
        self._at_work = self._around.overwritten = True
        self._around.trace.note(PERSON, "deletes the object")
        self._around.bucket.delete(STATE_KEY)
        noticed_s = self._dice.between(*NOTICED_S)
        self._around.loop.outside(partial(self._create, backup), after_s=noticed_s)

    # What an older implementation does

    def _read(self) -> None:
        stored = self._around.bucket.look(STATE_KEY)
        if stored is None:
            return
        state = msgspec.json.decode(stored.data)
        self._epoch = state.get("epoch", self._epoch)
        data = msgspec.json.encode(self._known_of(state))
        write = partial(self._write, OLDER, data, stored.version)
        self._around.loop.outside(write, after_s=self._dice.between(0, READS_S))

    def _known_of(self, state: dict[str, Any]) -> dict[str, Any]:
        """What an older implementation writes of a state that it has read."""
        jobs = [{name: job[name] for name in JOB_FIELDS if name in job} for job in state["jobs"]]
        return {
            "broker": "older:9000",
            "brokerHeartbeat": self._around.wall_ms,
            "completedTotal": state["completedTotal"],
            "jobs": [{"payload": None, **job} for job in jobs],
        }

    def _write(self, by: str, data: bytes, version: Version | None) -> None:
        with suppress(CASConflictError, StoreNotFoundError):
            self._around.bucket.write(STATE_KEY, data, version, by)

    # What people do about it

    def _put_right(self, *, adopt: bool) -> None:
        """The older implementation has been stopped. If nobody goes on by himself, put the copy
        back, unless it is of an epoch that was not the last; or have what is there adopted.
        """
        self._at_work = False
        bucket = self._around.bucket
        stored, copies = bucket.look(STATE_KEY), self._copies()
        if stored is None or "epoch" in msgspec.json.decode(stored.data):
            adopt = False
        elif copies and _commit_of(copies[-1]).epoch == self._epoch and not adopt:
            copy = bucket.look(copies[-1])
            assert copy is not None, "it was listed"
            self._around.trace.note(PERSON, "puts %s back", copies[-1])
            self._write(RESTORER, copy.data, stored.version)
        else:
            adopt = True
        if not adopt:
            self._forget_copies()
        self._around.loop.outside(self._forget_copies, after_s=FORGOTTEN_S)
        self._brokers.begin_again(adopt=adopt)

    def _create(self, backup: Stored) -> None:
        self._at_work = False
        if self._around.bucket.look(STATE_KEY) is None:
            self._around.trace.note(PERSON, "puts the object back")
            self._write(RESTORER, backup.data, None)
        self._forget_copies()
        self._brokers.begin_again(adopt=False)

    def _copies(self) -> list[str]:
        """The oldest first."""
        copies = self._around.bucket.keys(f"{STATE_KEY}.{BEFORE}")
        return sorted(copies, key=_commit_of)

    def _forget_copies(self) -> None:
        for key in self._copies():
            self._around.bucket.delete(key)


def _commit_of(copy: str) -> CommitId:
    commit = CommitId.parse(copy.removeprefix(f"{STATE_KEY}.{BEFORE}"))
    assert commit is not None, "copies are named so"
    return commit
