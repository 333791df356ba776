"""What becomes of a job whose attempt has failed, by what was raised. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import msgspec

from osqueue.client.failures import describe_failure, pause_ms
from osqueue.client.models import JobError
from osqueue.errors import Discard, Retry
from osqueue.worker.deaths import RemoteFailure

__all__ = ["Failure", "FatalError", "describe", "failure_of", "overdue"]


class FatalError(Exception):
    """Carries an error after which trying again is no use: the payload is not what the handler
    takes, there is no handler, or its result cannot be kept.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Failure(msgspec.Struct, frozen=True):
    """``delay_ms``: before the next attempt; ``None``: as the job's policy says."""

    error: BaseException
    retry: bool = True
    delay_ms: int | None = None


def failure_of(error: BaseException) -> Failure:
    """What an attempt that raised ``error`` comes to."""
    match error:
        case Retry():
            return Failure(error, delay_ms=pause_ms(error))
        case Discard():
            return Failure(error, retry=False)
        case FatalError():
            return Failure(error.error, retry=False)
        case RemoteFailure():
            return Failure(error, retry=error.retry)
        case _:
            return Failure(error)


def overdue(timeout_s: float, ended_by: BaseException | None = None) -> Failure:
    """What an attempt comes to whose time is up. ``ended_by``: what its handler then raised."""
    error = TimeoutError(f"the handler did not end within {timeout_s:g} s")
    error.__cause__ = ended_by
    return Failure(error)


def describe(error: BaseException, *, without: AbstractSet[str]) -> JobError:
    """The same as is sent, whatever the error does when it is looked at."""
    if isinstance(error, RemoteFailure):
        return error.error.bounded()
    try:
        return describe_failure(error, without=without)
    except BaseException:  # noqa: BLE001 - its ``__str__`` may raise what it likes
        return JobError(type=type(error).__name__, message="(it cannot be shown)").bounded()
