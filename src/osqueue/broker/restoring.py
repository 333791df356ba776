"""Queueing dead letters again that stand only in the archive, many in one go.

Laws: each batch of the archive is read once for all of them; a job that cannot be found in time
says so for itself: of fewer, each is looked for further.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from osqueue.broker.engines import Lookup, QueueEngine
from osqueue.engine.sought import Found
from osqueue.errors import OsqueueError, OverloadedError, StorageBackendError
from osqueue.model.job import JobStatus
from osqueue.model.ops import Act, Retry
from osqueue.model.outcomes import Acted, ActOutcome, NotFound

__all__ = ["Restored", "may_be_archived", "restore"]


class Restored(NamedTuple):
    """What has become of them, by id; of those that neither names, nothing is known."""

    outcomes: Mapping[str, ActOutcome]
    errors: Mapping[str, OsqueueError]
    """Those that could not be looked for, and why."""
    position: tuple[int, int] | None


def may_be_archived(outcome: ActOutcome | None) -> bool:
    """Whether a refusal to retry a job may only mean that it has left the state."""
    return isinstance(outcome, NotFound) and outcome.ended in {None, JobStatus.DEAD}


async def restore(engine: QueueEngine, lookup: Lookup, job_ids: Collection[str]) -> Restored:
    """Queue those again that the archive holds as dead, in one commit."""
    try:
        found = await (await lookup.listed()).find_many(job_ids)
    except (OverloadedError, StorageBackendError) as error:
        return Restored({}, dict.fromkeys(job_ids, error), None)
    errors = {job_id: _unread(job_id) for job_id in found.unread}
    if not found.lines:
        return Restored({}, errors, None)
    held = await engine.ask(_retries(found), size=sum(map(len, found.lines.values())))
    assert isinstance(held.outcome, Acted), "each job is refused for itself"
    each = zip(found.lines, held.outcome.each, strict=True)
    outcomes = {job_id: outcome for job_id, outcome in each if outcome is not None}
    return Restored(outcomes, errors, held.position)


def _retries(found: Found) -> Act:
    return Act(tuple([Retry(job_id, line) for job_id, line in found.lines.items()]))


def _unread(job_id: str) -> OsqueueError:
    return OverloadedError(f"job {job_id} was not looked for everywhere; name fewer jobs at once")
