"""What the service needs of an engine: one that leads, or one that shares its queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from osqueue.config import QueueLimits
from osqueue.engine.archive import Archive
from osqueue.engine.callers import Caller, Follow
from osqueue.engine.payloads import PayloadObjects
from osqueue.engine.requests import Held
from osqueue.engine.term import Listener
from osqueue.model.ops import Claim, Op
from osqueue.wire.messages import BrokerStatus

__all__ = ["Lookup", "QueueEngine"]


class QueueEngine(Protocol):
    """Has operations applied, and tells what became of them; see `osqueue.engine.engine.Engine`."""

    payloads: PayloadObjects
    listener: Listener | None
    awaited: set[str]

    @property
    def limits(self) -> QueueLimits: ...

    @property
    def epoch(self) -> int: ...

    @property
    def durable(self) -> bytes: ...

    def expect_leading(self) -> None: ...

    async def ask(self, op: Op, *, size: int = 0, consistent: bool = False) -> Held: ...

    async def claim(
        self, op: Claim, *, wait_ms: int, caller: Caller, follow: Follow | None = None
    ) -> Held: ...

    def listen(self, *, wanted: bool) -> None: ...

    def await_ends(self) -> None: ...

    def discard(self, keys: Iterable[str]) -> None: ...

    def status(self) -> BrokerStatus: ...

    async def watched(self, broker_id: str, address: str, *, wait_ms: int) -> BrokerStatus: ...

    async def hand_over(self) -> None: ...


class Lookup(Protocol):
    """Where jobs are found that have left the state."""

    async def find(self, job_id: str) -> bytes | None:
        """The JSON of an ended job, or ``None``."""
        ...

    async def listed(self) -> Archive:
        """The archive, once it is known what is in it."""
        ...
