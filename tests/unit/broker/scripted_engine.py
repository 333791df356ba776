"""A service over an engine that answers as a script says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.config import QueueLimits
from osqueue.engine.engine import Engine
from osqueue.engine.requests import Held
from osqueue.model import ops
from osqueue.model.outcomes import (
    Counts,
    Outcome,
)
from osqueue.wire.messages import (
    BrokerStatus,
    CompleteRequest,
)

Q = DEFAULT_QUEUE
AT = (7, 42)
COUNTS = Counts(
    unclaimed=1, in_progress=0, dead=0, delayed=0, completed_total=0, dead_total=0, broker=None
)
LEASE = CompleteRequest(worker_id="w", lease="l-1")


class ScriptedEngine:
    """Answers every operation with the outcome that stands next in its script."""

    broker_id = "b"
    limits = QueueLimits()
    durable = b'{"jobs":[]}'

    def __init__(self) -> None:
        self.awaited: set[str] = set()
        self.outcomes: list[Outcome] = []
        self.asked: list[Any] = []
        self.options: list[dict[str, Any]] = []

    async def ask(self, op: ops.Op, **options: Any) -> Held:
        self.asked.append(op)
        self.options.append(options)
        return Held(op=op, outcome=self.outcomes.pop(0), position=AT)

    async def claim(self, op: ops.Claim, **options: Any) -> Held:
        return await self.ask(op, **options)

    def discard(self, keys: Iterable[str]) -> None:
        assert not list(keys), "there are no objects"

    def status(self) -> BrokerStatus:
        return BrokerStatus(
            ready=True, role="leader", address="h", broker_id="b", leader="h", epoch=1
        )


class Ids:
    """Ids that count up."""

    def __init__(self) -> None:
        self.made = 0

    def job_id(self) -> str:
        self.made += 1
        return f"id-{self.made}"

    def job_ids(self, number: int) -> list[str]:
        return [self.job_id() for _ in range(number)]

    def secret(self) -> str:
        return self.token()

    def token(self) -> str:
        self.made += 1
        return f"token-{self.made}"

    def jitter(self) -> float:
        return 0.0


class Under:
    """A service over an engine that answers so."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.engine = ScriptedEngine()
        self.engine.outcomes = list(outcomes)
        engine = cast("Engine", self.engine)
        self.service = QueueService(engine, address="me:1", entropy=Ids())

    @property
    def op(self) -> Any:
        (op,) = self.engine.asked
        return op
