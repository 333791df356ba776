"""What stood before: what the queue may be taken back to when others have had the object.

An older implementation writes over it and drops what it does not know, or a person deletes it. Then
a leader that knew its last version keeps that beside it, or creates it again; a person puts a copy
back; or somebody goes on from what is there. Each of these has a version on which it builds, and
what had come after that one is lost, through no fault of the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from osqueue.config import STATE_KEY
from osqueue.engine.requests import BEFORE
from osqueue.model.job import PAYLOADS
from osqueue.model.lineage import CommitId
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.views import StateView, View
from osqueue.testing.simulation.machine.bucket import Bucket

__all__ = ["ARCHIVE", "Copies", "Past", "Standing", "epoch_of"]

ARCHIVE: Final = "archive/"

SEEN_US: Final = 15_000_000
"""For so long a copy may be there, and who has looked for copies before goes on without it."""


class Standing(msgspec.Struct, frozen=True):
    """A version as it stood. Without a state of ours, the jobs that somebody else had left."""

    state: StateView | None
    """Without its jobs."""
    jobs: dict[str, View]
    at_us: int


class _Older(msgspec.Struct, rename="camel"):
    jobs: list[View]


_older_decoder: Final = msgspec.json.Decoder(_Older)
NOTHING: Final = Standing(None, {}, 0)


class Past:
    """The versions that stood, by their commits; and whether others have cut the line off."""

    def __init__(self) -> None:
        self._stood: dict[str, list[Standing]] = {}
        self._names: set[CommitId] = set()
        self._left: Standing | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the object is not ours, or gone."""
        return self._left is not None

    def keep(self, state: StateView, jobs: dict[str, View], at_us: int) -> None:
        """A version of ours stands there. One that a person has edited has the name of the one
        before.
        """
        standing = Standing(replace(state, jobs=[]), jobs, at_us)
        self._stood.setdefault(state.commit, []).append(standing)
        name = CommitId.parse(state.commit)
        self._names |= set() if name is None else {name}

    def expect_known(self, commit: str) -> None:
        """A leader knows its own commits: all but one, whose answer may not have reached it."""
        name = CommitId.parse(commit)
        assert name is not None, "it stood"
        later = [n for n in self._names if n.epoch == name.epoch and n.number > name.number]
        known = name.shares or len(later) <= 1
        expect(known, "%s was taken for the last, and there are %s", name, later)

    def overwritten(self, data: bytes, at_us: int) -> None:
        """An older implementation has written this."""
        jobs = {view.id: view for view in _older_decoder.decode(data).jobs}
        self._left = Standing(None, jobs, at_us)

    def gone(self) -> None:
        """The object was deleted."""
        self._left = NOTHING

    def mended(self) -> None:
        """Somebody goes on."""
        self._left = None

    def put_back(self, state: StateView, jobs: dict[str, View]) -> Standing:
        """The version that a person has put back."""
        stood = [each for each in self._stood.get(state.commit, []) if each.jobs == jobs]
        expect(stood, "what is put back had stood: %s", state.commit)
        return stood[-1]

    def gone_on_from(self, state: StateView, jobs: dict[str, View]) -> Standing:
        """What a version of ours builds on. One whose lineage names a commit was created again from
        that, by an epoch of its own; any other knows nothing but what was left there.

        Who creates it may not have seen what people had changed last: of all versions of that
        commit he built on the one that differs least.
        """
        assert self._left is not None, "others have cut the line off"
        base = next(reversed(state.lineage.values()), "")
        if not base:
            return self._left
        expect(self._left is NOTHING, "%s is written over what is not ours", state.commit)
        stood = self._stood.get(base, [])
        expect(stood, "%s stands on %s, which never was", state.commit, base)
        name = CommitId.parse(base)
        assert name is not None, "it stood"
        fresh = state.epoch > name.epoch
        expect(fresh, "the object was created again under an epoch that it had: %s", state.commit)
        self.expect_known(base)
        return min(reversed(stood), key=lambda each: _apart(each.jobs, jobs))


def epoch_of(payload_key: str) -> int:
    """The epoch in which a payload object was written."""
    return int(payload_key.removeprefix(PAYLOADS).partition("/")[0])


def _apart(one: dict[str, View], other: dict[str, View]) -> int:
    """In how many jobs two versions differ."""
    return sum(one.get(job_id) != other.get(job_id) for job_id in one.keys() | other.keys())


class Copies:
    """The copies that are kept beside the object, and the law of going on without them.

    ``adopted`` tells whether a person has had brokers started that are to do so.
    """

    def __init__(self, bucket: Bucket, past: Past, adopted: Callable[[], bool]) -> None:
        self._bucket = bucket
        self._past = past
        self._adopted = adopted
        self._kept_us: dict[str, int] = {}

    def kept(self, key: str, state: StateView, jobs: dict[str, View], at_us: int) -> None:
        """Somebody has kept what he knew. Raises `BrokenLawError` unless it had stood."""
        self._kept_us[key] = at_us
        expect(key.endswith(state.commit), "%s is a copy of %s", key, state.commit)
        self._past.put_back(state, jobs)
        self._past.expect_known(state.commit)

    def expect_adoptable(self, state: StateView, at_us: int) -> None:
        """A version of ours goes on from what others have left: only where nothing better is kept,
        or a person wants it so, and never under an epoch that is known to have been.
        """
        there = self._bucket.keys(f"{STATE_KEY}.{BEFORE}")
        seen = [key for key in there if at_us - self._kept_us[key] > SEEN_US]
        expect(self._adopted() or not seen, "%s goes on, and %s is kept", state.commit, seen)
        for key in self._bucket.keys(PAYLOADS):
            epoch = epoch_of(key)
            expect(epoch < state.epoch, "epoch %s came again, as %s tells", state.epoch, key)

    def expect_new(self, state: StateView) -> None:
        """A version of ours begins a queue where there was one: only if nothing tells of it."""
        left = [key for each in (ARCHIVE, PAYLOADS) for key in self._bucket.keys(each)]
        expect(not left, "%s begins a new queue over %s", state.commit, left)
