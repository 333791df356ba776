from __future__ import annotations

import pytest

from osqueue.engine import refusals
from osqueue.errors import (
    BrokerLeadershipError,
    CommitUnknownError,
    EngineStateError,
    OsqueueError,
    StoreUnavailableError,
)
from osqueue.wire.leaders import embedded_address


@pytest.mark.parametrize(
    ("error", "kind", "applied"),
    [
        (refusals.starting_error(), EngineStateError, "no"),
        (refusals.stopping_error(), EngineStateError, "no"),
        (refusals.not_leading_error("fenced"), BrokerLeadershipError, "no"),
        (refusals.unconfirmed_error(), StoreUnavailableError, "no"),
        (refusals.unknown_error("it timed out"), CommitUnknownError, "unknown"),
    ],
)
def test_refusal_when_made_then_it_tells_what_was_applied_and_that_a_retry_can_help(
    error: OsqueueError, kind: type[OsqueueError], applied: str
) -> None:
    assert type(error) is kind
    assert error.applied == applied
    assert error.retryable


def test_refusal_when_it_is_of_one_request_then_others_of_its_kind_are_untouched() -> None:
    refusals.unconfirmed_error()
    assert StoreUnavailableError("x").applied is None


def test_not_leading_when_the_leader_is_known_then_it_is_named() -> None:
    assert refusals.not_leading_error("fenced", "them:1").leader == "them:1"
    assert refusals.not_leading_error("fenced").leader is None


def test_unknown_when_told_then_it_says_why_and_what_to_do() -> None:
    message = refusals.unknown_error("it timed out").message
    assert "it timed out" in message
    assert "same ids" in message


def test_refusal_when_an_embedded_queue_leads_then_it_is_told_and_nobody_is_sent_there() -> None:
    leader = embedded_address("web-1", 7)
    for error in (refusals.standby_error(leader), refusals.not_leading_error("fenced", leader)):
        assert error.leader is None
    assert (
        "the embedded queue of process 7 on web-1 leads" in refusals.standby_error(leader).message
    )
    met = refusals.leader_met_error("it is led", leader)
    assert (met.leader, "http" in met.message, met.retryable) == (leader, False, False)
