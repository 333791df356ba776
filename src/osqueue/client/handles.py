"""A job that was submitted: its id, and the way to what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from osqueue.client.awaiting import brought, ended
from osqueue.client.models import JobInfo
from osqueue.errors import ConfigError
from osqueue.jobs.schema import Schema

if TYPE_CHECKING:
    from osqueue.client.client import OsqueueClient
    from osqueue.client.sync import SyncOsqueueClient

__all__ = ["JobHandle", "SyncJobHandle"]

ResultT_co = TypeVar("ResultT_co", covariant=True)


class JobHandle(Generic[ResultT_co]):
    """A job of an `OsqueueClient`. ``str(handle)`` is its id, which is all that has to be kept."""

    def __init__(
        self, client: OsqueueClient, job_id: str, *, result_schema: Schema | None = None
    ) -> None:
        self.job_id = job_id
        self._client = client
        self.result_schema = result_schema

    def __repr__(self) -> str:
        return f"<job {self.job_id}>"

    def __str__(self) -> str:
        return self.job_id

    async def info(self) -> JobInfo:
        """How it is doing. Raises `JobNotFoundError` when it is not known any more."""
        return await self._client.get_job(self.job_id)

    async def wait(self, timeout: float | None = None) -> JobInfo:  # noqa: ASYNC109 - as of `asyncio.wait`
        """Wait until it has ended or is dead, however that was, for up to ``timeout`` seconds.

        Raises `ResultTimeoutError`, and `JobNotFoundError` when it is not known any more.
        """
        return await ended(self._client.get_job, self.job_id, timeout_s=timeout)

    async def result(self, timeout: float | None = None) -> ResultT_co:  # noqa: ASYNC109 - the same
        """What its handler returned, of the handler's type, where that is known.

        Waits as `wait` does. Raises `JobFailedError`, with the handler's error, when it brings
        none, `ConfigError` when that was not to be kept, and `PayloadValidationError` for a result
        of another type.
        """
        return cast("ResultT_co", _result(await self.wait(timeout), self.result_schema))

    async def cancel(self) -> None:
        """Cancel it, if it has not ended; a handler that runs is told to stop."""
        await self._client.cancel_job(self.job_id)


class SyncJobHandle(Generic[ResultT_co]):
    """A job of a `SyncOsqueueClient`; each method is that of the same name in `JobHandle`."""

    def __init__(
        self, client: SyncOsqueueClient, job_id: str, *, result_schema: Schema | None = None
    ) -> None:
        self.job_id = job_id
        self._client = client
        self.result_schema = result_schema

    def __repr__(self) -> str:
        return f"<job {self.job_id}>"

    def __str__(self) -> str:
        return self.job_id

    def info(self) -> JobInfo:
        """How it is doing. Raises `JobNotFoundError` when it is not known any more."""
        return self._client.get_job(self.job_id)

    def wait(self, timeout: float | None = None) -> JobInfo:
        """Wait until it has ended or is dead, however that was, for up to ``timeout`` seconds."""
        return self._client.wait(self.job_id, timeout=timeout)

    def result(self, timeout: float | None = None) -> ResultT_co:
        """What its handler returned, of the handler's type, where that is known."""
        return cast("ResultT_co", _result(self.wait(timeout), self.result_schema))

    def cancel(self) -> None:
        """Cancel it, if it has not ended; a handler that runs is told to stop."""
        self._client.cancel_job(self.job_id)


def _result(info: JobInfo, schema: Schema | None) -> Any:
    raw = brought(info).raw_result
    if schema is None:
        return info.result
    if raw is not None:
        return schema.decode(raw)
    if schema.type in (None, type(None)):
        return None
    raise ConfigError(
        f"job {info.job_id} has completed, but its result was not asked for: say keep_result=True "
        "of its type, or when it is submitted"
    )
