"""When a request is sent again, and after what pause. Pure.

Every request carries the ids that make its repetition take effect once: a submit its job ids, a
claim its claim id, what ends a job the lease; and what pauses the queue or sets a priority says how
that is to be. `_REPEAT` names the exceptions and why.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError
from osqueue.wire.messages import ClaimRequest
from osqueue.wire.operations import (
    ACT_ON_JOBS,
    FAIL_OVER,
    HEARTBEAT_BATCH,
    OPERATIONS,
    RETRY,
    STREAMS,
    JobQuery,
    Operation,
)

__all__ = ["Repeat", "backoff_ms", "may_repeat", "repeat_rule", "request_again", "wait_ms"]

_DOUBLINGS_MAX: Final = 30


class Repeat(Enum):
    """When an operation may be sent again after a retryable error."""

    ALWAYS = auto()
    UNAPPLIED = auto()
    """Only when the error says that nothing was applied."""
    NEVER = auto()


_REPEAT: Final = dict.fromkeys((each.name for each in (*OPERATIONS, *STREAMS)), Repeat.ALWAYS) | {
    # It carries no id: if the job died again in between, it would be queued a second time.
    RETRY.name: Repeat.UNAPPLIED,
    # The same of many; and asked again, a filter with a bound would mean others.
    ACT_ON_JOBS.name: Repeat.UNAPPLIED,
    # Asked again after it was done, the next leader would hand over, too.
    FAIL_OVER.name: Repeat.UNAPPLIED,
    # It may name all that a worker holds, and such a list is stale by then: jobs claimed in the
    # meantime would be taken for orphans. The next heartbeat brings a fresh one.
    HEARTBEAT_BATCH.name: Repeat.NEVER,
}


def repeat_rule(operation: Operation) -> Repeat:
    """The row of ``operation``."""
    return _REPEAT[operation.name]


def may_repeat(operation: Operation, error: OsqueueError) -> bool:
    """Whether sending the request again is safe and can succeed."""
    match repeat_rule(operation):
        case Repeat.ALWAYS:
            return error.retryable
        case Repeat.UNAPPLIED:
            return error.retryable and error.applied == "no"
        case Repeat.NEVER:
            return False


def backoff_ms(settings: ClientSettings, *, failures: int, jitter: float) -> float:
    """The pause after so many failures: exponential, with full jitter."""
    doubled = settings.backoff_first_ms << min(failures - 1, _DOUBLINGS_MAX)
    return jitter * min(settings.backoff_max_ms, doubled)


def wait_ms(request: msgspec.Struct | None) -> int:
    """How long a request asks the broker to wait."""
    return request.wait_ms if isinstance(request, ClaimRequest | JobQuery) else 0


def request_again(request: msgspec.Struct | None, *, gone_ms: int) -> msgspec.Struct | None:
    """The request as it is sent after ``gone_ms``: the same ids, and so much less of its wait."""
    if isinstance(request, ClaimRequest | JobQuery) and request.wait_ms:
        return msgspec.structs.replace(request, wait_ms=max(0, request.wait_ms - gone_ms))
    return request
