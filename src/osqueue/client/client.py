"""The client of a queue's brokers.

A method is one operation of the queue and returns when the broker has answered; what it changed is
durable by then. All of them raise `osqueue.errors.OsqueueError` and nothing else: its subclass
says what to do. Each is tried again for ``settings.retry_for_ms`` where that is safe
(`osqueue.client.retries`). Cancelling a call is safe, too; a job that a cancelled claim was about
to bring goes back to the queue.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar, Unpack, cast, overload

from msgspec import UNSET, Raw

from osqueue.client.announcing import JsonSchemas, announcements, schemas_of
from osqueue.client.awaiting import ended, result_of
from osqueue.client.caller import Caller, Seen
from osqueue.client.credentials import Credentials, TlsSettings
from osqueue.client.discovery import LeaderStore
from osqueue.client.failures import describe_failure
from osqueue.client.gathering import Submits
from osqueue.client.handles import JobHandle
from osqueue.client.models import (
    EndedPage,
    Job,
    JobInfo,
    JobOptions,
    JobsPage,
    NewJob,
    ended_page,
    job_from_claim,
    job_info,
    jobs_page,
)
from osqueue.client.requests import (
    action_request,
    by_size,
    chunks,
    complete_refs,
    heartbeat_refs,
    is_large,
    job_of,
    jobs_of,
    only_worker,
    result_text,
    submit_request,
    submit_requests,
)
from osqueue.client.results import batch_results
from osqueue.client.runtime import Runtime
from osqueue.client.scheduling import (
    ScheduledJob,
    ScheduleInfo,
    ScheduleOptions,
    put_request,
    schedule_info,
)
from osqueue.client.streams import job_stream
from osqueue.client.transports.kinds import TransportSpec
from osqueue.client.ways import way_to_brokers
from osqueue.config import BATCH_JOBS_MAX, LIST_PAGE_MAX, ClientSettings
from osqueue.errors import OsqueueError
from osqueue.jobs.payload_types import PayloadObject
from osqueue.jobs.registry import Registry, RegistryLike
from osqueue.jobs.submission import CheckedJob
from osqueue.tracing import submitting
from osqueue.wire import messages, operations
from osqueue.wire import schedules as wire_schedules
from osqueue.wire.messages import (
    ActionAnswer,
    BrokerStatus,
    DeadGroups,
    JobError,
    JobsCount,
    Progress,
    Setting,
    Stats,
    Update,
    WorkerInfo,
    Workflow,
)
from osqueue.wire.operations import (
    CountQuery,
    EndedQuery,
    JobQuery,
    ListQuery,
    ReadQuery,
    SchedulesQuery,
)
from osqueue.wire.schedules import RunScheduleRequest, ScheduleRef, SchedulesPage

__all__ = ["OsqueueClient"]

ResultT = TypeVar("ResultT")

_NO_PROGRESS: Final[Mapping[str, Progress]] = MappingProxyType({})


class OsqueueClient:
    """A client of the broker at ``broker_url``, such as ``http://127.0.0.1:8080``.

    Of several brokers, give a list of some: those that do not lead name the one that does. With
    ``storage`` (a URL, or a store, which is not closed) the leader is found in the queue's own
    object; given with ``broker_url``, only when none of those helps.

    ``transport`` is ``"connect"`` (the default), ``"rest"``, ``"ws"``, ``"grpc"`` or ``"direct"``,
    such a kind with its options as ``{"kind": "ws", …}``, or a `QueueTransportAdapter` of your own,
    which stands for all the rest, and follows nothing. ``token`` says who asks; ``tls`` is for
    ``https`` URLs: `TlsSettings`, or a context of your own. ``registry``: job types whose payloads
    are checked before they leave, as an `osqueue.Registry`, `osqueue.Jobs`, or a mapping.

    Use it as an async context manager, or `close` it; share one per process and event loop.

        async with OsqueueClient("http://127.0.0.1:8080") as client:
            job_id = await client.submit_job("email:send", {"to": "ada@example.org"})
    """

    def __init__(
        self,
        broker_url: str | Iterable[str] | None = None,
        *,
        storage: str | LeaderStore | None = None,
        transport: TransportSpec | None = None,
        token: str | None = None,
        tls: TlsSettings | ssl.SSLContext | None = None,
        registry: RegistryLike | None = None,
        settings: ClientSettings | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        settings = settings or ClientSettings()
        settings.validate()
        self._types = None if registry is None else Registry.of(registry)
        runtime = runtime or Runtime()
        way = way_to_brokers(
            broker_url,
            storage,
            transport,
            settings=settings,
            runtime=runtime,
            credentials=Credentials(token=token, tls=tls),
        )
        self._caller = Caller(way, settings, runtime=runtime, seen=Seen())
        self._submits = Submits(self._caller)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def settings(self) -> ClientSettings:
        return self._caller.settings

    @property
    def runtime(self) -> Runtime:
        return self._caller.runtime

    @property
    def epoch(self) -> int | None:
        """Of the leader whose answer was the latest: another one means another leader.

        ``None`` before the first answer, and with brokers that do not say it.
        """
        return self._caller.seen.epoch

    def with_settings(self, settings: ClientSettings) -> OsqueueClient:
        """A client over the same connections that waits and retries otherwise. Close only one."""
        settings.validate()
        client = copy(self)
        client._caller = self._caller.with_settings(settings)  # noqa: SLF001 - its own class
        client._submits = Submits(client._caller)  # noqa: SLF001
        return client

    async def reconnect(self) -> None:
        """Drop the connections and make new ones, as after a change of network.

        Requests under way are sent again. Forgets how recent the last answer was.
        """
        await self._caller.transport.reconnect()
        self._caller.seen.forget()

    async def close(self) -> None:
        """Drop the connections for good. A second close does nothing."""
        await self._caller.transport.close()

    async def submit_job(
        self, job_type: str, payload: object = None, **options: Unpack[JobOptions]
    ) -> str:
        """Submit a job and return its id. ``options``: see `JobOptions`.

        The payload is anything that JSON can hold, or a `msgspec.Raw` that is JSON already; where
        the registry knows the type, it is what that says, an object or a mapping of its fields.
        Raises `PayloadValidationError`, and `JobIdConflictError` when ``job_id`` names a job of
        another type or payload; the same job again answers its id and adds nothing. Raises
        `ParentJobError` when it cannot wait for a job that ``after`` names. A payload may
        be as large as the broker takes, 64 MiB by default.
        """
        job = job_of(self._types, NewJob(job_type, payload, **options))
        return await self._submit(self._submit_request(job))

    @overload
    async def submit(
        self, job: CheckedJob[ResultT], /, **options: Unpack[JobOptions]
    ) -> JobHandle[ResultT]: ...
    @overload
    async def submit(
        self, job: NewJob | PayloadObject, /, **options: Unpack[JobOptions]
    ) -> JobHandle[Any]: ...
    async def submit(
        self, job: NewJob | PayloadObject, /, **options: Unpack[JobOptions]
    ) -> JobHandle[Any]:
        """Submit a payload, whose class tells its type by the registry: ``SendEmail(to=…)``.

        Or a job that was made before, such as ``send_email.new(to=…)``; ``options`` win over its
        own. Raises what `submit_job` does, and `ConfigError` when no type, or more than one, of the
        registry has such payloads.
        """
        new = job_of(self._types, job, options)
        job_id = await self._submit(self._submit_request(new))
        schema = new.result_schema if isinstance(new, CheckedJob) else None
        return JobHandle(self, job_id, result_schema=schema)

    async def submit_jobs(
        self, jobs: Iterable[NewJob | PayloadObject | tuple[str, object]]
    ) -> list[str]:
        """Submit many jobs and return their ids, in order; each a `NewJob`, (type, payload), or
        a payload whose class tells its type by the registry. One may run ``after`` those before it.

        Sent in requests of at most 1,000 jobs and about ``settings.batch_bytes_max``; a larger job
        goes alone. Each request is all or none; when a later one fails, the earlier ones stay
        submitted.
        """
        new = jobs_of(self._types, jobs)
        requests = submit_requests(
            new,
            fresh_ids=self.runtime.entropy.job_ids(len(new)),
            now_ms=self.runtime.clock.wall_ms(),
        )
        job_ids: list[str] = []
        for batch in by_size(requests, self.settings.batch_bytes_max):
            if is_large(batch[0], self.settings.batch_bytes_max):
                job_ids.append(await self._submit(batch[0]))
                continue
            with submitting(batch):
                request = messages.SubmitBatchRequest(batch)
                answer = await self._caller.call(operations.SUBMIT_BATCH, request)
            job_ids += cast("messages.SubmitBatchAnswer", answer).job_ids
        return job_ids

    async def cancel_job(self, job_id: str) -> None:
        """Cancel a job that has not ended, or discard a dead letter."""
        await self._caller.call(operations.CANCEL, job_id=job_id)

    async def retry_job(self, job_id: str) -> None:
        """Queue a dead letter again, with all its attempts."""
        await self._caller.call(operations.RETRY, job_id=job_id)

    async def set_priority(self, job_id: str, priority: int) -> None:
        """Let a job that waits come sooner or later: lower values first, then first come, first
        served. Raises `JobStateError` when it is held, dead or over.
        """
        request = messages.PriorityRequest(priority=priority)
        await self._caller.call(operations.SET_PRIORITY, request, job_id=job_id)

    async def pause_queue(self) -> None:
        """Hand out no more jobs, to anybody. Jobs that are held go on; new ones are taken in."""
        await self._caller.call(operations.PAUSE)

    async def resume_queue(self) -> None:
        """Hand out jobs again; claims that wait get theirs at once."""
        await self._caller.call(operations.RESUME)

    async def put_schedule(
        self,
        name: str,
        job: NewJob | PayloadObject | str,
        payload: object = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleInfo:
        """Have a job submitted again and again: ``cron="0 3 * * *", timezone="Europe/Rome"``, or
        ``every_ms=60_000``; see `ScheduleOptions`.

        ``job`` is a job type with its ``payload``, or what `submit` takes. A schedule of this name
        is replaced; the same again changes nothing, so a program may say it at each start. Raises
        `PayloadValidationError`, and `BrokerProtocolError` for a time that cannot be.
        """
        return await self._put_schedule(name, ScheduledJob.of(self._types, job, payload, options))

    async def drop_schedule(self, name: str) -> None:
        """Forget a schedule, if there is one of this name. The jobs that it submitted stay."""
        await self._caller.call(operations.DROP_SCHEDULE, ScheduleRef(name=name))

    async def list_schedules(self, *, consistent: bool = False) -> list[ScheduleInfo]:
        """All schedules, by name; each page of 100 is as of its own moment."""
        found: list[ScheduleInfo] = []
        cursor: str | None = None
        while True:
            query = SchedulesQuery(cursor=cursor, consistent=consistent)
            answer = await self._caller.call(operations.LIST_SCHEDULES, query)
            page = cast("SchedulesPage", answer)
            found += map(schedule_info, page.schedules)
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def pause_schedule(self, name: str) -> None:
        """Let a schedule submit nothing. Raises `ScheduleNotFoundError`."""
        await self._caller.call(operations.PAUSE_SCHEDULE, ScheduleRef(name=name))

    async def resume_schedule(self, name: str) -> None:
        """Let a schedule submit jobs again, from its next time on.

        Raises `ScheduleNotFoundError`.
        """
        await self._caller.call(operations.RESUME_SCHEDULE, ScheduleRef(name=name))

    async def run_schedule(self, name: str) -> str:
        """Submit a job of a schedule now, beside its times, and return its id. Raises
        `ScheduleNotFoundError`.
        """
        request = RunScheduleRequest(name=name, job_id=self.runtime.entropy.job_id())
        answer = await self._caller.call(operations.RUN_SCHEDULE, request)
        return cast("messages.SubmitAnswer", answer).job_id

    async def claim_job(
        self, worker_id: str, types: Sequence[str] | None = None, *, wait_ms: int = 0
    ) -> Job | None:
        """Claim the next job of these types (by default of any), waiting up to ``wait_ms``."""
        jobs = await self.claim_jobs(worker_id, types, max_jobs=1, wait_ms=wait_ms)
        return jobs[0] if jobs else None

    async def claim_jobs(
        self,
        worker_id: str,
        types: Sequence[str] | None = None,
        *,
        max_jobs: int,
        wait_ms: int = 0,
        claim_id: str | None = None,
        max_by_type: Mapping[str, int] | None = None,
        worker: WorkerInfo | None = None,
    ) -> list[Job]:
        """Claim up to ``max_jobs`` (at most 1,000), waiting up to ``wait_ms`` for the first.

        A repeated ``claim_id`` answers the jobs of that claim that are still held. A job must be
        kept by heartbeats, and completed, failed or released, or its lease runs out.
        ``max_by_type``: of these types at most so many; one with 0 is left out. ``worker``: what
        those who watch are told of this worker, from the first claim that says it on.
        """
        request = messages.ClaimRequest(
            worker_id=worker_id,
            types=None if types is None else list(types),
            max=max_jobs,
            wait_ms=wait_ms,
            claim_id=claim_id or self.runtime.entropy.token(),
            max_by_type=None if max_by_type is None else dict(max_by_type),
            worker=worker,
        )
        answer = await self._caller.call(operations.CLAIM, request)
        claimed = cast("messages.ClaimAnswer", answer).jobs
        return [job_from_claim(job, worker_id) for job in claimed]

    async def stream_jobs(
        self, worker_id: str, types: Sequence[str] | None = None, *, credit: int
    ) -> AsyncGenerator[Job, None]:
        """Jobs as they come, without asking for each: at most ``credit`` that were not taken yet.

        A job counts as taken when the next one is asked for, so with a ``credit`` of 1 there is
        never more than one at a time. What you have been given must be kept by heartbeats, and
        completed, failed or released. What has come beyond that is kept here, and released at the
        end; a heartbeat that says ``all_held`` would have it taken for orphaned.

        Raises `BrokerLeadershipError`, `EngineStateError` or `TransportConnectionError` when the
        broker stops leading or is gone: begin anew. Close it (`contextlib.aclosing`) when you are
        done before it is. Not over ``rest``.
        """
        request = messages.StreamRequest(
            worker_id=worker_id,
            types=None if types is None else list(types),
            credit=credit,
            stream_id=self.runtime.entropy.token(),
        )
        async with aclosing(job_stream(self._caller, request)) as jobs:
            async for job in jobs:
                yield job

    async def heartbeat(self, job: Job) -> None:
        """Keep a job's lease. Raises `LeaseLostError` or `JobNotFoundError` when it is lost."""
        await self._caller.call(operations.HEARTBEAT, _lease(job), job_id=job.job_id)

    async def heartbeat_jobs(
        self,
        worker_id: str,
        jobs: Sequence[Job],
        *,
        all_held: bool = False,
        progress: Mapping[str, Progress] = _NO_PROGRESS,
        worker: WorkerInfo | None = None,
    ) -> list[OsqueueError | None]:
        """Keep the leases of many jobs of one worker: for each its error, or ``None``.

        With ``all_held`` the broker takes every other lease that this worker id has held for two
        heartbeat intervals as orphaned and releases it; more than 1,000 jobs never say so. Not
        sent again by itself: a list goes stale. ``progress`` tells how far jobs are, by lease.
        ``worker``: see `claim_jobs`.
        """
        results: list[OsqueueError | None] = []
        for chunk in chunks(jobs) if jobs else [jobs]:
            request = messages.HeartbeatBatchRequest(
                worker_id=worker_id,
                jobs=heartbeat_refs(chunk, progress),
                all=all_held and len(chunk) == len(jobs),
                worker=worker,
            )
            answer = await self._caller.call(operations.HEARTBEAT_BATCH, request)
            results += batch_results(operations.HEARTBEAT_BATCH, chunk, answer)
        return results

    async def complete_job(self, job: Job, result: object = UNSET) -> None:
        """Report a job as done. Raises `LeaseLostError` or `JobNotFoundError` if it is lost.

        ``result`` is kept with it: anything that JSON can hold, or a `msgspec.Raw` that is JSON
        already, of at most 64 KiB. Raises `PayloadValidationError`, and the job stays held.
        """
        request = messages.CompleteRequest(
            worker_id=job.worker_id, lease=job.lease, result=result_text(result)
        )
        await self._caller.call(operations.COMPLETE, request, job_id=job.job_id)

    async def complete_jobs(
        self, jobs: Sequence[Job], results: Sequence[object] | None = None
    ) -> list[OsqueueError | None]:
        """Report many jobs of one worker as done: for each its error, or ``None``.

        ``results``: one for each job; `msgspec.UNSET` is none.
        """
        if not jobs:
            return []
        worker_id, told = only_worker(jobs), 0
        errors: list[OsqueueError | None] = []
        for refs in by_size(complete_refs(jobs, results), self.settings.batch_bytes_max):
            request = messages.CompleteBatchRequest(worker_id=worker_id, jobs=refs)
            answer = await self._caller.call(operations.COMPLETE_BATCH, request)
            batch, told = jobs[told : told + len(refs)], told + len(refs)
            errors += batch_results(operations.COMPLETE_BATCH, batch, answer)
        return errors

    async def fail_job(
        self,
        job: Job,
        error: BaseException | JobError | str,
        *,
        retry: bool = True,
        delay_ms: int | None = None,
    ) -> None:
        """Report a failed attempt. While attempts are left, it runs again after ``delay_ms``; by
        default as the job's own retry policy says.

        Without ``retry``, and after the last attempt, it becomes a dead letter.
        """
        request = messages.FailRequest(
            worker_id=job.worker_id,
            lease=job.lease,
            error=describe_failure(error),
            retry=retry,
            delay_ms=delay_ms,
        )
        await self._caller.call(operations.FAIL, request, job_id=job.job_id)

    async def release_job(self, job: Job) -> None:
        """Give a job back unfinished; the attempt does not count."""
        request = messages.ReleaseRequest(worker_id=job.worker_id, lease=job.lease)
        await self._caller.call(operations.RELEASE, request, job_id=job.job_id)

    async def get_job(self, job_id: str, *, wait_ms: int = 0, consistent: bool = False) -> JobInfo:
        """One job. Raises `JobNotFoundError`; ended jobs are known for a while only.

        ``wait_ms``: for how long to wait until it has ended or is dead, at most a minute; then it
        is shown as it is.

        A broker that has lost its place without knowing may answer reads for another second. With
        ``consistent`` it first proves that it leads, by a look at the store: the answer shows all
        that anybody was told was done before the call began.
        """
        asks = wait_ms or consistent
        query = JobQuery(wait_ms=wait_ms, consistent=consistent) if asks else None
        answer = await self._caller.call(operations.GET_JOB, query, job_id=job_id)
        return job_info(cast("messages.JobInfo", answer))

    async def result(self, job_id: str, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - it is a plain wait for whoever calls
        """What a job brought, once it has completed; ``None`` when no result was kept.

        Waits up to ``timeout`` seconds, by default as long as it takes; the broker tells when the
        job ends. Raises `JobFailedError` when it is dead, cancelled, expired or discarded,
        `ResultTimeoutError`, and `JobNotFoundError` when it is not known, or no more.
        """
        return await result_of(self.get_job, job_id, timeout_s=timeout)

    async def wait(self, job_id: str, *, timeout: float | None = None) -> JobInfo:  # noqa: ASYNC109 - the same
        """A job, once it has ended or is dead, however that was: waits as `result` does."""
        return await ended(self.get_job, job_id, timeout_s=timeout)

    async def get_stats(self, *, consistent: bool = False) -> Stats:
        """The counts. ``consistent``: see `get_job`."""
        query = _read_query(consistent=consistent)
        return cast("Stats", await self._caller.call(operations.GET_STATS, query))

    async def get_status(self) -> BrokerStatus:
        """How the broker that was asked is doing; usually the leader, and one that is not names it.

        ``role`` is ``leader`` or ``standby``; in between ``candidate`` or ``stepping down``; and
        ``halted`` when somebody has to look (``reason`` says why).
        """
        return cast("BrokerStatus", await self._caller.call(operations.GET_STATUS))

    async def announce_types(self, schemas: JsonSchemas | None = None) -> None:
        """Tell the leader what payloads job types have, so that people can make jobs by hand.

        ``schemas``: JSON Schemas by job type, ``None`` where nothing is said; by default those of
        this client's registry. Workers do this by themselves. The leader keeps them in its memory;
        one that is larger than 64 KiB is left out. Raises `PayloadValidationError` for one that is
        no JSON, and `BrokerProtocolError` where the broker does not know of such a thing.
        """
        if schemas is None:
            schemas = {} if self._types is None else self._types.json_schemas()
        for request in announcements(schemas, self.settings.batch_bytes_max):
            await self._caller.call(operations.ANNOUNCE_TYPES, request)

    async def get_types(self, *, consistent: bool = False) -> dict[str, dict[str, Any] | None]:
        """The job types that the queue has seen, with the JSON Schemas of their payloads, where
        these were announced. ``consistent``: see `get_job`.
        """
        query = _read_query(consistent=consistent)
        answer = await self._caller.call(operations.GET_TYPES, query)
        return schemas_of(cast("messages.JobTypes", answer))

    async def get_settings(self) -> list[Setting]:
        """The settings of the broker that was asked, usually the leader. Secrets are not told."""
        answer = await self._caller.call(operations.GET_SETTINGS)
        return cast("messages.Settings", answer).settings

    async def fail_over(self) -> None:
        """Have the leader hand over to a broker that stands by. Returns when it has let go.

        Raises `BrokerProtocolError` when none stands by.
        """
        await self._caller.call(operations.FAIL_OVER)

    async def list_jobs(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        order: str = "oldest",
        limit: int = LIST_PAGE_MAX,
        cursor: str | None = None,
        payloads: bool = True,
        consistent: bool = False,
    ) -> JobsPage:
        """One page of jobs; ``status`` is ``unclaimed``, ``ready``, ``delayed`` or ``waiting`` for
        other jobs (which part the unclaimed ones), ``in_progress`` or ``dead``.

        ``text`` stands in the id, the type, the worker's id, or the last error's type or message,
        in upper or lower case. ``order`` is ``oldest`` or ``newest`` first. Without ``payloads``
        jobs seem to have none, and an answer stays small. ``consistent``: see `get_job`.
        """
        query = ListQuery(
            limit=limit,
            cursor=cursor,
            status=status,
            type=job_type,
            text=text or None,
            order=None if order == "oldest" else order,
            payloads=payloads,
            consistent=consistent,
        )
        answer = await self._caller.call(operations.LIST_JOBS, query)
        return jobs_page(cast("messages.JobsPage", answer))

    async def iter_jobs(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        order: str = "oldest",
        payloads: bool = True,
        consistent: bool = False,
    ) -> AsyncIterator[JobInfo]:
        """All jobs, page by page: each page is as of its own moment. What is meant: see
        `list_jobs`.
        """
        cursor: str | None = None
        while True:
            page = await self.list_jobs(
                status=status,
                job_type=job_type,
                text=text,
                order=order,
                cursor=cursor,
                payloads=payloads,
                consistent=consistent,
            )
            for job in page.jobs:
                yield job
            cursor = page.next_cursor
            if cursor is None:
                return

    async def list_ended(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        limit: int = LIST_PAGE_MAX,
        cursor: str | None = None,
        payloads: bool = True,
        consistent: bool = False,
    ) -> EndedPage:
        """One page of jobs that have ended, the last to end first, for as long as the archive
        keeps them; ``status`` is ``completed``, ``cancelled``, ``expired``, ``discarded``, or
        ``dead`` for dead letters that have left the queue. For the rest see `list_jobs`.
        """
        query = EndedQuery(
            limit=limit,
            cursor=cursor,
            status=status,
            type=job_type,
            text=text or None,
            payloads=payloads,
            consistent=consistent,
        )
        answer = await self._caller.call(operations.LIST_ENDED, query)
        return ended_page(cast("messages.EndedPage", answer))

    async def iter_ended(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        payloads: bool = True,
    ) -> AsyncIterator[JobInfo]:
        """All jobs that have ended, page by page; see `list_ended`."""
        cursor: str | None = None
        while True:
            page = await self.list_ended(
                status=status, job_type=job_type, text=text, cursor=cursor, payloads=payloads
            )
            for job in page.jobs:
                yield job
            cursor = page.next_cursor
            if cursor is None:
                return

    async def count_jobs(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        consistent: bool = False,
    ) -> JobsCount:
        """How many jobs that have not ended are meant; see `list_jobs`."""
        query = CountQuery(status=status, type=job_type, text=text or None, consistent=consistent)
        return cast("JobsCount", await self._caller.call(operations.COUNT_JOBS, query))

    async def act_on_jobs(
        self,
        action: str,
        job_ids: Iterable[str] | None = None,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        max_jobs: int = BATCH_JOBS_MAX,
        priority: int | None = None,
    ) -> ActionAnswer:
        """``retry``, ``cancel`` or ``setPriority`` (to ``priority``) up to 1,000 jobs in one
        commit; each for itself.

        Those of ``job_ids``, or the ``max_jobs`` oldest that are meant (see `list_jobs`); with
        both, those of the ids that are still meant. Without either it raises `BrokerProtocolError`:
        every job of a queue is never meant. While the answer has ``left``, there may be more.

        Sent again only if it surely was not applied. When that is not known (`CommitUnknownError`,
        `TransportConnectionError`), look first: a job that died again meanwhile would be retried
        again, and of a filter with a bound, others would be meant.
        """
        request = action_request(
            action,
            job_ids,
            status=status,
            job_type=job_type,
            text=text,
            max_jobs=max_jobs,
            priority=priority,
        )
        return cast("ActionAnswer", await self._caller.call(operations.ACT_ON_JOBS, request))

    async def list_dead_groups(self, *, consistent: bool = False) -> DeadGroups:
        """The dead letters of the queue by their errors, those that differ only in numbers in one
        group, the largest first.
        """
        query = _read_query(consistent=consistent)
        return cast("DeadGroups", await self._caller.call(operations.LIST_DEAD_GROUPS, query))

    async def get_payload(self, job_id: str, *, consistent: bool = False) -> bytes | None:
        """The JSON text of a job's payload, of any size; ``None`` when it has none.

        Raises `JobNotFoundError`, also for a job that is over. ``consistent``: see `get_job`.
        """
        query = _read_query(consistent=consistent)
        answer = await self._caller.call(operations.GET_PAYLOAD, query, job_id=job_id)
        return None if answer is None else bytes(cast("Raw", answer))

    async def get_workflow(self, job_id: str, *, consistent: bool = False) -> Workflow:
        """The jobs around one, itself the first: what it runs after, and what runs after it; at
        most 200. Raises `JobNotFoundError`. ``consistent``: see `get_job`.
        """
        query = _read_query(consistent=consistent)
        answer = await self._caller.call(operations.GET_WORKFLOW, query, job_id=job_id)
        return cast("Workflow", answer)

    async def subscribe(
        self,
        *,
        events: bool = True,
        types: Sequence[str] | None = None,
        stats_every_ms: int = 1_000,
    ) -> AsyncGenerator[Update, None]:
        """What changes in the queue from now on, commit by commit; the first update is the counts.

        ``events``: whether to be told each change of a job, of these ``types`` only; the counts are
        told when they have changed, at most every ``stats_every_ms`` (0: never). Raises as
        `stream_jobs` does, and `OverloadedError` when updates come faster than they are read.
        """
        request = messages.SubscribeRequest(
            events=events,
            types=None if types is None else list(types),
            stats_every_ms=stats_every_ms,
        )
        async with aclosing(self._caller.stream(operations.SUBSCRIBE, request)) as updates:
            async for update in updates:
                yield update

    async def _put_schedule(self, name: str, scheduled: ScheduledJob) -> ScheduleInfo:
        request = put_request(name, scheduled)
        answer = await self._caller.call(operations.PUT_SCHEDULE, request)
        return schedule_info(cast("wire_schedules.ScheduleInfo", answer))

    async def _submit(self, request: messages.SubmitRequest) -> str:
        with submitting((request,)):
            if not is_large(request, self.settings.batch_bytes_max):
                return await self._submits.submit(request)
            job_id = request.job_id
            answer = await self._caller.call(operations.SUBMIT_LARGE, request, job_id=job_id)
        return cast("messages.SubmitAnswer", answer).job_id

    def _submit_request(self, job: NewJob) -> messages.SubmitRequest:
        return submit_request(
            job,
            fresh_id=self.runtime.entropy.job_id(),
            now_ms=self.runtime.clock.wall_ms(),
        )


def _read_query(*, consistent: bool) -> ReadQuery | None:
    return ReadQuery(consistent=True) if consistent else None


def _lease(job: Job) -> messages.LeaseRequest:
    return messages.LeaseRequest(worker_id=job.worker_id, lease=job.lease)
