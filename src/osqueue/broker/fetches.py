"""Handing out jobs whose payloads are objects: fetched when the grants are durable.

While an answer is fetched and sent, its leases are kept, and are no orphans: the worker cannot
know of them yet. Nor are they for a while after that, as after any other grant: what has been sent
has not arrived. A payload that is lost makes its job a dead letter, and harms no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import msgspec
from msgspec import Raw

from osqueue.broker.engines import QueueEngine
from osqueue.engine.payloads import PayloadLostError
from osqueue.engine.requests import Held
from osqueue.engine.room import Share
from osqueue.errors import OsqueueError
from osqueue.model.ops import Claim, Fail, Heartbeat, LeaseRef
from osqueue.model.outcomes import Claimed, Done, Grant

__all__ = ["Delivery"]

logger = logging.getLogger("osqueue.broker")

KEEP_ROUNDS_MAX = 12
"""How often the leases of one answer are kept, three times a time-out: four time-outs in all."""


class Delivery:
    """One claim's payloads, from the grant to the sent answer. `close` it in any case.

    ``under_way`` counts the deliveries of each worker.
    """

    def __init__(self, engine: QueueEngine, under_way: Counter[str]) -> None:
        self._engine = engine
        self._under_way = under_way
        self._worker_id: str | None = None
        self._share: Share | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.texts: dict[str, bytes] = {}
        """The large payloads, by job id."""
        self.lost: set[str] = set()
        """Jobs that are not handed out after all."""

    async def fetch(self, held: Held) -> None:
        """Get the payloads of a claim's grants. Raises the store's errors."""
        assert isinstance(held.op, Claim), "only claims are delivered"
        assert isinstance(held.outcome, Claimed), "only grants are delivered"
        grants = [grant for grant in held.outcome.grants if grant.large is not None]
        if grants:
            self._begin(held.op.worker_id, held.outcome.grants)
            size = sum(grant.large.size for grant in grants if grant.large is not None)
            self._share = await self._engine.payloads.outgoing.take(size)
            await self._fetch_all(held.op.worker_id, grants)

    def close(self) -> None:
        """The answer has been sent, or never will be. A second time does nothing."""
        if self._keeping is not None:
            self._keeping.cancel()
        if self._share is not None:
            self._share.give_back()
        if self._worker_id is not None:
            wait_s = self._engine.limits.orphan_after_ms / 1_000
            loop = asyncio.get_running_loop()  # it must not keep the texts: they are sent
            loop.call_later(wait_s, _arrived, self._under_way, self._worker_id)
            self._worker_id = None

    def _begin(self, worker_id: str, grants: tuple[Grant, ...]) -> None:
        self._worker_id = worker_id
        self._under_way[worker_id] += 1
        refs = tuple([LeaseRef(grant.id, grant.lease) for grant in grants])
        keeping = self._keep(Heartbeat(worker_id, refs))
        self._keeping = asyncio.get_running_loop().create_task(keeping, name="osqueue keep")

    async def _keep(self, heartbeat: Heartbeat) -> None:
        for _ in range(KEEP_ROUNDS_MAX):
            await asyncio.sleep(self._engine.limits.lease_timeout_ms / 3_000)
            try:
                await self._engine.ask(heartbeat)
            except OsqueueError as error:
                logger.info("leases of an answer under way were not kept: %s", error)

    async def _fetch_all(self, worker_id: str, grants: list[Grant]) -> None:
        fetching = [self._fetch(grant) for grant in grants]
        results = await asyncio.gather(*fetching, return_exceptions=True)
        for grant, result in zip(grants, results, strict=True):
            if isinstance(result, PayloadLostError):
                await self._bury(worker_id, grant, result)
            elif isinstance(result, BaseException):
                raise result
            else:
                self.texts[grant.id] = result

    async def _fetch(self, grant: Grant) -> bytes:
        assert grant.large is not None, "others have their payload with them"
        return await self._engine.payloads.fetch(grant.large, grant.type)

    async def _bury(self, worker_id: str, grant: Grant, why: PayloadLostError) -> None:
        """Make a dead letter of a job that can never run; one that is over needs nothing."""
        self.lost.add(grant.id)
        error = Raw(msgspec.json.encode({"type": "PayloadLost", "message": str(why)}))
        op = Fail(worker_id, LeaseRef(grant.id, grant.lease), error, retry=False)
        held = await self._engine.ask(op)
        if isinstance(held.outcome, Done):
            logger.error("job %s is a dead letter: %s", grant.id, why)


def _arrived(under_way: Counter[str], worker_id: str) -> None:
    """By now the worker knows of what it was sent."""
    under_way[worker_id] -= 1
    if under_way[worker_id] == 0:
        del under_way[worker_id]
