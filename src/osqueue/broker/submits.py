"""Submitting jobs whose payloads are too large for the state: the objects first, then the job.

Laws: an object is written before the operation that names it is asked for, and under the epoch that
leads; it is deleted when it is certain that nothing names it, and never while that is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import UNSET
from msgspec.structs import replace

from osqueue.broker.engines import QueueEngine
from osqueue.engine.requests import Held
from osqueue.errors import OsqueueError
from osqueue.model.job import LargePayload
from osqueue.model.ops import NewJob, Submit
from osqueue.model.outcomes import PayloadOutdated, Submitted

__all__ = ["submit_jobs", "submit_large"]

EPOCHS_MAX = 2
"""How often a submit is tried: a leader that creates its object again changes its epoch once."""


async def submit_jobs(engine: QueueEngine, jobs: tuple[NewJob, ...], *, size: int) -> Held:
    """Submit jobs with their payloads. ``size``: bytes of the request.

    Raises what the engine refuses with, and `StorageBackendError` when an object was not taken.
    """
    inline_max = engine.limits.payload_inline_max
    if 0 < size <= inline_max:  # the request is small, so each payload in it is
        return await engine.ask(Submit(jobs), size=size)
    large = {
        job.id: bytes(job.payload)
        for job in jobs
        if job.payload is not UNSET and job.payload_bytes > inline_max
    }
    if not large:
        return await engine.ask(Submit(jobs), size=size)
    with engine.payloads.incoming.take_now(sum(map(len, large.values()))):
        return await submit_large(engine, jobs, large)


async def submit_large(
    engine: QueueEngine, jobs: tuple[NewJob, ...], texts: Mapping[str, bytes]
) -> Held:
    """The same for jobs whose payloads are ``texts``, by job id; others have theirs with them."""
    held = await _try(engine, jobs, texts)
    for _ in range(EPOCHS_MAX - 1):
        if isinstance(held.outcome, PayloadOutdated):
            held = await _try(engine, jobs, texts)
    return held


async def _try(engine: QueueEngine, jobs: tuple[NewJob, ...], texts: Mapping[str, bytes]) -> Held:
    written = await _write(engine, {job.id: job.type for job in jobs if job.id in texts}, texts)
    keys = [large.key for large in written.values()]
    named = tuple([_naming(job, written.get(job.id)) for job in jobs])
    inline = sum(job.payload_bytes for job in jobs if job.id not in texts)
    try:
        held = await engine.ask(Submit(named), size=inline)
    except OsqueueError as error:
        if error.applied == "no":
            engine.discard(keys)
        raise
    engine.discard(held.outcome.unused if isinstance(held.outcome, Submitted) else keys)
    return held


async def _write(
    engine: QueueEngine, types: Mapping[str, str], texts: Mapping[str, bytes]
) -> dict[str, LargePayload]:
    """All objects, or none: what was written beside a failure is deleted again."""
    epoch = engine.epoch
    writing = [engine.payloads.write(epoch, type_, texts[each]) for each, type_ in types.items()]
    results = await asyncio.gather(*writing, return_exceptions=True)
    written = {
        job_id: result
        for job_id, result in zip(types, results, strict=True)
        if isinstance(result, LargePayload)
    }
    for result in results:
        if isinstance(result, BaseException):
            engine.discard([large.key for large in written.values()])
            raise result
    return written


def _naming(job: NewJob, large: LargePayload | None) -> NewJob:
    return job if large is None else replace(job, payload=UNSET, large=large)
