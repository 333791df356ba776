from __future__ import annotations

import pytest

from osqueue.client.retries import (
    Repeat,
    backoff_ms,
    may_repeat,
    repeat_rule,
    request_again,
    wait_ms,
)
from osqueue.config import ClientSettings
from osqueue.errors import (
    BrokerProtocolError,
    CommitUnknownError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
    TransportConnectionError,
)
from osqueue.wire.messages import ClaimRequest, SubmitRequest
from osqueue.wire.operations import (
    ADD_CREDIT,
    CANCEL,
    CLAIM,
    COMPLETE,
    FAIL,
    GET_STATS,
    HEARTBEAT_BATCH,
    OPERATIONS,
    PAUSE,
    RESUME,
    RETRY,
    SET_PRIORITY,
    STREAMS,
    SUBMIT,
    Operation,
)


def _not_received() -> OsqueueError:
    error = TransportConnectionError("refused")
    error.applied = "no"
    return error


@pytest.mark.parametrize("operation", [*OPERATIONS, *STREAMS], ids=lambda each: each.name)
def test_repeat_rule_of_every_operation_is_stated(operation: Operation) -> None:
    assert repeat_rule(operation) in Repeat


@pytest.mark.parametrize("operation", [SUBMIT, CLAIM, COMPLETE, FAIL, CANCEL, GET_STATS])
@pytest.mark.parametrize(
    "error",
    [TransportConnectionError("broke"), CommitUnknownError("?"), OverloadedError("full")],
    ids=repr,
)
def test_may_repeat_with_ids_after_a_passing_error_is_true(
    operation: Operation, error: OsqueueError
) -> None:
    assert may_repeat(operation, error)


@pytest.mark.parametrize("error", [BrokerProtocolError("bad"), LeaseLostError("gone")], ids=repr)
def test_may_repeat_after_a_lasting_error_is_false(error: OsqueueError) -> None:
    assert not may_repeat(SUBMIT, error)


@pytest.mark.parametrize(
    ("error", "allowed"),
    [
        (_not_received(), True),
        (OverloadedError("full"), True),
        (TransportConnectionError("broke"), False),
        (CommitUnknownError("?"), False),
    ],
    ids=repr,
)
def test_may_repeat_without_ids_only_when_nothing_was_applied(
    error: OsqueueError, *, allowed: bool
) -> None:
    assert may_repeat(RETRY, error) is allowed


@pytest.mark.parametrize(
    "operation", [ADD_CREDIT, PAUSE, RESUME, SET_PRIORITY], ids=lambda each: each.name
)
def test_may_repeat_what_says_how_it_is_to_be_is_true(operation: Operation) -> None:
    assert may_repeat(operation, CommitUnknownError("?"))


def test_may_repeat_a_list_of_leases_is_false() -> None:
    assert not may_repeat(HEARTBEAT_BATCH, _not_received())


def test_backoff_doubles_from_the_first_to_the_longest() -> None:
    settings = ClientSettings(backoff_first_ms=50, backoff_max_ms=300)

    pauses = [backoff_ms(settings, failures=failures, jitter=1.0) for failures in range(1, 6)]

    assert pauses == [50, 100, 200, 300, 300]


@pytest.mark.parametrize("failures", [1, 10, 10_000])
@pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
def test_backoff_is_spread_over_all_below_the_longest(failures: int, jitter: float) -> None:
    settings = ClientSettings(backoff_first_ms=50, backoff_max_ms=2_000)

    pause = backoff_ms(settings, failures=failures, jitter=jitter)

    assert pause == jitter * backoff_ms(settings, failures=failures, jitter=1.0)
    assert 0 <= pause < 2_000


def test_request_again_of_a_claim_keeps_its_ids_and_waits_less() -> None:
    claim = ClaimRequest(worker_id="w", types=["t"], max=5, wait_ms=1_000, claim_id="c")

    again = request_again(claim, gone_ms=400)

    assert again == ClaimRequest(worker_id="w", types=["t"], max=5, wait_ms=600, claim_id="c")


def test_request_again_of_a_claim_whose_wait_is_over_does_not_wait() -> None:
    claim = ClaimRequest(worker_id="w", wait_ms=1_000, claim_id="c")

    assert wait_ms(request_again(claim, gone_ms=1_001)) == 0


def test_request_again_of_anything_else_is_the_same_request() -> None:
    request = SubmitRequest(job_id="a")

    assert request_again(request, gone_ms=400) is request
