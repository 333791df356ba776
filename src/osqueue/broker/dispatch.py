"""From an operation's name to the method of the service that does it, once for all transports.

`PUT /v1/jobs/{jobId}` is not here: only REST has a body that is a payload. Elsewhere a large job is
submitted as any other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from osqueue.broker.answers import hide_payloads
from osqueue.broker.overviews import OverviewWatch
from osqueue.broker.service import DEFAULT_QUEUE, QueueService, Reply
from osqueue.broker.streams import JobStream, Subscription
from osqueue.engine.callers import Caller
from osqueue.wire import operations as ops
from osqueue.wire.messages import SubscribeRequest
from osqueue.wire.operations import (
    CountQuery,
    EndedQuery,
    JobQuery,
    ListQuery,
    ReadQuery,
    SchedulesQuery,
    StatusQuery,
)
from osqueue.wire.overview import OverviewQuery

__all__ = ["BROKER_HANDLERS", "HANDLERS", "STREAM_HANDLERS", "Call", "Handler", "Pushed", "one_job"]


class Call(msgspec.Struct):
    """One request, decoded and within the limits of its fields."""

    message: Any = None
    """What the operation takes; ``None`` where it takes nothing."""
    job_id: str = ""
    size: int = 0
    """Bytes of the request."""
    has_room: bool = False
    """Whether there is room for them already; see `QueueService.room_for`."""
    caller: Caller | None = None
    """Who asks: for what waits, and ends when nobody is there any more."""
    hides_payloads: bool = False
    """Whether whoever asks may not see payloads and results, but by claiming jobs."""


Handler: TypeAlias = Callable[[QueueService, Call], Awaitable[Reply[Any]]]
Pushed: TypeAlias = Subscription | JobStream | OverviewWatch


async def _submit(service: QueueService, call: Call) -> Reply[Any]:
    message, size = call.message, call.size
    return await service.submit(DEFAULT_QUEUE, message, size=size, has_room=call.has_room)


async def _submit_batch(service: QueueService, call: Call) -> Reply[Any]:
    return await service.submit_batch(DEFAULT_QUEUE, call.message, size=call.size)


async def _claim(service: QueueService, call: Call) -> Reply[Any]:
    return await service.claim(DEFAULT_QUEUE, call.message, call.caller or Caller())


async def _heartbeat(service: QueueService, call: Call) -> Reply[Any]:
    return await service.heartbeat(DEFAULT_QUEUE, call.job_id, call.message)


async def _heartbeat_batch(service: QueueService, call: Call) -> Reply[Any]:
    return await service.heartbeat_batch(DEFAULT_QUEUE, call.message)


async def _complete(service: QueueService, call: Call) -> Reply[Any]:
    return await service.complete(DEFAULT_QUEUE, call.job_id, call.message, size=call.size)


async def _complete_batch(service: QueueService, call: Call) -> Reply[Any]:
    return await service.complete_batch(DEFAULT_QUEUE, call.message, size=call.size)


async def _fail(service: QueueService, call: Call) -> Reply[Any]:
    return await service.fail(DEFAULT_QUEUE, call.job_id, call.message)


async def _release(service: QueueService, call: Call) -> Reply[Any]:
    return await service.release(DEFAULT_QUEUE, call.job_id, call.message)


async def _retry(service: QueueService, call: Call) -> Reply[Any]:
    return await service.retry(DEFAULT_QUEUE, call.job_id)


async def _cancel(service: QueueService, call: Call) -> Reply[Any]:
    return await service.cancel(DEFAULT_QUEUE, call.job_id)


async def _set_priority(service: QueueService, call: Call) -> Reply[Any]:
    return await service.set_priority(DEFAULT_QUEUE, call.job_id, call.message)


async def _pause(service: QueueService, _: Call) -> Reply[Any]:
    return await service.pause(DEFAULT_QUEUE)


async def _resume(service: QueueService, _: Call) -> Reply[Any]:
    return await service.resume(DEFAULT_QUEUE)


async def _get_job(service: QueueService, call: Call) -> Reply[Any]:
    query = call.message or JobQuery()
    return await service.get_job(
        DEFAULT_QUEUE,
        call.job_id,
        consistent=query.consistent,
        wait_ms=query.wait_ms,
        caller=call.caller,
    )


async def _list_jobs(service: QueueService, call: Call) -> Reply[Any]:
    query = call.message or ListQuery()
    return await service.list_jobs(DEFAULT_QUEUE, query, consistent=query.consistent)


async def _list_ended(service: QueueService, call: Call) -> Reply[Any]:
    return await service.list_ended(DEFAULT_QUEUE, call.message or EndedQuery())


async def _count_jobs(service: QueueService, call: Call) -> Reply[Any]:
    return await service.count_jobs(DEFAULT_QUEUE, call.message or CountQuery())


async def _act_on_jobs(service: QueueService, call: Call) -> Reply[Any]:
    return await service.act_on_jobs(DEFAULT_QUEUE, call.message, size=call.size)


async def _dead_groups(service: QueueService, call: Call) -> Reply[Any]:
    query = call.message or ReadQuery()
    return await service.dead_groups(DEFAULT_QUEUE, consistent=query.consistent)


async def _stats(service: QueueService, call: Call) -> Reply[Any]:
    query = call.message or ReadQuery()
    return await service.stats(DEFAULT_QUEUE, consistent=query.consistent)


async def _payload(service: QueueService, call: Call) -> Reply[Any]:
    assert not call.hides_payloads, "the door refuses that"
    query = call.message or ReadQuery()
    return await service.get_payload(DEFAULT_QUEUE, call.job_id, consistent=query.consistent)


async def _workflow(service: QueueService, call: Call) -> Reply[Any]:
    query = call.message or ReadQuery()
    return await service.get_workflow(DEFAULT_QUEUE, call.job_id, consistent=query.consistent)


async def _status(service: QueueService, call: Call) -> Reply[Any]:
    return await service.watch(call.message or StatusQuery())


async def _types(service: QueueService, call: Call) -> Reply[Any]:
    query = call.message or ReadQuery()
    return await service.get_types(DEFAULT_QUEUE, consistent=query.consistent)


async def _announce_types(service: QueueService, call: Call) -> Reply[Any]:
    return await service.announce_types(DEFAULT_QUEUE, call.message)


async def _settings(service: QueueService, _: Call) -> Reply[Any]:
    return await service.get_settings()


async def _fail_over(service: QueueService, _: Call) -> Reply[Any]:
    return await service.fail_over(DEFAULT_QUEUE)


async def _list_schedules(service: QueueService, call: Call) -> Reply[Any]:
    return await service.schedules_of(DEFAULT_QUEUE).page(call.message or SchedulesQuery())


async def _put_schedule(service: QueueService, call: Call) -> Reply[Any]:
    return await service.schedules_of(DEFAULT_QUEUE).put(call.message, size=call.size)


async def _drop_schedule(service: QueueService, call: Call) -> Reply[Any]:
    return await service.schedules_of(DEFAULT_QUEUE).drop(call.message.name)


async def _pause_schedule(service: QueueService, call: Call) -> Reply[Any]:
    return await service.schedules_of(DEFAULT_QUEUE).pause(call.message.name)


async def _resume_schedule(service: QueueService, call: Call) -> Reply[Any]:
    return await service.schedules_of(DEFAULT_QUEUE).resume(call.message.name)


async def _run_schedule(service: QueueService, call: Call) -> Reply[Any]:
    return await service.schedules_of(DEFAULT_QUEUE).run(call.message)


def _shown(handler: Handler) -> Handler:
    """The same, of which not everybody may see all."""

    async def show(service: QueueService, call: Call) -> Reply[Any]:
        reply = await handler(service, call)
        if call.hides_payloads:
            hide_payloads(reply.value)
        return reply

    return show


async def _add_credit(service: QueueService, call: Call) -> Reply[Any]:
    return await service.add_credit(DEFAULT_QUEUE, call.message)


async def _overview(service: QueueService, call: Call) -> Reply[Any]:
    return await service.overview(DEFAULT_QUEUE, call.message or OverviewQuery())


def _subscribe(service: QueueService, call: Call) -> Subscription:
    return service.subscribe(DEFAULT_QUEUE, call.message or SubscribeRequest())


def _stream_jobs(service: QueueService, call: Call) -> JobStream:
    return service.stream_jobs(DEFAULT_QUEUE, call.message, call.caller or Caller())


def _watch_overview(service: QueueService, call: Call) -> OverviewWatch:
    return service.watch_overview(DEFAULT_QUEUE, call.message or OverviewQuery())


HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        ops.SUBMIT.name: _submit,
        ops.SUBMIT_BATCH.name: _submit_batch,
        ops.CLAIM.name: _claim,
        ops.HEARTBEAT.name: _heartbeat,
        ops.HEARTBEAT_BATCH.name: _heartbeat_batch,
        ops.COMPLETE.name: _complete,
        ops.COMPLETE_BATCH.name: _complete_batch,
        ops.FAIL.name: _fail,
        ops.RELEASE.name: _release,
        ops.RETRY.name: _retry,
        ops.CANCEL.name: _cancel,
        ops.SET_PRIORITY.name: _set_priority,
        ops.PAUSE.name: _pause,
        ops.RESUME.name: _resume,
        ops.GET_JOB.name: _get_job,
        ops.LIST_JOBS.name: _list_jobs,
        ops.LIST_ENDED.name: _list_ended,
        ops.COUNT_JOBS.name: _count_jobs,
        ops.ACT_ON_JOBS.name: _act_on_jobs,
        ops.LIST_DEAD_GROUPS.name: _dead_groups,
        ops.GET_STATS.name: _stats,
        ops.GET_PAYLOAD.name: _payload,
        ops.GET_WORKFLOW.name: _workflow,
        ops.ADD_CREDIT.name: _add_credit,
    }
)
"""What does each operation on a queue."""

_ALL: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        **HANDLERS,
        ops.GET_STATUS.name: _status,
        ops.GET_TYPES.name: _types,
        ops.ANNOUNCE_TYPES.name: _announce_types,
        ops.GET_SETTINGS.name: _settings,
        ops.FAIL_OVER.name: _fail_over,
        ops.GET_OVERVIEW.name: _overview,
        ops.LIST_SCHEDULES.name: _list_schedules,
        ops.PUT_SCHEDULE.name: _put_schedule,
        ops.DROP_SCHEDULE.name: _drop_schedule,
        ops.PAUSE_SCHEDULE.name: _pause_schedule,
        ops.RESUME_SCHEDULE.name: _resume_schedule,
        ops.RUN_SCHEDULE.name: _run_schedule,
    }
)
_READS: Final = frozenset(
    each.name for each in (*ops.OPERATIONS, *ops.FOR_PAGES) if each.verb == "GET"
)

BROKER_HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {name: _shown(handler) if name in _READS else handler for name, handler in _ALL.items()}
)
"""The same, and what only a broker does. What is read may be hidden in part."""


STREAM_HANDLERS: Final[Mapping[str, Callable[[QueueService, Call], Pushed]]] = MappingProxyType(
    {
        ops.SUBSCRIBE.name: _subscribe,
        ops.STREAM_JOBS.name: _stream_jobs,
        ops.WATCH_OVERVIEW.name: _watch_overview,
    }
)
"""What begins each stream. What comes is to be read one by one, and closed in any case."""


def one_job(reply: Reply[Any]) -> Reply[Any]:
    """The answer to a claim that asked for no number: the job itself, or an empty object."""
    jobs = reply.value.jobs
    return Reply(jobs[0] if jobs else {}, reply.position, reply.sent)
