"""Moves ended jobs from the state to the archive, batch by batch, and deletes old hours.

Three steps, each durable before the next begins: a commit seals a batch (which jobs, in which
order, under which key); its object is created from those entries, where "exists" means done; a
commit drops exactly those jobs. Whoever dies when: the next leader finds the sealed batch in the
state and goes on from there, so each ended job stands in the archive exactly once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec

from osqueue.clock import Clock, Entropy
from osqueue.config import ArchiveSettings
from osqueue.engine.archive import Archive
from osqueue.engine.requests import (
    Conflicted,
    Found,
    Held,
    ReadResult,
    Write,
    WriteResult,
    Written,
)
from osqueue.engine.storeio import read_object, write_object
from osqueue.errors import OsqueueError
from osqueue.model.batches import BatchName, hour_of
from osqueue.model.ends import EndMemory
from osqueue.model.ops import Drop, Op, Seal
from osqueue.model.outcomes import Sealed
from osqueue.storage.protocol import Store

__all__ = ["Archiver", "Backlog", "Leader"]

logger = logging.getLogger("osqueue.engine")

BACKOFF_FIRST_MS = 100
"""First pause after a failure; doubled each time, with jitter."""


class Backlog(msgspec.Struct, frozen=True, gc=False):
    """The ended jobs that are not in the archive: how many, their size, the oldest one's end."""

    jobs: int
    size: int
    oldest_at: int | None
    sealed: bool
    """Whether a batch is sealed and not dropped yet."""

    @staticmethod
    def of(ends: EndMemory) -> Backlog:
        oldest = ends.finished.oldest()
        return Backlog(
            len(ends.finished),
            ends.finished_bytes,
            None if oldest is None else oldest.ended_at,
            ends.outbox is not None,
        )


class Leader(Protocol):
    """What the archiver needs of the engine."""

    @property
    def backlog(self) -> Backlog: ...

    async def ask(self, op: Op) -> Held: ...


class Archiver:
    """The archiver of one leader: run it until leadership is over."""

    def __init__(
        self,
        leader: Leader,
        archive: Archive,
        store: Store,
        *,
        settings: ArchiveSettings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._leader = leader
        self._archive = archive
        self._store = store
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._began_wall, self._began_mono = clock.wall_ms(), clock.mono_ms()
        self._failures = 0

    async def run(self) -> None:
        """Archive what ends, for ever."""
        await asyncio.gather(self._run_batches(), self._run_sweeps())

    def due(self) -> bool:
        """Whether there is a batch to take through its steps now."""
        backlog, settings = self._leader.backlog, self._settings
        if backlog.sealed:
            return True
        if backlog.oldest_at is None or settings.retention_ms == 0:
            return False
        full = backlog.jobs >= settings.batch_jobs_max or backlog.size >= settings.batch_bytes_max
        age_ms = self._clock.wall_ms() - backlog.oldest_at
        return full or not 0 <= age_ms < settings.linger_ms  # below 0: the clock was set back

    async def archive_one(self) -> bool:
        """Take one batch through all of its steps; whether there was any. Raises what fails."""
        settings = self._settings
        seal = Seal(self._entropy.token(), settings.batch_jobs_max, settings.batch_bytes_max)
        sealed = (await self._leader.ask(seal)).outcome
        if not isinstance(sealed, Sealed):
            return False
        if sealed.jobs > 0:
            await self._create(sealed)
        name = BatchName.parse(sealed.key)
        if name is not None:
            self._archive.add(name)
        await self._leader.ask(Drop(sealed.key))
        return True

    async def delete_old(self) -> None:
        """Delete the hours that have been kept long enough. Raises the store's errors."""
        kept_since = self._wall_ms() - self._settings.retention_ms
        deleted = await self._archive.delete_before(hour_of(kept_since))
        if deleted:
            logger.info("deleted %d old archive objects", deleted)

    def _wall_ms(self) -> int:
        """The time of day; a clock that is set ahead while this runs must not empty the archive."""
        ran = self._clock.mono_ms() - self._began_mono
        return min(self._clock.wall_ms(), self._began_wall + ran)

    async def _run_batches(self) -> None:
        while True:
            if self.due():
                await self._attempt()
            else:
                await asyncio.sleep(self._settings.look_ms / 1_000)

    async def _run_sweeps(self) -> None:
        while True:
            try:
                await self._archive.load()
                break
            except Exception as error:  # noqa: BLE001 - an outermost loop
                await self._pause(_named(error))
        while self._settings.retention_ms > 0:
            try:
                await self.delete_old()
            except Exception as error:  # noqa: BLE001 - an outermost loop
                why = _named(error).message
                logger.warning("old archive objects could not be deleted: %s", why)
            await asyncio.sleep(self._settings.sweep_ms / 1_000)

    async def _attempt(self) -> None:
        try:
            await self.archive_one()
        except Exception as error:  # noqa: BLE001 - an outermost loop
            await self._pause(_named(error))
        else:
            if self._failures > 0:
                logger.info("the archive can be written again")
            self._failures = 0

    async def _create(self, sealed: Sealed) -> None:
        """Write the batch's object. One that exists is the same: its key is never used again.

        A conflict alone proves nothing, and what is dropped next stands nowhere else.
        """
        while True:
            result: WriteResult | ReadResult
            result = await write_object(self._store, sealed.key, Write(sealed.data, None))
            if isinstance(result, Conflicted):
                result = await read_object(self._store, sealed.key)
            if isinstance(result, Written | Found):
                return
            why = getattr(result, "why", "it is not there")
            await self._pause(OsqueueError(f"{sealed.key}: {why}"))

    async def _pause(self, error: OsqueueError) -> None:
        if self._failures == 0:
            logger.warning("ended jobs wait for the archive: %s", error.message)
        doubled = BACKOFF_FIRST_MS << min(self._failures, 16)
        longest = min(self._settings.backoff_max_ms, doubled)
        self._failures += 1
        await asyncio.sleep(longest * (0.5 + self._entropy.jitter() / 2) / 1_000)


def _named(error: Exception) -> OsqueueError:
    """An error as one of ours; what nobody should have raised is logged whole."""
    if isinstance(error, OsqueueError):
        return error
    logger.error("the archiver failed inside", exc_info=error)
    return OsqueueError(repr(error))
