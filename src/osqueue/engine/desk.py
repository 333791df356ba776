"""Where requests are handed in: to the term under way, if there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from osqueue.engine.callers import Caller, Claims, Follow, answer_of, new_ticket
from osqueue.engine.payloads import PayloadObjects
from osqueue.engine.requests import Held
from osqueue.engine.term import Term
from osqueue.errors import OsqueueError
from osqueue.model.ops import Claim, Op

__all__ = ["TermDesk"]


class TermDesk:
    """``term`` is the one under way; without one, requests are refused with ``refusal``."""

    def __init__(
        self,
        term: Callable[[], Term | None],
        payloads: PayloadObjects,
        *,
        refusal: Callable[[], OsqueueError],
    ) -> None:
        self._term = term
        self._payloads = payloads
        self._refusal = refusal
        self._claims = Claims(self)
        self._discards: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way here."""
        return not self._discards and len(self._claims) == 0

    @property
    def claims(self) -> int:
        """Claims under way that can be repeated."""
        return len(self._claims)

    @property
    def discards(self) -> int:
        """Deletions in the background."""
        return len(self._discards)

    async def ask(self, op: Op, *, size: int = 0, consistent: bool = False) -> Held:
        """Have an operation applied; see `Engine.ask`."""
        held = Held(op=op, size=size, consistent=consistent, ticket=new_ticket())
        self.arrive(held)
        return await answer_of(held)

    async def claim(
        self, op: Claim, *, wait_ms: int, caller: Caller, follow: Follow | None = None
    ) -> Held:
        """Have a claim applied, waiting for a job if need be; see `Engine.claim`."""
        return await self._claims.claim(op, wait_ms=wait_ms, caller=caller, follow=follow)

    def discard(self, keys: Iterable[str]) -> None:
        """Delete payload objects in the background. After the end, they are left to a sweeper."""
        keys = tuple(keys)
        if keys and not self._closed:
            task = asyncio.get_running_loop().create_task(self._payloads.discard(keys))
            self._discards.add(task)
            task.add_done_callback(self._discards.discard)

    async def settle(self, most_ms: int) -> None:
        """Wait for what is deleted in the background, for so long at most."""
        if self._discards:
            await asyncio.wait(self._discards, timeout=most_ms / 1_000)

    async def close(self) -> None:
        """Give up what is deleted in the background."""
        self._closed = True
        for task in self._discards:
            task.cancel()
        await asyncio.gather(*self._discards, return_exceptions=True)
        self._discards.clear()

    # As claims see it

    def arrive(self, held: Held) -> None:
        """Hand in a request. Raises when nobody takes it."""
        term = self._term()
        if term is None:
            raise self._refusal()
        term.arrive(held)

    def wait_over(self, held: Held) -> None:
        """A claim has waited as long as it asked for."""
        term = self._term()
        if term is not None:
            term.wait_over(held)

    def withdraw(self, held: Held) -> None:
        """The caller of a request has gone away."""
        term = self._term()
        if term is not None:
            term.withdraw(held)
