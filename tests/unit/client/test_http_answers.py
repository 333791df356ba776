from __future__ import annotations

import pytest

from osqueue.client.transports import Position
from osqueue.client.transports.http_answers import HttpAnswer, parse_position, read_answer
from osqueue.errors import (
    BrokerLeadershipError,
    CommitUnknownError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire.messages import BatchAnswer, JobAnswer, SubmitAnswer
from osqueue.wire.operations import COMPLETE, COMPLETE_BATCH, GET_STATS, SUBMIT


def _error(status: int, body: bytes) -> OsqueueError:
    with pytest.raises(OsqueueError) as caught:
        read_answer(SUBMIT, HttpAnswer(status, body))
    return caught.value


def test_read_answer_of_a_success_gives_value_and_position() -> None:
    answer = read_answer(SUBMIT, HttpAnswer(200, b'{"jobId":"a","new":1}', "1795300007-1841"))

    assert answer.value == SubmitAnswer("a")
    assert answer.position == Position(1795300007, 1841)


def test_read_answer_of_a_batch_gives_each() -> None:
    body = b'{"results":[{"jobId":"a"}]}'

    assert read_answer(COMPLETE_BATCH, HttpAnswer(200, body)).value == BatchAnswer(
        [JobAnswer(job_id="a")]
    )


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b"{}")])
def test_read_answer_where_none_is_told_gives_none(status: int, body: bytes) -> None:
    assert read_answer(COMPLETE, HttpAnswer(status, body)).value is None


@pytest.mark.parametrize("body", [b"", b"<html>hello", b"[]", b'{"jobId":1}', b'{"jobId":"\xff"}'])
def test_read_answer_that_cannot_be_read_names_operation_and_body(body: bytes) -> None:
    with pytest.raises(TransportRequestError, match="submitJob: an answer") as caught:
        read_answer(SUBMIT, HttpAnswer(200, body))
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("header", "position"),
    [
        ("5-10", Position(5, 10)),
        (None, None),
        ("", None),
        ("5", None),
        ("5-", None),
        ("-5-1", None),
        ("5-1-abc", None),
        ("a-b", None),
    ],
)
def test_parse_position_of_anything_else_says_nothing(
    header: str | None, position: Position | None
) -> None:
    assert parse_position(header) == position


def test_positions_are_ordered_by_epoch_then_number() -> None:
    assert Position(5, 10) < Position(5, 11) < Position(6, 0)


def test_read_answer_of_an_error_is_the_class_that_the_broker_raised() -> None:
    error = _error(409, b'{"_tag":"LeaseLostError","message":"it is gone"}')

    assert isinstance(error, LeaseLostError)
    assert (error.message, error.status, error.method) == ("it is gone", 409, "submitJob")


def test_read_answer_of_an_error_keeps_what_is_known_of_its_effect() -> None:
    unknown = _error(503, b'{"_tag":"CommitUnknownError","message":"?","applied":"unknown"}')
    refused = _error(429, b'{"_tag":"OverloadedError","message":"full","applied":"no"}')

    assert isinstance(unknown, CommitUnknownError)
    assert unknown.applied == "unknown"
    assert isinstance(refused, OverloadedError)
    assert refused.applied == "no"


@pytest.mark.parametrize("status", [307, 503])
def test_read_answer_of_a_standby_names_the_leader(status: int) -> None:
    error = _error(status, b'{"_tag":"BrokerLeadershipError","message":"no","leader":"h:1"}')

    assert isinstance(error, BrokerLeadershipError)
    assert error.leader == "h:1"


@pytest.mark.parametrize("body", [b"no such page " * 100, b"{}", b"\xff\xfe", b'{"message":"x"}'])
def test_read_answer_of_a_foreign_error_shows_status_and_beginning(body: bytes) -> None:
    error = _error(404, body)

    assert isinstance(error, TransportRequestError)
    assert error.status == 404
    assert "HTTP 404" in error.message
    assert len(error.message) < 250


def test_read_answer_of_an_unknown_tag_keeps_it() -> None:
    error = _error(500, b'{"_tag":"NewKindError","message":"new"}')

    assert isinstance(error, TransportRequestError)
    assert error.remote_tag == "NewKindError"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_read_answer_of_a_gateway_is_a_broken_connection(status: int) -> None:
    assert isinstance(_error(status, b"<html>Bad Gateway"), TransportConnectionError)


def test_read_answer_of_a_redirect_without_a_body_is_an_error() -> None:
    with pytest.raises(TransportRequestError, match="HTTP 302"):
        read_answer(GET_STATS, HttpAnswer(302, b""))
