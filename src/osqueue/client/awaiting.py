"""Waiting for what a job brings: the broker tells when it has ended, and is asked again until then.

Laws: a result is what the completed job brought, and nothing else is taken for one; who waits for a
job that can bring none is told why, and who has waited long enough is told that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, NoReturn, Protocol

from osqueue.client.models import JobInfo
from osqueue.config import RESULT_WAIT_MS
from osqueue.errors import AuthError, JobFailedError, JobNotFoundError, ResultTimeoutError

__all__ = ["AskForJob", "brought", "ended", "result_of"]

GRACE_S: Final = 1.0
"""What the last answer may be late: the broker waits as long as it was asked to, then answers."""

PAUSE_S: Final = 0.25
"""Before asking again where a broker does not wait, such as an older one."""

_FAILED: Final = frozenset({"dead", "cancelled", "expired", "discarded"})
_ENDED: Final = _FAILED | {"completed"}


class AskForJob(Protocol):
    """Asks for one job, as `OsqueueClient.get_job` does."""

    def __call__(self, job_id: str, *, wait_ms: int) -> Awaitable[JobInfo]: ...


async def result_of(ask: AskForJob, job_id: str, *, timeout_s: float | None) -> Any:
    """The result of a job, once it has completed; see `OsqueueClient.result`."""
    return brought(await ended(ask, job_id, timeout_s=timeout_s)).result


async def ended(ask: AskForJob, job_id: str, *, timeout_s: float | None) -> JobInfo:
    """A job, once it has ended or is dead. Raises `ResultTimeoutError`."""
    limit_s = None if timeout_s is None else timeout_s + GRACE_S
    try:
        async with asyncio.timeout(limit_s):
            return await _ended(ask, job_id, timeout_s)
    except TimeoutError as error:
        if isinstance(error, ResultTimeoutError):
            raise
        raise _late(job_id, timeout_s or 0) from error


def brought(info: JobInfo) -> JobInfo:
    """The same, if it has completed. Raises `JobFailedError`, `JobNotFoundError`, and `AuthError`
    for a result that is not shown to this client.
    """
    if info.status in _FAILED:
        _raise_failed(info)
    if info.created_at is None:
        raise JobNotFoundError(
            f"job {info.job_id} has completed, but what it brought is not kept any more"
        )
    if info.payload_hidden:
        raise AuthError(
            f"job {info.job_id} has completed, but the broker hides results from this token; use "
            "one with the role work, or start the broker without --hide-payloads"
        )
    return info


async def _ended(ask: AskForJob, job_id: str, timeout_s: float | None) -> JobInfo:
    now = asyncio.get_running_loop().time
    until = None if timeout_s is None else now() + timeout_s
    while True:
        asked_at = now()
        left_ms = RESULT_WAIT_MS if until is None else max(0.0, (until - asked_at) * 1_000)
        wait_ms = round(min(RESULT_WAIT_MS, left_ms))
        info = await ask(job_id, wait_ms=wait_ms)
        if info.status in _ENDED:
            return info
        if until is not None and now() >= until:
            raise _late(job_id, timeout_s or 0, info.status)
        if now() - asked_at < wait_ms / 2_000:
            await asyncio.sleep(PAUSE_S)


def _raise_failed(info: JobInfo) -> NoReturn:
    last = info.last_error
    why = "" if last is None else f": {last.type}: {last.message}"
    raise JobFailedError(
        f"job {info.job_id} is {info.status}{why}",
        job_id=info.job_id,
        job_status=info.status,
        error_type=None if last is None else last.type,
        error_message=None if last is None else last.message,
        traceback=None if last is None else last.traceback,
    )


def _late(job_id: str, timeout_s: float, status: str = "") -> ResultTimeoutError:
    how = f"; it is {status}" if status else ""
    return ResultTimeoutError(f"job {job_id} has not ended within {timeout_s:g} s{how}")
