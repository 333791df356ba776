"""Clients that write down every call they make."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

from tests.e2e.chaos.history import Call, History, now

from osqueue import OsqueueClient
from osqueue.client.caller import Seen
from osqueue.client.models import Job, JobInfo, JobsPage, NewJob
from osqueue.client.transports.protocol import Answer, Position
from osqueue.errors import DiscoveryError, OsqueueError, error_tag
from osqueue.wire.messages import Stats
from osqueue.wire.operations import Operation

__all__ = ["RecordingClient"]

SLACK_S = 15.0
"""A call may take longer than its time by what a busy machine and the last try take."""

_current: ContextVar[Call | None] = ContextVar("_current", default=None)


class RecordingClient(OsqueueClient):
    """A client named ``name`` whose calls go into ``history``, its workers' too.

    ``way``: the kind of transport by which it goes, as it stands there.
    """

    def __init__(self, name: str, history: History, *, way: str, **options: Any) -> None:
        super().__init__(**options)
        self.name = name
        self._way = way
        self._history = history
        self._caller.seen = _RecordingSeen()

    async def submit_job(self, job_type: str, payload: object = None, **options: Any) -> str:
        async with self._call("submit", ids=[options["job_id"]]):
            return await super().submit_job(job_type, payload, **options)

    async def submit_jobs(self, jobs: Iterable[Any]) -> list[str]:
        new = [job if isinstance(job, NewJob) else NewJob(*job) for job in jobs]
        async with self._call("submit", ids=[job.job_id or "" for job in new]):
            return await super().submit_jobs(new)

    async def claim_jobs(
        self, worker_id: str, types: Sequence[str] | None = None, **options: Any
    ) -> list[Job]:
        async with self._call("claim", wait_ms=options.get("wait_ms", 0)) as call:
            jobs = await super().claim_jobs(worker_id, types, **options)
            call.ids, call.leases = [job.job_id for job in jobs], [job.lease for job in jobs]
            return jobs

    async def heartbeat_jobs(
        self, worker_id: str, jobs: Sequence[Job], **options: Any
    ) -> list[OsqueueError | None]:
        async with self._call("heartbeat", jobs=jobs) as call:
            answers = await super().heartbeat_jobs(worker_id, jobs, **options)
            call.refused = _refused(jobs, answers)
            return answers

    async def complete_jobs(
        self, jobs: Sequence[Job], results: Sequence[object] | None = None
    ) -> list[OsqueueError | None]:
        async with self._call("complete", jobs=jobs) as call:
            answers = await super().complete_jobs(jobs, results)
            call.refused = _refused(jobs, answers)
            return answers

    async def fail_job(self, job: Job, *args: Any, **options: Any) -> None:
        async with self._call("fail", jobs=[job]):
            await super().fail_job(job, *args, **options)

    async def release_job(self, job: Job) -> None:
        async with self._call("release", jobs=[job]):
            await super().release_job(job)

    async def get_job(self, job_id: str, *, wait_ms: int = 0, consistent: bool = False) -> JobInfo:
        ids = [job_id]
        async with self._call("get_job", ids=ids, wait_ms=wait_ms, consistent=consistent) as call:
            info = await super().get_job(job_id, wait_ms=wait_ms, consistent=consistent)
            call.status = info.status
            return info

    async def get_stats(self, *, consistent: bool = False) -> Stats:
        async with self._call("get_stats", consistent=consistent) as call:
            stats = await super().get_stats(consistent=consistent)
            _show(call, stats)
            return stats

    async def list_jobs(self, *, consistent: bool = False, **options: Any) -> JobsPage:
        async with self._call("list_jobs", consistent=consistent) as call:
            page = await super().list_jobs(consistent=consistent, **options)
            _show(call, page.stats)
            return page

    @asynccontextmanager
    async def _call(
        self,
        op: str,
        *,
        ids: Sequence[str] = (),
        jobs: Sequence[Job] = (),
        wait_ms: int = 0,
        consistent: bool = False,
    ) -> AsyncIterator[Call]:
        settings = self.settings
        call = Call(
            client=self.name,
            way=self._way,
            op=op,
            ids=[*ids, *(job.job_id for job in jobs)],
            leases=[job.lease for job in jobs],
            consistent=consistent,
            start=now(),
            limit_s=(settings.retry_for_ms + settings.timeout_ms + 2 * wait_ms) / 1_000 + SLACK_S,
        )
        self._history.calls.append(call)
        token = _current.set(call)
        try:
            yield call
            call.ok = True
        except OsqueueError as error:
            call.tag, call.retryable, call.message = error_tag(error), error.retryable, str(error)
            raise
        except BaseException as error:
            call.tag = type(error).__name__
            raise
        finally:
            call.end = now()
            _current.reset(token)


class _RecordingSeen(Seen):
    """Writes down the position of each answer that the client shows, and those it discards."""

    def take(self, operation: Operation, answer: Answer) -> Any:
        with _written_down(answer.position):
            return super().take(operation, answer)

    def refuse(self, operation: Operation, error: OsqueueError) -> None:
        with _written_down(None if error.position is None else Position(*error.position)):
            super().refuse(operation, error)


@contextmanager
def _written_down(position: Position | None) -> Iterator[None]:
    call = _current.get()
    try:
        yield
    except DiscoveryError:
        if call is not None:
            call.discarded += 1
        raise
    if call is not None and position is not None:
        call.position = (position.epoch, position.number)


def _refused(jobs: Sequence[Job], results: Sequence[OsqueueError | None]) -> dict[str, str]:
    pairs = zip(jobs, results, strict=True)
    return {job.job_id: error_tag(error) for job, error in pairs if error is not None}


def _show(call: Call, stats: Stats) -> None:
    call.completed_total = stats.completed_total
    call.submitted_total = stats.total + stats.completed_total + stats.dead
