"""What callers are told when the engine cannot answer with an outcome."""

from __future__ import annotations

from typing import ClassVar

from osqueue.engine.requests import End, EndReason
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    CommitUnknownError,
    EngineStateError,
    OsqueueError,
    StoreUnavailableError,
)
from osqueue.wire.leaders import called, is_dialled

__all__ = [
    "halted_error",
    "handover_error",
    "leader_met_error",
    "not_leading_error",
    "over_error",
    "standby_error",
    "starting_error",
    "stopping_error",
    "unconfirmed_error",
    "unknown_error",
    "unwatched_error",
]


def starting_error() -> EngineStateError:
    """The broker takes no requests yet."""
    return EngineStateError(
        "the broker is starting and does not lead yet; nothing of this request was applied"
    )


def stopping_error() -> EngineStateError:
    """The broker takes no more requests."""
    return EngineStateError("the broker is stopping; nothing of this request was applied")


def standby_error(leader: str | None) -> BrokerLeadershipError:
    """The broker stands by; the leader can take the request."""
    where = f"{called(leader)} leads" if leader else "no broker is known to lead right now"
    message = f"this broker stands by, and {where}; nothing of this request was applied"
    return BrokerLeadershipError(message, leader=_followed(leader))


def halted_error(why: str) -> BrokerLeadershipError:
    """The broker does nothing any more until somebody has looked."""
    return BrokerLeadershipError(f"this broker has halted: {why}")


def handover_error(why: str) -> BrokerProtocolError:
    """Leadership cannot be handed over, or was not."""
    return BrokerProtocolError(f"leadership was not handed over: {why}", status=409)


class _LeaderMetError(BrokerLeadershipError):
    """Asking again is no use: this process never goes on."""

    retryable: ClassVar[bool] = False


def leader_met_error(why: str, leader: str | None = None) -> BrokerLeadershipError:
    """The process shares a queue no more. The request was never put into a commit."""
    advice = "" if leader is None else f"; {_way_on(leader)}"
    message = f"{why}{advice}; nothing of this request was applied"
    return _LeaderMetError(message, leader=leader)


def not_leading_error(why: str, leader: str | None = None) -> BrokerLeadershipError:
    """The request was never put into a commit; the leader can take it."""
    message = f"this broker does not lead any more: {why}; nothing of this request was applied"
    return BrokerLeadershipError(message, leader=_followed(leader))


def over_error(end: End) -> OsqueueError:
    """What a stream ends with when the term ends."""
    if end.reason in {EndReason.RELEASED, EndReason.STOPPED, EndReason.FAILED}:
        return EngineStateError("this broker stops leading; begin anew at the one that leads next")
    message = f"this broker does not lead any more: {end.message}; begin anew at the leader"
    return BrokerLeadershipError(message, leader=_followed(end.leader))


def unwatched_error() -> BrokerProtocolError:
    """A process that shares its queue sees what others write only now and then."""
    return BrokerProtocolError(
        "without a broker nobody sees every change of a queue, so there are no events; start one "
        "(osqueue broker), or ask for the counts now and then"
    )


def unknown_error(why: str) -> CommitUnknownError:
    """The request is in a commit of unknown fate."""
    return CommitUnknownError(
        f"it is not known whether this request took effect: {why}; send it again with the same ids"
    )


def unconfirmed_error() -> StoreUnavailableError:
    """The request needed no write, but could not be answered truthfully."""
    error = StoreUnavailableError(
        "the store does not answer, so it could not be confirmed that this broker leads"
    )
    error.applied = "no"
    return error


def _followed(leader: str | None) -> str | None:
    """The leader that a request can be sent to: clients follow whoever an error names."""
    return None if leader is None or not is_dialled(leader) else leader


def _way_on(leader: str) -> str:
    if is_dialled(leader):
        return f"send it to http://{leader}, or stop the broker there"
    return "only that process can use the queue until it closes it"
