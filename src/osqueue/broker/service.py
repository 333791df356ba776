"""What a request means: one method per operation, shared by every transport.

Requests come in decoded and within the limits of their fields; answers go out as messages, or as
one of the typed errors. The queue's name is part of every request; only ``default`` exists yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from osqueue.broker import answers, reports
from osqueue.broker.bulk import act_on_jobs, count_jobs, refuse_doubles
from osqueue.broker.dead_groups import DeadGroups
from osqueue.broker.ended import ended_page
from osqueue.broker.engines import Lookup, QueueEngine
from osqueue.broker.fetches import Delivery
from osqueue.broker.job_types import KnownTypes
from osqueue.broker.overviews import Overviews, OverviewWatch
from osqueue.broker.refusals import refusal
from osqueue.broker.reply import Reply
from osqueue.broker.schedules import ScheduleBook
from osqueue.broker.settings import Effective
from osqueue.broker.streams import JobStream, Streams, Subscription
from osqueue.broker.submits import submit_jobs, submit_large
from osqueue.broker.workers import Workers
from osqueue.broker.workflow import parents_in, sound_after, workflow
from osqueue.clock import Clock, Entropy, SystemClock
from osqueue.config import ROOMY_BYTES, RetryPolicy, StreamSettings
from osqueue.engine.callers import Caller
from osqueue.engine.payloads import PayloadLostError
from osqueue.engine.requests import Held
from osqueue.engine.room import Share
from osqueue.errors import BrokerProtocolError, JobNotFoundError, OsqueueError
from osqueue.model.codec import decode_finished
from osqueue.model.job import NO_TERMS, JobStatus, Terms
from osqueue.model.ops import (
    Cancel,
    Claim,
    Complete,
    Fail,
    GetJob,
    GetState,
    GetStats,
    GetTypes,
    Heartbeat,
    LeaseRef,
    ListJobs,
    NewJob,
    Op,
    Pause,
    Release,
    Resume,
    Retry,
    SetPriority,
)
from osqueue.model.outcomes import (
    Claimed,
    Counts,
    Done,
    Grant,
    JobView,
    NotFound,
    NotWaiting,
    Page,
    Results,
    Submitted,
    Types,
)
from osqueue.model.payload import payload_fault
from osqueue.model.queries import view
from osqueue.wire import messages
from osqueue.wire.messages import (
    ActionAnswer,
    ActionRequest,
    AnnounceRequest,
    BatchAnswer,
    BrokerStatus,
    ClaimAnswer,
    ClaimRequest,
    CompleteBatchRequest,
    CompleteRequest,
    CreditRequest,
    EndedPage,
    FailRequest,
    HeartbeatBatchRequest,
    JobInfo,
    JobRef,
    JobsCount,
    JobsPage,
    JobTypeInfo,
    JobTypes,
    LeaseRequest,
    PriorityRequest,
    Settings,
    Stats,
    StreamRequest,
    SubmitAnswer,
    SubmitBatchAnswer,
    SubmitBatchRequest,
    SubmitRequest,
    SubscribeRequest,
)
from osqueue.wire.operations import CountQuery, EndedQuery, ListQuery, PutQuery, StatusQuery
from osqueue.wire.overview import OverviewQuery

__all__ = ["DEFAULT_QUEUE", "QueueService", "Reply"]

DEFAULT_QUEUE = "default"

LOST_ROUNDS_MAX = 8
"""How often one request claims when all that it got were jobs whose payloads are lost."""


class QueueService:
    """The operations on the queues of one broker."""

    def __init__(
        self,
        engine: QueueEngine,
        archive: Lookup | None = None,
        *,
        address: str,
        entropy: Entropy,
        clock: Clock | None = None,
        streams: StreamSettings | None = None,
    ) -> None:
        self._engine = engine
        self._archive = archive
        self.address = address
        self._entropy = entropy
        self.grpc_port: int | None = None
        """Where this broker serves gRPC, once that is known."""
        self.effective: Effective | None = None
        """The settings of the broker that serves this, once they are known."""
        self._deliveries: Counter[str] = Counter()
        clock = clock or SystemClock()
        self._schedules = ScheduleBook(engine, clock=clock, entropy=entropy)
        self.workers = Workers(clock)
        self._types = KnownTypes()
        self._dead_groups = DeadGroups(engine)
        self.streams = Streams(engine, streams or StreamSettings(), address=address)
        self.overviews: Overviews | None = None
        """What makes overviews, where there are any: a broker has them."""

    @property
    def deliveries(self) -> int:
        """Answers with large payloads that are under way, or may be."""
        return self._deliveries.total()

    async def submit(
        self, queue: str, request: SubmitRequest, *, size: int = 0, has_room: bool = False
    ) -> Reply[SubmitAnswer]:
        """Add one job. ``size``: bytes of the request; ``has_room``: its sender has taken them."""
        if size > ROOMY_BYTES and request.payload is not UNSET:
            text = bytes(request.payload)
            return await self._submit_roomy(queue, request, text, has_room=has_room)
        _expect_keepable(request, "payload")
        job = _new_job(request, request.job_id or self._entropy.job_id(), "after")
        held = await self._submitted(queue, (job,), size)
        return Reply(SubmitAnswer(job.id), held.position)

    async def submit_batch(
        self, queue: str, request: SubmitBatchRequest, *, size: int = 0
    ) -> Reply[SubmitBatchAnswer]:
        """Add jobs, all or none."""
        for at, job in enumerate(request.jobs):
            _expect_keepable(job, "jobs[{}].payload", at)
        ids = self._ids_of(request.jobs)
        refuse_doubles(ids, "jobs")
        fields = map("jobs[{}].after".format, range(len(ids)))
        jobs = tuple(map(_new_job, request.jobs, ids, fields))
        held = await self._submitted(queue, jobs, size)
        return Reply(SubmitBatchAnswer(ids), held.position)

    async def submit_text(
        self, queue: str, job_id: str, query: PutQuery, text: bytes
    ) -> Reply[SubmitAnswer]:
        """Add one job whose payload is JSON text of any size; the caller has room for it."""
        engine = self._engine_of(queue)
        fault = await engine.payloads.fault(text)
        if fault is not None:
            raise BrokerProtocolError(f"the body cannot be kept as a payload: {fault}")
        large = len(text) > engine.limits.payload_inline_max
        job = NewJob(
            job_id,
            query.type,
            UNSET if large else Raw(text),
            None if query.max_attempts is UNSET else query.max_attempts,
            query.priority,
            None if query.run_at is UNSET else query.run_at,
            traceparent=None if query.traceparent is UNSET else query.traceparent,
            terms=_terms(
                query.retry,
                None if query.timeout_ms is UNSET else query.timeout_ms,
                keep_result=query.keep_result,
            ),
            after=parents_in(query, job_id),
        )
        if large:
            held = _added(await submit_large(engine, (job,), {job_id: text}))
        else:
            held = await self._submitted(queue, (job,), len(text))
        return Reply(SubmitAnswer(job_id), held.position)

    async def _submit_roomy(
        self, queue: str, request: SubmitRequest, text: bytes, *, has_room: bool
    ) -> Reply[SubmitAnswer]:
        """The same for a large request, which is judged and stored off the loop."""
        job_id = request.job_id or self._entropy.job_id()
        with nullcontext() if has_room else await self.room_for(queue, len(text)):
            return await self.submit_text(queue, job_id, PutQuery.of(request), text)

    async def room_for(self, queue: str, size: int) -> Share:
        """Room for the body of a large request: waits for it, and raises `OverloadedError`.

        A broker that does not lead refuses before the body is sent.
        """
        engine = self._engine_of(queue)
        engine.expect_leading()
        return await engine.payloads.incoming.take(size)

    async def claim(self, queue: str, request: ClaimRequest, caller: Caller) -> Reply[ClaimAnswer]:
        """Hand out jobs; waits up to ``wait_ms`` for one."""
        engine = self._engine_of(queue)
        self.workers.seen(request.worker_id, request.worker)
        wait_ms, position = request.wait_ms, None
        for _ in range(LOST_ROUNDS_MAX):
            delivery = Delivery(engine, self._deliveries)
            try:
                held = await engine.claim(
                    self._claim_op(request), wait_ms=wait_ms, caller=caller, follow=delivery.fetch
                )
            except BaseException:
                delivery.close()
                raise
            grants = _grants(held)
            kept = [grant for grant in grants if grant.id not in delivery.lost]
            if kept or not grants:
                jobs = [answers.claimed(grant, delivery.texts.get(grant.id)) for grant in kept]
                return Reply(ClaimAnswer(jobs), held.position, delivery.close)
            delivery.close()
            wait_ms, position = 0, held.position
        return Reply(ClaimAnswer([]), position)

    async def heartbeat(self, queue: str, job_id: str, request: LeaseRequest) -> Reply[None]:
        """Renew one lease."""
        self.workers.seen(request.worker_id)
        refs = (LeaseRef(job_id, request.lease),)
        return await self._one(queue, Heartbeat(request.worker_id, refs))

    async def heartbeat_batch(
        self, queue: str, request: HeartbeatBatchRequest
    ) -> Reply[BatchAnswer]:
        """Renew many leases; ``all``: the worker holds no others."""
        self.workers.seen(request.worker_id, request.worker)
        complete = request.all and request.worker_id not in self._deliveries
        progress = reports.progress_of(request.jobs)
        op = Heartbeat(request.worker_id, _refs(request.jobs), complete, progress)
        return await self._many(queue, op, request.jobs)

    async def complete(
        self, queue: str, job_id: str, request: CompleteRequest, *, size: int = 0
    ) -> Reply[None]:
        """End one job as done, with its result; where that cannot be kept, it stays held.

        ``size``: bytes of the request.
        """
        self.workers.seen(request.worker_id)
        refs = (LeaseRef(job_id, request.lease),)
        if request.result is UNSET:
            return await self._one(queue, Complete(request.worker_id, refs))
        error = reports.result_error(request.result)
        if error is not None:
            raise error
        op = Complete(request.worker_id, refs, (request.result,))
        return await self._one(queue, op, size=size)

    async def complete_batch(
        self, queue: str, request: CompleteBatchRequest, *, size: int = 0
    ) -> Reply[BatchAnswer]:
        """End many jobs as done, each for itself. ``size``: bytes of the request."""
        self.workers.seen(request.worker_id)
        refuse_doubles([job.job_id for job in request.jobs], "jobs")
        errors = reports.result_errors(request.jobs)
        jobs = [job for job in request.jobs if job.job_id not in errors]
        op = Complete(request.worker_id, _refs(jobs), reports.results_of(jobs))
        reply = await self._many(queue, op, jobs, size=size)
        return reply if not errors else reports.with_errors(reply, request.jobs, errors)

    async def fail(self, queue: str, job_id: str, request: FailRequest) -> Reply[None]:
        """End an attempt as failed."""
        self.workers.seen(request.worker_id)
        op = Fail(
            request.worker_id,
            LeaseRef(job_id, request.lease),
            Raw(msgspec.json.encode(request.error.bounded())),
            request.retry,
            request.delay_ms,
        )
        return await self._one(queue, op)

    async def release(self, queue: str, job_id: str, request: LeaseRequest) -> Reply[None]:
        """Give one lease back."""
        self.workers.seen(request.worker_id)
        refs = (LeaseRef(job_id, request.lease),)
        return await self._one(queue, Release(request.worker_id, refs))

    async def cancel(self, queue: str, job_id: str) -> Reply[None]:
        """End a job, or discard a dead letter."""
        return await self._one(queue, Cancel(job_id))

    async def retry(self, queue: str, job_id: str) -> Reply[None]:
        """Queue a dead letter again, also one that has left for the archive."""
        held = await self._engine_of(queue).ask(Retry(job_id))
        if isinstance(held.outcome, NotFound) and held.outcome.ended in {None, JobStatus.DEAD}:
            line = await self._archived(job_id)
            if line is not None:
                held = await self._engine_of(queue).ask(Retry(job_id, line))
        return _done(held)

    async def set_priority(self, queue: str, job_id: str, request: PriorityRequest) -> Reply[None]:
        """Let a job that waits come sooner or later."""
        held = await self._engine_of(queue).ask(SetPriority(job_id, request.priority))
        if isinstance(held.outcome, NotFound):
            line = await self._archived(job_id)
            if line is not None:
                held.outcome = NotWaiting(job_id, decode_finished(line).status.value)
        return _done(held)

    async def pause(self, queue: str) -> Reply[None]:
        """Hand out no more jobs; what is held goes on."""
        return await self._one(queue, Pause())

    async def resume(self, queue: str) -> Reply[None]:
        """Hand out jobs again, first of all to the claims that wait."""
        return await self._one(queue, Resume())

    async def get_job(
        self,
        queue: str,
        job_id: str,
        *,
        consistent: bool = False,
        wait_ms: int = 0,
        caller: Caller | None = None,
    ) -> Reply[JobInfo]:
        """Look at one job, also one that ended, for as long as the archive keeps it.

        ``wait_ms``: for how long to wait until it has ended, or is dead.
        """
        engine = self._engine_of(queue)
        if wait_ms:
            held = await self.streams.ends.wait(
                job_id, wait_ms=wait_ms, consistent=consistent, caller=caller
            )
        else:
            held = await engine.ask(GetJob(job_id), consistent=consistent)
        found = held.outcome
        if not isinstance(found, JobView) or found.created_at is None:
            line = await self._archived(job_id)
            found = found if line is None else view(decode_finished(line))
        if not isinstance(found, JobView):
            raise _refused(held)
        return Reply(answers.whole_job_info(found), held.position)

    async def get_payload(
        self, queue: str, job_id: str, *, consistent: bool = False
    ) -> Reply[Raw | None]:
        """The JSON text of one job's payload; ``None`` when it has none."""
        engine = self._engine_of(queue)
        held = await engine.ask(GetJob(job_id), consistent=consistent)
        view = held.outcome
        if not isinstance(view, JobView):
            raise _refused(held)
        if view.ended_at is not None:
            raise JobNotFoundError(f"job {job_id} is over: its payload is not kept")
        if view.large is None:
            return Reply(None if view.payload is UNSET else view.payload, held.position)
        share = await engine.payloads.outgoing.take(view.large.size)
        try:
            text = await engine.payloads.fetch(view.large, view.type or "")
        except BaseException as error:
            share.give_back()
            if isinstance(error, PayloadLostError):
                raise JobNotFoundError(f"the payload of job {job_id} is gone: {error}") from error
            raise
        return Reply(Raw(text), held.position, share.give_back)

    async def get_workflow(
        self, queue: str, job_id: str, *, consistent: bool = False
    ) -> Reply[messages.Workflow]:
        """Look at the jobs around one: what it runs after, and what runs after it."""
        engine = self._engine_of(queue)
        return await workflow(engine, self._archive, job_id, consistent=consistent)

    async def list_jobs(
        self, queue: str, query: ListQuery, *, consistent: bool = False
    ) -> Reply[JobsPage]:
        """Look at a page of jobs."""
        op = ListJobs(
            query.limit,
            query.cursor,
            query.status,
            query.type,
            query.text,
            newest_first=query.order == "newest",
        )
        held = await self._engine_of(queue).ask(op, consistent=consistent)
        if not isinstance(held.outcome, Page):
            raise _refused(held)
        page = answers.page(held.outcome, self.address)
        if not query.payloads:
            answers.leave_out_payloads(page.jobs)
        return Reply(page, held.position)

    async def list_ended(self, queue: str, query: EndedQuery) -> Reply[EndedPage]:
        """Look at a page of jobs that have ended, for as long as the archive keeps them."""
        return await ended_page(self._engine_of(queue), self._archive, query)

    async def count_jobs(self, queue: str, query: CountQuery) -> Reply[JobsCount]:
        """Count the jobs that are meant."""
        return await count_jobs(self._engine_of(queue), query)

    async def act_on_jobs(
        self, queue: str, request: ActionRequest, *, size: int = 0
    ) -> Reply[ActionAnswer]:
        """Retry or cancel many jobs, each for itself."""
        return await act_on_jobs(self._engine_of(queue), request, self._archive, size=size)

    async def dead_groups(
        self, queue: str, *, consistent: bool = False
    ) -> Reply[messages.DeadGroups]:
        """Look at the dead letters by their errors."""
        self._engine_of(queue)
        return await self._dead_groups.get(consistent=consistent)

    def schedules_of(self, queue: str) -> ScheduleBook:
        """The operations on its schedules."""
        self._engine_of(queue)
        return self._schedules

    async def stats(self, queue: str, *, consistent: bool = False) -> Reply[Stats]:
        """Look at the counts."""
        held = await self._engine_of(queue).ask(GetStats(), consistent=consistent)
        assert isinstance(held.outcome, Counts), "looking at the counts cannot be refused"
        return Reply(answers.stats(held.outcome, self.address), held.position)

    async def get_types(self, queue: str, *, consistent: bool = False) -> Reply[JobTypes]:
        """Look at the job types that were announced here, and those that jobs are of."""
        held = await self._engine_of(queue).ask(GetTypes(), consistent=consistent)
        assert isinstance(held.outcome, Types), "looking at the types cannot be refused"
        found = {name: JobTypeInfo() for name in held.outcome.names} | self._types.all()
        return Reply(JobTypes({name: found[name] for name in sorted(found)}), held.position)

    async def announce_types(self, queue: str, request: AnnounceRequest) -> Reply[None]:
        """Be told of job types: only a broker that leads is asked about them."""
        held = await self._engine_of(queue).ask(GetStats())
        self._types.announce(request.types)
        return Reply(None, held.position)

    async def get_settings(self) -> Reply[Settings]:
        """Look at the settings of this broker, whether it leads or not."""
        if self.effective is None:
            raise BrokerProtocolError("no broker serves this queue: it has no settings to be told")
        return Reply(Settings(await asyncio.to_thread(self.effective.all)), None)

    async def raw_state(self, queue: str, *, consistent: bool = False) -> Reply[bytes]:
        """The state object as stored."""
        engine = self._engine_of(queue)
        held = await engine.ask(GetState(), consistent=consistent)
        return Reply(engine.durable, held.position)

    def status(self) -> BrokerStatus:
        """How this broker is doing. Never waits."""
        return replace(self._engine.status(), grpc_port=self.grpc_port)

    async def watch(self, query: StatusQuery) -> Reply[BrokerStatus]:
        """The same, for a broker that stands by: a leader may keep the answer for a while."""
        if query.standby is None:
            return Reply(self.status(), None)
        status = await self._engine.watched(query.standby, query.address, wait_ms=query.wait_ms)
        return Reply(replace(status, grpc_port=self.grpc_port), None)

    async def fail_over(self, queue: str) -> Reply[None]:
        """Give leadership to a broker that stands by. Returns when it is given back."""
        await self._engine_of(queue).hand_over()
        return Reply(None, None)

    def subscribe(self, queue: str, request: SubscribeRequest) -> Subscription:
        """Be told of changes, from the current counts on. To be closed in any case."""
        self._engine_of(queue)
        return self.streams.subscriptions.open(request)

    def stream_jobs(self, queue: str, request: StreamRequest, caller: Caller) -> JobStream:
        """Be sent jobs as they come, up to a credit. ``caller``: of this stream alone. To be closed
        in any case.
        """
        self._engine_of(queue).expect_leading()
        return self.streams.jobs.open(request, caller, partial(self.claim, queue))

    async def add_credit(self, queue: str, request: CreditRequest) -> Reply[None]:
        """Let more jobs come by a stream."""
        self._engine_of(queue)
        self.streams.jobs.add_credit(request)
        return Reply(None, None)

    async def overview(self, queue: str, query: OverviewQuery) -> Reply[Raw]:
        """How this broker and its queue stand: JSON text. Of one that stands by: itself alone."""
        return await self._overviews_of(queue).overview(query.since)

    def watch_overview(self, queue: str, query: OverviewQuery) -> OverviewWatch:
        """The same, and what changes from then on. To be closed in any case."""
        return self._overviews_of(queue).watch(query.since)

    async def _archived(self, job_id: str) -> bytes | None:
        return None if self._archive is None else await self._archive.find(job_id)

    def _overviews_of(self, queue: str) -> Overviews:
        self._engine_of(queue)
        if self.overviews is None:
            raise BrokerProtocolError("there is no overview without a broker", status=404)
        return self.overviews

    def _engine_of(self, queue: str) -> QueueEngine:
        if queue != DEFAULT_QUEUE:
            raise BrokerProtocolError(f"there is no queue {queue!r}: only 'default' exists")
        return self._engine

    def _ids_of(self, requests: list[SubmitRequest]) -> list[str]:
        """The ids of jobs: what they were given, or fresh ones."""
        missing = sum([not request.job_id for request in requests])
        fresh = iter(self._entropy.job_ids(missing))
        return [request.job_id or next(fresh) for request in requests]

    async def _submitted(self, queue: str, jobs: tuple[NewJob, ...], size: int) -> Held:
        return _added(await submit_jobs(self._engine_of(queue), jobs, size=size))

    def _claim_op(self, request: ClaimRequest) -> Claim:
        return Claim(
            request.worker_id,
            self._entropy.token(),
            _types(request.types),
            request.max or 1,
            request.claim_id,
            tuple(request.max_by_type.items()) if request.max_by_type else (),
        )

    async def _one(self, queue: str, op: Op, *, size: int = 0) -> Reply[None]:
        return _done(await self._engine_of(queue).ask(op, size=size))

    async def _many(
        self, queue: str, op: Op, jobs: Sequence[JobRef], *, size: int = 0
    ) -> Reply[BatchAnswer]:
        refuse_doubles([job.job_id for job in jobs], "jobs")
        held = await self._engine_of(queue).ask(op, size=size)
        if not isinstance(held.outcome, Results):
            raise _refused(held)
        each = zip(jobs, held.outcome.each, strict=True)
        return Reply(
            BatchAnswer([answers.job_answer(job.job_id, outcome) for job, outcome in each]),
            held.position,
        )


def _expect_keepable(request: SubmitRequest, field: str, at: int = 0) -> None:
    fault = payload_fault(request.payload)
    if fault is not None:
        raise BrokerProtocolError(f"`{field.format(at)}` cannot be kept: {fault}")


def _new_job(request: SubmitRequest, job_id: str, field: str) -> NewJob:
    return NewJob(
        job_id,
        request.type or "",
        request.payload,
        request.max_attempts,
        request.priority,
        request.run_at,
        traceparent=request.traceparent,
        terms=_terms(request.retry, request.timeout_ms, keep_result=request.keep_result),
        after=sound_after(request.after, job_id, field),
    )


def _done(held: Held) -> Reply[None]:
    if isinstance(held.outcome, Results):
        held.outcome = held.outcome.each[0]
    if not isinstance(held.outcome, Done):
        raise _refused(held)
    return Reply(None, held.position)


def _types(types: list[str] | None) -> tuple[str, ...] | None:
    """The types asked for: none given means any. No list matches jobs without a type."""
    return tuple([type_ for type_ in types if type_]) if types else None


def _terms(retry: RetryPolicy | None, timeout_ms: int | None, *, keep_result: bool) -> Terms:
    """Those of a job that says nothing of them are one object."""
    if retry is None and timeout_ms is None and not keep_result:
        return NO_TERMS
    return Terms(retry, timeout_ms, keep_result)


def _added(held: Held) -> Held:
    if not isinstance(held.outcome, Submitted):
        raise _refused(held)
    return held


def _grants(held: Held) -> tuple[Grant, ...]:
    outcome = held.outcome
    assert isinstance(outcome, Claimed), f"a claim is answered by jobs, not {outcome!r}"
    return outcome.grants


def _refused(held: Held) -> OsqueueError:
    error = refusal(held.outcome)
    error.position = held.position
    return error


def _refs(jobs: Sequence[JobRef]) -> tuple[LeaseRef, ...]:
    return tuple([LeaseRef(job.job_id, job.lease) for job in jobs])
