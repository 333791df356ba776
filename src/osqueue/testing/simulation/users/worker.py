"""Those who run jobs: processes with a real worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from osqueue.client.client import OsqueueClient
from osqueue.errors import Discard, Retry
from osqueue.testing.simulation.users.user import TYPES, User
from osqueue.worker.job_context import JobContext
from osqueue.worker.worker import Worker

__all__ = ["SimulatedWorker"]


class SimulatedWorker(User):
    """A process that runs a real worker."""

    gone: Callable[[], None] | None = None
    """Is told when it has been stopped."""
    worker: Worker | None = None
    """The one of its present life."""

    async def stop(self) -> None:
        """Let jobs finish, or not, give back the others, and end. To be called in its process."""
        worker, since_us = self.worker, self.world.loop.now_us
        if worker is not None and self.dice.chance(0.5):
            await worker.stop()
        elif worker is not None:
            await worker.stop_at_once()
        if worker is not None:
            self.ledger.left(self.process.name, worker.worker_id, since_us)
        self.world.trace.note(self.process.name, "was stopped")
        self.process.kill()
        if self.gone is not None:
            self.gone()

    async def live(self, client: OsqueueClient) -> None:
        self.worker = None
        self.worker = worker = Worker(
            client,
            dict.fromkeys(TYPES, self._run),
            concurrency=self.load.concurrency,
            prefetch=self.load.prefetch,
        )
        await worker.run()

    async def _run(self, payload: dict[str, Any], ctx: JobContext) -> object:
        self.ledger.ran(ctx.job_id, ctx.attempt)
        steps = self.dice.whole(1, 4)
        for step in range(steps):
            await asyncio.sleep(payload["takes"] / steps)
            ctx.progress(step + 1, steps)
        if ctx.attempt <= payload["fails"]:
            self._fail(payload)
        return {"by": self.process.name, "attempt": ctx.attempt}

    def _fail(self, payload: dict[str, Any]) -> None:
        if payload.get("gives_up"):
            raise Discard("it cannot be done")
        if self.dice.chance(0.3):
            raise Retry(self.dice.between(0, 5), "not now")
        raise RuntimeError("it did not work")
