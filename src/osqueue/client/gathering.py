"""Submits of many tasks, gathered: those of one turn of the event loop travel in one request.

They would stand in one commit anyway; sent one by one, most of what each of them costs, here and
at the broker, is its request. Nothing is waited for: a lone submit leaves in the same turn, too.

What a caller sees is what it would see alone:

- a request of several that is refused for what it holds, and not for who asks or when, is sent
  again in halves, so that a job at fault is refused alone. Each has its id: what was taken is not
  taken twice.
- a caller that goes away before its job was sent leaves no job behind, and when all callers of a
  request have gone away, it is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, cast

from osqueue.client.caller import Caller
from osqueue.client.requests import by_size
from osqueue.errors import (
    BrokerProtocolError,
    JobIdConflictError,
    OsqueueError,
    ParentJobError,
    PayloadValidationError,
    TransportRequestError,
    for_one,
)
from osqueue.wire import messages, operations
from osqueue.wire.messages import SubmitRequest

__all__ = ["Submits"]

_OF_ONE: Final = (
    BrokerProtocolError,
    JobIdConflictError,
    ParentJobError,
    PayloadValidationError,
    TransportRequestError,
)
"""Refusals that one job may have brought on all that travel with it."""


class _Waiting(NamedTuple):
    request: SubmitRequest
    job_id: asyncio.Future[str]

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        return self.job_id.done()


class Submits:
    """Gathers the submits of one client, those of each event loop. None of them is large."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def submit(self, request: SubmitRequest) -> str:
        """The job's id, when the broker has taken it."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.create_future())
        gathered = self._gathered.setdefault(loop, [])
        gathered.append(waiting)
        if len(gathered) == 1:
            loop.call_soon(self._send, loop)
        return await waiting.job_id

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathered.pop(loop)
        for batch in self._batches([each for each in gathered if not each.gone]):
            delivering = loop.create_task(self._deliver(batch), name="osqueue-submits")
            self._sending.add(delivering)
            delivering.add_done_callback(self._sending.discard)
            for each in batch:
                each.job_id.add_done_callback(partial(_give_up, batch, delivering))

    def _batches(self, gathered: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
        left = iter(gathered)
        requests = [each.request for each in gathered]
        for batch in by_size(requests, self._caller.settings.batch_bytes_max):
            yield list(islice(left, len(batch)))

    async def _deliver(self, batch: list[_Waiting]) -> None:
        """Send one request and tell all its callers, whatever happens."""
        try:
            job_ids = await self._ask([each.request for each in batch])
            for each, job_id in zip(batch, job_ids, strict=True):
                if not each.gone:
                    each.job_id.set_result(job_id)
        except OsqueueError as error:
            if len(batch) == 1 or not isinstance(error, _OF_ONE):
                _refuse(batch, error)
            else:
                await self._deliver_halves(batch)
        except Exception as error:  # noqa: BLE001 - a fault of our own is told to who waits for it
            _refuse(batch, error)
        finally:
            for each in batch:
                each.job_id.cancel()

    async def _deliver_halves(self, batch: list[_Waiting]) -> None:
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            waiting = [each for each in half if not each.gone]
            if waiting:
                await self._deliver(waiting)

    async def _ask(self, requests: list[SubmitRequest]) -> list[str]:
        if len(requests) == 1:
            answer = await self._caller.call(operations.SUBMIT, requests[0])
            return [cast("messages.SubmitAnswer", answer).job_id]
        request = messages.SubmitBatchRequest(requests)
        answer = await self._caller.call(operations.SUBMIT_BATCH, request)
        job_ids = cast("messages.SubmitBatchAnswer", answer).job_ids
        if len(job_ids) != len(requests):
            raise TransportRequestError(f"{len(job_ids)} ids for the {len(requests)} jobs sent")
        return job_ids


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    for each in batch:
        if not each.gone:
            each.job_id.set_exception(_own(error) if len(batch) > 1 else error)


def _own(error: Exception) -> Exception:
    return for_one(error) if isinstance(error, OsqueueError) else error


def _give_up(batch: list[_Waiting], delivering: asyncio.Task[None], _: asyncio.Future[str]) -> None:
    """One caller has its answer or has gone away; nobody is left when all have gone away."""
    if all(each.job_id.cancelled() for each in batch):
        delivering.cancel()
