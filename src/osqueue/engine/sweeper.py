"""Deleting payload objects that nobody names: left behind by crashes and lost answers.

Laws: only keys of epochs below that of the durable state are looked for, and deleted only if a
durable state, asked after the listing, does not name them; of that epoch itself only keys that this
process has lost sight of. A lower epoch cannot commit any more, so none of them will ever be named:
no clock is needed, and a leader that has lost its place without knowing does no harm either. While
a copy is kept of a state that an older implementation has overwritten, nothing is deleted: it may
be what somebody goes back to, and it names objects, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from osqueue.clock import Entropy
from osqueue.config import PayloadSettings
from osqueue.engine.payloads import PayloadObjects
from osqueue.engine.requests import BEFORE, Held
from osqueue.errors import OsqueueError
from osqueue.model.job import PAYLOADS
from osqueue.model.lineage import is_number
from osqueue.model.ops import GetPayloadKeys
from osqueue.model.outcomes import PayloadKeys
from osqueue.storage.protocol import Store

__all__ = ["Sweeper", "named_payloads"]

logger = logging.getLogger("osqueue.engine")

PAGE_KEYS = 1_000
"""Keys looked at together: the state is asked once for them."""


class Sweeper:
    """``named`` asks for the keys that the durable state names; it is asked after the listing.

    ``key`` is that of the state object, beside which copies of it may be kept.
    """

    def __init__(
        self,
        store: Store,
        payloads: PayloadObjects,
        settings: PayloadSettings,
        *,
        entropy: Entropy,
        named: Callable[[], Awaitable[frozenset[str]]],
        key: str,
    ) -> None:
        self._store = store
        self._payloads = payloads
        self._settings = settings
        self._entropy = entropy
        self._named = named
        self._copies = f"{key}.{BEFORE}"
        self._told_of = ""

    async def run(self, epoch: Callable[[], int]) -> NoReturn:
        """Sweep now and then until cancelled; a sweep that fails is left to the next."""
        await self._rest(self._settings.sweep_first_ms)
        while True:
            try:
                await self.sweep(epoch())
            except OsqueueError as error:
                logger.info("sweeping payload objects: %s", error)
            except Exception:
                logger.exception("sweeping payload objects failed in an unexpected way")
            await self._rest(self._settings.sweep_every_ms)

    async def sweep(self, epoch: int) -> int:
        """Delete what lower epochs left behind, and what this one lost sight of; answers how many.

        Raises the store's errors, and what the engine refuses with.
        """
        if await self._is_withheld():
            return 0
        swept = await self._sweep_stray()
        page: list[str] = []
        async for key in self._store.list(PAYLOADS):
            if _is_below(key, epoch):
                page.append(key)
            if len(page) == PAGE_KEYS:
                swept += await self._delete_unnamed(page)
                page = []
            if swept >= self._settings.sweep_keys_max:
                break
        return swept + await self._delete_unnamed(page)

    async def _sweep_stray(self) -> int:
        """No listing finds these: kept in mind until it is known whether anybody names them."""
        stray, orphans = self._payloads.take_stray(), None
        try:
            orphans = await self._unnamed(stray)
        finally:
            if orphans is None:
                self._payloads.leave(stray)
        return await self._delete(orphans or [])

    async def _delete_unnamed(self, keys: list[str]) -> int:
        return await self._delete(await self._unnamed(keys) or [])

    async def _unnamed(self, keys: list[str]) -> list[str] | None:
        """Those that nobody names; ``None`` when a copy is kept, and it cannot be told."""
        if not keys:
            return []
        named = await self._named()
        orphans = [key for key in keys if key not in named]
        return None if orphans and await self._is_withheld() else orphans

    async def _delete(self, orphans: list[str]) -> int:
        if orphans:
            await self._payloads.discard(orphans)
            logger.info("swept %d payload objects that nobody names", len(orphans))
        return len(orphans)

    async def _is_withheld(self) -> bool:
        """Whether a copy of a state is kept; told once of each."""
        copy = await anext(aiter(self._store.list(self._copies)), None)
        if copy is not None and copy != self._told_of:
            self._told_of = copy
            logger.warning(
                "payload objects are not swept while %s exists: it may name some of them; "
                "delete it when nobody will go back to it, and sweeping goes on", copy,
            )  # fmt: skip
        return copy is not None

    async def _rest(self, ms: int) -> None:
        await asyncio.sleep(ms * (0.75 + self._entropy.jitter() / 2) / 1_000)


class Asked(Protocol):
    """Whom the durable state is asked of."""

    async def ask(self, op: GetPayloadKeys, *, consistent: bool) -> Held: ...


async def named_payloads(engine: Asked) -> frozenset[str]:
    """The keys that the durable state names, at a moment after this was asked."""
    held = await engine.ask(GetPayloadKeys(), consistent=True)
    assert isinstance(held.outcome, PayloadKeys), "looking cannot be refused"
    return held.outcome.keys


def _is_below(key: str, epoch: int) -> bool:
    """Whether a key is of a lower epoch; a key that is none of ours is not touched."""
    written, _, name = key.removeprefix(PAYLOADS).partition("/")
    return bool(name) and is_number(written) and int(written) < epoch
