"""Many jobs at once: how many are meant, and doing something to them.

Laws: what is looked through is looked through a piece at a time, with others in between; what is
done is one operation, so it is in one commit as a whole. Each job is looked at again in that
moment: one that has changed since it was found is left alone. Only dead letters that stand in the
archive alone are looked for after that, and queued again in a commit of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from osqueue.broker import answers
from osqueue.broker.engines import Lookup, QueueEngine
from osqueue.broker.reply import Reply
from osqueue.broker.restoring import Restored, may_be_archived, restore
from osqueue.config import FAILED_SHOWN_MAX, FIND_SCANS_MAX, LIST_SCAN_MAX
from osqueue.errors import BrokerProtocolError, OsqueueError
from osqueue.model.ops import Act, Cancel, FindJobs, GetStats, JobFilter, Retry, SetPriority
from osqueue.model.outcomes import Acted, ActOutcome, BadCursor, Counts, Done, Found
from osqueue.wire.errors import error_body
from osqueue.wire.messages import ActionAnswer, ActionRequest, JobAnswer, JobsCount
from osqueue.wire.operations import CountQuery

__all__ = ["act_on_jobs", "count_jobs", "refuse_doubles"]

Action: TypeAlias = Callable[[str], Cancel | Retry | SetPriority]

_UNCLAIMED: Final = frozenset({"unclaimed", "ready", "delayed", "waiting"})

_MEANT: Final = MappingProxyType(
    {
        "cancel": (None, _UNCLAIMED | {"in_progress", "dead"}),
        "retry": ("dead", frozenset({"dead"})),
        "setPriority": ("unclaimed", _UNCLAIMED),
    }
)
"""Of each action the status of the jobs that it can mean, and those that a filter may say."""


class _Matching(NamedTuple):
    """The oldest jobs that are meant, and whether there may be more."""

    ids: list[str]
    more: bool
    position: tuple[int, int] | None


class _Taken(NamedTuple):
    """What has become of each job; ``None``: it is not meant any more."""

    outcomes: Mapping[str, ActOutcome | None]
    errors: Mapping[str, OsqueueError]
    """Why a refusal may not be the last word."""
    position: tuple[int, int] | None


async def count_jobs(engine: QueueEngine, query: CountQuery) -> Reply[JobsCount]:
    """How many jobs are meant. By their status alone, that is known without a look at them."""
    wanted = JobFilter(query.status, query.type, query.text)
    if query.type is None and not query.text:
        held = await engine.ask(GetStats(), consistent=query.consistent)
        assert isinstance(held.outcome, Counts), "looking at the counts cannot be refused"
        return Reply(JobsCount(count=_counted(held.outcome, query.status)), held.position)
    matching = await _matching(engine, wanted, consistent=query.consistent)
    count = JobsCount(count=len(matching.ids), at_least=matching.more)
    return Reply(count, matching.position)


async def act_on_jobs(
    engine: QueueEngine, request: ActionRequest, lookup: Lookup | None, *, size: int = 0
) -> Reply[ActionAnswer]:
    """Do something to many jobs. ``lookup``: where they are looked for that have left the state.

    ``size``: bytes of the request.
    """
    wanted, action = _wanted(request), _action(request)
    if request.job_ids is not None:
        refuse_doubles(request.job_ids, "jobIds")
        taken = await _act(engine, action, request.job_ids, wanted, size=size)
        if action is Retry and lookup is not None:
            taken = await _with_archived(engine, lookup, taken)
        return _told(taken)
    if wanted is None:
        raise BrokerProtocolError("say which jobs: `jobIds`, or a `filter`")
    matching = await _matching(engine, wanted, limit=request.max)
    if not matching.ids:
        nothing = ActionAnswer(done=0, failed=[], left=matching.more)
        return Reply(nothing, matching.position)
    size = sum(map(len, matching.ids))
    reply = _told(await _act(engine, action, matching.ids, wanted, size=size))
    reply.value.left = matching.more
    return reply


def refuse_doubles(ids: list[str], field: str) -> None:
    """Raise `BrokerProtocolError` when an id stands in a list twice."""
    if len(set(ids)) < len(ids):
        double = next(job_id for job_id in ids if ids.count(job_id) > 1)
        raise BrokerProtocolError(f"`{field}` holds the job id {double!r} twice")


async def _act(
    engine: QueueEngine,
    action: Action,
    ids: list[str],
    wanted: JobFilter | None,
    *,
    size: int,
) -> _Taken:
    held = await engine.ask(Act(tuple(map(action, ids)), wanted), size=size)
    assert isinstance(held.outcome, Acted), "each job is refused for itself"
    return _Taken(dict(zip(ids, held.outcome.each, strict=True)), {}, held.position)


async def _with_archived(engine: QueueEngine, lookup: Lookup, taken: _Taken) -> _Taken:
    """The same, with what can be done about those that have left the state."""
    gone = [job_id for job_id, outcome in taken.outcomes.items() if may_be_archived(outcome)]
    if not gone:
        return taken
    restored: Restored = await restore(engine, lookup, gone)
    outcomes = {**taken.outcomes, **restored.outcomes}
    return _Taken(outcomes, restored.errors, restored.position or taken.position)


def _told(taken: _Taken) -> Reply[ActionAnswer]:
    outcomes, errors = taken.outcomes, taken.errors
    failed = [
        _refused(job_id, outcome, errors.get(job_id))
        for job_id, outcome in outcomes.items()
        if outcome is not None and not isinstance(outcome, Done)
    ]
    answer = ActionAnswer(
        done=sum([isinstance(outcome, Done) for outcome in outcomes.values()]),
        failed=failed[:FAILED_SHOWN_MAX],
        left=False,
        skipped=sum([outcome is None for outcome in outcomes.values()]),
    )
    return Reply(answer, taken.position)


def _refused(job_id: str, outcome: ActOutcome, error: OsqueueError | None) -> JobAnswer:
    if error is None:
        return answers.job_answer(job_id, outcome)
    return JobAnswer(job_id=job_id, error=error_body(error))


def _wanted(request: ActionRequest) -> JobFilter | None:
    """What the filter means, of the jobs that this can be done to. Raises what is wrong with it."""
    given = request.filter
    if given is None:
        return None
    if given.status is given.type is None and not given.text:
        raise BrokerProtocolError(
            "`filter` means every job of the queue: say a `status`, a `type` or a `text`"
        )
    status, sayable = _MEANT[request.action]
    if given.status is not None and given.status not in sayable:
        raise BrokerProtocolError(
            f"`filter.status`: {request.action} is for {status} jobs, not for {given.status} ones"
        )
    return JobFilter(given.status or status, given.type, given.text)


def _action(request: ActionRequest) -> Action:
    """What is done to each job. Raises `BrokerProtocolError` when half of it is not said."""
    if (request.priority is None) == (request.action == "setPriority"):
        raise BrokerProtocolError("`priority` is what setPriority sets, and nothing else takes it")
    match request.action:
        case "cancel":
            return Cancel
        case "retry":
            return Retry
        case _:
            return partial(SetPriority, priority=request.priority or 0)


async def _matching(
    engine: QueueEngine,
    wanted: JobFilter,
    *,
    limit: int | None = None,
    consistent: bool = False,
) -> _Matching:
    """The oldest jobs that are meant, ``limit`` at most, as of about the same moment."""
    ids: list[str] = []
    cursor: str | None = None
    position: tuple[int, int] | None = None
    for _ in range(FIND_SCANS_MAX):
        room = LIST_SCAN_MAX if limit is None else limit - len(ids)
        held = await engine.ask(FindJobs(room, cursor, wanted), consistent=consistent)
        found, position = held.outcome, held.position
        if isinstance(found, Found):
            ids, cursor = ids + list(found.ids), found.next_cursor
            if cursor is None or len(ids) == limit:
                return _Matching(ids, cursor is not None, position)
        else:
            assert isinstance(found, BadCursor), "there is nothing else to refuse"
            ids, cursor = [], None  # the state was read anew in between
        await asyncio.sleep(0)  # an answer may come at once
    return _Matching(ids, more=True, position=position)


def _counted(counts: Counts, status: str | None) -> int:
    by_status = {
        None: counts.unclaimed + counts.in_progress + counts.dead,
        "unclaimed": counts.unclaimed,
        "ready": counts.unclaimed - counts.delayed - counts.waiting,
        "delayed": counts.delayed,
        "waiting": counts.waiting,
        "in_progress": counts.in_progress,
        "dead": counts.dead,
    }
    return by_status[status]
