"""The client for plain code: the same methods, without ``await``.

For Django, scripts, notebooks, threads. Any number of threads may share one; the calls run in an
event loop in a thread of its own, so they also work where another loop is running (Jupyter). Ctrl-C
cancels the call that waits. After a fork the child connects anew by itself, but for ``grpc``, whose
library does not survive one: make such a client after the fork.
"""

from __future__ import annotations

import ssl
import threading
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import suppress
from copy import copy
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar, Unpack, cast, overload

from msgspec import UNSET

from osqueue.client.announcing import JsonSchemas
from osqueue.client.client import OsqueueClient
from osqueue.client.credentials import TlsSettings
from osqueue.client.discovery import LeaderStore
from osqueue.client.handles import SyncJobHandle
from osqueue.client.loop_thread import LoopThread
from osqueue.client.models import (
    EndedPage,
    Job,
    JobInfo,
    JobOptions,
    JobsPage,
    NewJob,
    Workflow,
)
from osqueue.client.requests import job_of, jobs_of
from osqueue.client.runtime import Runtime
from osqueue.client.scheduling import ScheduledJob, ScheduleInfo, ScheduleOptions
from osqueue.client.transports.kinds import TransportSpec
from osqueue.config import BATCH_JOBS_MAX, LIST_PAGE_MAX, ClientSettings
from osqueue.errors import OsqueueError, TransportConfigError
from osqueue.jobs.payload_types import PayloadObject
from osqueue.jobs.registry import Registry, RegistryLike
from osqueue.jobs.submission import CheckedJob
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
)

__all__ = ["SyncOsqueueClient"]

_NO_PROGRESS: Final[Mapping[str, Progress]] = MappingProxyType({})

_T = TypeVar("_T")
ResultT = TypeVar("ResultT")


class SyncOsqueueClient:
    """`OsqueueClient` for plain code; each method is that of the same name there.

    Use it as a context manager, or `close` it; at the end of the program it is closed by itself.

        with SyncOsqueueClient("http://127.0.0.1:8080") as client:
            job_id = client.submit_job("email:send", {"to": "ada@example.org"})
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
        if broker_url is not None and not isinstance(broker_url, str):
            broker_url = list(broker_url)  # it is read again after a fork
        make = partial(
            OsqueueClient,
            broker_url,
            storage=storage,
            transport=transport,
            token=token,
            tls=tls,
            settings=settings,
            runtime=runtime,
        )
        self._types = None if registry is None else Registry.of(registry)
        self._shared = _Shared(make, forks=_forks(transport))
        self._settings: ClientSettings | None = None
        self._whole: SyncOsqueueClient | None = None
        """Whose view this is: kept, as all is closed when nobody has it any more."""
        self._closing = weakref.finalize(self, self._shared.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def settings(self) -> ClientSettings:
        return self._client().settings

    @property
    def runtime(self) -> Runtime:
        return self._client().runtime

    @property
    def epoch(self) -> int | None:
        """Of the leader whose answer was the latest; ``None`` before the first."""
        return self._client().epoch

    def with_settings(self, settings: ClientSettings) -> SyncOsqueueClient:
        """A client over the same connections that waits and retries otherwise. Close only one."""
        settings.validate()
        client = copy(self)
        client._settings = settings  # noqa: SLF001 - its own class
        client._whole = self  # noqa: SLF001 - the same
        return client

    def reconnect(self) -> None:
        """Drop the connections and make new ones, as after a change of network."""
        self._run(lambda client: client.reconnect())

    def close(self) -> None:
        """Drop the connections for good, and end the thread. A second close does nothing."""
        self._closing()

    def submit_job(
        self, job_type: str, payload: object = None, **options: Unpack[JobOptions]
    ) -> str:
        """Submit a job and return its id. ``options``: see `JobOptions`."""
        return self.submit(NewJob(job_type, payload, **options)).job_id

    @overload
    def submit(
        self, job: CheckedJob[ResultT], /, **options: Unpack[JobOptions]
    ) -> SyncJobHandle[ResultT]: ...
    @overload
    def submit(
        self, job: NewJob | PayloadObject, /, **options: Unpack[JobOptions]
    ) -> SyncJobHandle[Any]: ...
    def submit(
        self, job: NewJob | PayloadObject, /, **options: Unpack[JobOptions]
    ) -> SyncJobHandle[Any]:
        """Submit a payload, whose class tells its type by the registry, or a job made before."""
        here = job_of(self._types, job, options)  # validators may want the caller's thread
        handle = self._run(lambda client: client.submit(here))
        return SyncJobHandle(self, handle.job_id, result_schema=handle.result_schema)

    def submit_jobs(self, jobs: Iterable[NewJob | PayloadObject | tuple[str, object]]) -> list[str]:
        """Submit many jobs and return their ids, in order; each a `NewJob`, (type, payload), or
        a payload whose class tells its type by the registry.
        """
        here = jobs_of(self._types, jobs)  # what makes them belongs to this thread
        return self._run(lambda client: client.submit_jobs(here))

    def cancel_job(self, job_id: str) -> None:
        """Cancel a job that has not ended, or discard a dead letter."""
        self._run(lambda client: client.cancel_job(job_id))

    def retry_job(self, job_id: str) -> None:
        """Queue a dead letter again, with all its attempts."""
        self._run(lambda client: client.retry_job(job_id))

    def set_priority(self, job_id: str, priority: int) -> None:
        """Let a job that waits come sooner or later. Raises `JobStateError` when it does not."""
        self._run(lambda client: client.set_priority(job_id, priority))

    def pause_queue(self) -> None:
        """Hand out no more jobs, to anybody. Jobs that are held go on; new ones are taken in."""
        self._run(lambda client: client.pause_queue())

    def resume_queue(self) -> None:
        """Hand out jobs again; claims that wait get theirs at once."""
        self._run(lambda client: client.resume_queue())

    def put_schedule(
        self,
        name: str,
        job: NewJob | PayloadObject | str,
        payload: object = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleInfo:
        """Have a job submitted again and again: ``cron="0 3 * * *", timezone="Europe/Rome"``, or
        ``every_ms=60_000``; see `ScheduleOptions`.
        """
        here = ScheduledJob.of(self._types, job, payload, options)
        return self._run(lambda client: client._put_schedule(name, here))  # noqa: SLF001 - its twin

    def drop_schedule(self, name: str) -> None:
        """Forget a schedule, if there is one of this name. The jobs that it submitted stay."""
        self._run(lambda client: client.drop_schedule(name))

    def list_schedules(self, *, consistent: bool = False) -> list[ScheduleInfo]:
        """All schedules, by name."""
        return self._run(lambda client: client.list_schedules(consistent=consistent))

    def pause_schedule(self, name: str) -> None:
        """Let a schedule submit nothing. Raises `ScheduleNotFoundError`."""
        self._run(lambda client: client.pause_schedule(name))

    def resume_schedule(self, name: str) -> None:
        """Let a schedule submit jobs again, from its next time on."""
        self._run(lambda client: client.resume_schedule(name))

    def run_schedule(self, name: str) -> str:
        """Submit a job of a schedule now, beside its times, and return its id."""
        return self._run(lambda client: client.run_schedule(name))

    def claim_job(
        self, worker_id: str, types: Sequence[str] | None = None, *, wait_ms: int = 0
    ) -> Job | None:
        """Claim the next job of these types (by default of any), waiting up to ``wait_ms``."""
        return self._run(lambda client: client.claim_job(worker_id, types, wait_ms=wait_ms))

    def claim_jobs(
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
        """Claim up to ``max_jobs`` (at most 1,000), waiting up to ``wait_ms`` for the first."""
        return self._run(
            lambda client: client.claim_jobs(
                worker_id,
                types,
                max_jobs=max_jobs,
                wait_ms=wait_ms,
                claim_id=claim_id,
                max_by_type=max_by_type,
                worker=worker,
            )
        )

    def stream_jobs(
        self, worker_id: str, types: Sequence[str] | None = None, *, credit: int
    ) -> Generator[Job, None, None]:
        """Jobs as they come, at most ``credit`` that were not taken yet."""
        return self._iterate(lambda client: client.stream_jobs(worker_id, types, credit=credit))

    def heartbeat(self, job: Job) -> None:
        """Keep a job's lease. Raises `LeaseLostError` or `JobNotFoundError` when it is lost."""
        self._run(lambda client: client.heartbeat(job))

    def heartbeat_jobs(
        self,
        worker_id: str,
        jobs: Sequence[Job],
        *,
        all_held: bool = False,
        progress: Mapping[str, Progress] = _NO_PROGRESS,
        worker: WorkerInfo | None = None,
    ) -> list[OsqueueError | None]:
        """Keep the leases of many jobs of one worker: for each its error, or ``None``."""
        return self._run(
            lambda client: client.heartbeat_jobs(
                worker_id, jobs, all_held=all_held, progress=progress, worker=worker
            )
        )

    def complete_job(self, job: Job, result: object = UNSET) -> None:
        """Report a job as done. Raises `LeaseLostError` or `JobNotFoundError` if it is lost."""
        self._run(lambda client: client.complete_job(job, result))

    def complete_jobs(
        self, jobs: Sequence[Job], results: Sequence[object] | None = None
    ) -> list[OsqueueError | None]:
        """Report many jobs of one worker as done: for each its error, or ``None``."""
        return self._run(lambda client: client.complete_jobs(jobs, results))

    def fail_job(
        self,
        job: Job,
        error: BaseException | JobError | str,
        *,
        retry: bool = True,
        delay_ms: int | None = None,
    ) -> None:
        """Report a failed attempt. It runs again while attempts are left, after ``delay_ms`` or as
        its own policy says.
        """
        self._run(lambda client: client.fail_job(job, error, retry=retry, delay_ms=delay_ms))

    def release_job(self, job: Job) -> None:
        """Give a job back unfinished; the attempt does not count."""
        self._run(lambda client: client.release_job(job))

    def get_job(self, job_id: str, *, wait_ms: int = 0, consistent: bool = False) -> JobInfo:
        """One job. Raises `JobNotFoundError`; ended jobs are known for a while only."""
        return self._run(
            lambda client: client.get_job(job_id, wait_ms=wait_ms, consistent=consistent)
        )

    def result(self, job_id: str, *, timeout: float | None = None) -> Any:
        """What a job brought, once it has completed. Raises `JobFailedError`,
        `ResultTimeoutError` and `JobNotFoundError`.
        """
        return self._run(lambda client: client.result(job_id, timeout=timeout))

    def wait(self, job_id: str, *, timeout: float | None = None) -> JobInfo:
        """A job, once it has ended or is dead, however that was: waits as `result` does."""
        return self._run(lambda client: client.wait(job_id, timeout=timeout))

    def get_stats(self, *, consistent: bool = False) -> Stats:
        """The counts."""
        return self._run(lambda client: client.get_stats(consistent=consistent))

    def get_status(self) -> BrokerStatus:
        """How the broker that was asked is doing; one that does not lead names the leader."""
        return self._run(lambda client: client.get_status())

    def announce_types(self, schemas: JsonSchemas | None = None) -> None:
        """Tell the leader what payloads job types have, by default those of the registry."""
        if schemas is None:
            schemas = {} if self._types is None else self._types.json_schemas()
        self._run(lambda client: client.announce_types(schemas))

    def get_types(self, *, consistent: bool = False) -> dict[str, dict[str, Any] | None]:
        """The job types that the queue has seen, with the JSON Schemas of their payloads."""
        return self._run(lambda client: client.get_types(consistent=consistent))

    def get_settings(self) -> list[Setting]:
        """The settings of the broker that was asked. Secrets are not told."""
        return self._run(lambda client: client.get_settings())

    def fail_over(self) -> None:
        """Have the leader hand over to a broker that stands by. Returns when it has let go."""
        self._run(lambda client: client.fail_over())

    def list_jobs(
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
        """One page of jobs; ``status`` is ``unclaimed``, ``ready``, ``delayed``, ``waiting``,
        ``in_progress`` or ``dead``.
        """
        return self._run(
            lambda client: client.list_jobs(
                status=status,
                job_type=job_type,
                text=text,
                order=order,
                limit=limit,
                cursor=cursor,
                payloads=payloads,
                consistent=consistent,
            )
        )

    def iter_jobs(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        order: str = "oldest",
        payloads: bool = True,
        consistent: bool = False,
    ) -> Iterator[JobInfo]:
        """All jobs, page by page: each page is as of its own moment."""
        return self._iterate(
            lambda client: client.iter_jobs(
                status=status,
                job_type=job_type,
                text=text,
                order=order,
                payloads=payloads,
                consistent=consistent,
            )
        )

    def list_ended(
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
        """One page of jobs that have ended, the last to end first."""
        return self._run(
            lambda client: client.list_ended(
                status=status,
                job_type=job_type,
                text=text,
                limit=limit,
                cursor=cursor,
                payloads=payloads,
                consistent=consistent,
            )
        )

    def iter_ended(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        payloads: bool = True,
    ) -> Iterator[JobInfo]:
        """All jobs that have ended, page by page."""
        return self._iterate(
            lambda client: client.iter_ended(
                status=status, job_type=job_type, text=text, payloads=payloads
            )
        )

    def count_jobs(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        text: str | None = None,
        consistent: bool = False,
    ) -> JobsCount:
        """How many jobs that have not ended are meant."""
        return self._run(
            lambda client: client.count_jobs(
                status=status, job_type=job_type, text=text, consistent=consistent
            )
        )

    def act_on_jobs(
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
        """``retry``, ``cancel`` or ``setPriority`` up to 1,000 jobs in one commit."""
        ids = None if job_ids is None else list(job_ids)  # what makes them belongs to this thread
        return self._run(
            lambda client: client.act_on_jobs(
                action,
                ids,
                status=status,
                job_type=job_type,
                text=text,
                max_jobs=max_jobs,
                priority=priority,
            )
        )

    def list_dead_groups(self, *, consistent: bool = False) -> DeadGroups:
        """The dead letters of the queue by their errors, the largest group first."""
        return self._run(lambda client: client.list_dead_groups(consistent=consistent))

    def get_payload(self, job_id: str, *, consistent: bool = False) -> bytes | None:
        """The JSON text of a job's payload, of any size; ``None`` when it has none."""
        return self._run(lambda client: client.get_payload(job_id, consistent=consistent))

    def get_workflow(self, job_id: str, *, consistent: bool = False) -> Workflow:
        """The jobs around one: what it runs after, and what runs after it; at most 200."""
        return self._run(lambda client: client.get_workflow(job_id, consistent=consistent))

    def subscribe(
        self, *, events: bool = True, types: Sequence[str] | None = None, stats_every_ms: int = 1000
    ) -> Generator[Update, None, None]:
        """What changes in the queue from now on, commit by commit."""
        return self._iterate(
            lambda client: client.subscribe(
                events=events, types=types, stats_every_ms=stats_every_ms
            )
        )

    def _client(self) -> OsqueueClient:
        client = self._shared.client()
        return client if self._settings is None else client.with_settings(self._settings)

    def _run(self, ask: Callable[[OsqueueClient], Coroutine[Any, Any, _T]]) -> _T:
        client = self._client()
        return self._shared.thread.run(lambda: ask(client))

    def _iterate(
        self, ask: Callable[[OsqueueClient], AsyncIterator[_T]]
    ) -> Generator[_T, None, None]:
        """What comes, one by one; it is closed when nobody asks for more."""
        coming = cast("AsyncGenerator[_T, None]", ask(self._client()))
        try:
            while (each := self._shared.thread.run(partial(_next, coming))) is not _END:
                yield cast("_T", each)
        finally:
            with suppress(TransportConfigError):  # this client may be closed by now
                self._shared.thread.run(partial(_close, coming))


class _Shared:
    """The client and its thread, for all views of them; made anew in the child of a fork."""

    def __init__(self, make: Callable[[], OsqueueClient], *, forks: bool) -> None:
        self.thread = LoopThread()
        self._make = make
        self._forks = forks
        self._lock = threading.Lock()
        self._client = make()

    def client(self) -> OsqueueClient:
        """The client of this process."""
        with self._lock:
            if self.thread.forked:
                if not self._forks:
                    raise TransportConfigError(
                        "this client was used before a fork, which gRPC does not survive: make one "
                        "after it, or use another transport"
                    )
                self.thread.abandon(self._client)
                self._client = self._make()
            return self._client

    def close(self) -> None:
        """End both. In the child of a fork, what is the parent's goes on."""
        with self._lock:
            if self.thread.forked:
                self.thread.abandon(self._client)
        self.thread.stop(self._client.close)


_END: Final = object()


async def _next(coming: AsyncIterator[_T]) -> _T | object:
    return await anext(coming, _END)


async def _close(coming: AsyncGenerator[Any, None]) -> None:
    await coming.aclose()


def _forks(transport: TransportSpec | None) -> bool:
    """Whether a transport can be begun anew in the child of a fork."""
    kind = transport.get("kind") if isinstance(transport, Mapping) else transport
    return kind != "grpc"
