"""One table from errors to statuses, and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from osqueue import errors
from osqueue.errors import BrokerLeadershipError, OsqueueError, TransportRequestError, error_tag
from osqueue.wire.errors import HTTP_STATUS, error_body, error_from_body, http_status
from osqueue.wire.messages import ErrorBody

STATUSES = {
    "BrokerProtocolError": 400,
    "AuthError": 403,
    "JobNotFoundError": 404,
    "JobIdConflictError": 409,
    "LeaseLostError": 409,
    "PayloadValidationError": 422,
    "OverloadedError": 429,
    "BrokerLeadershipError": 503,
    "CommitUnknownError": 503,
    "EngineStateError": 503,
    "StorageBackendError": 503,
}
CLASSES = [
    cls
    for name in errors.__all__
    if isinstance(cls := getattr(errors, name), type) and issubclass(cls, OsqueueError)
]


@pytest.mark.parametrize(("tag", "status"), STATUSES.items())
def test_status_when_of_each_tag_then_that_of_the_wire(tag: str, status: int) -> None:
    cls = errors.error_class(tag)
    assert cls is not None
    assert http_status(cls("m")) == status


def test_status_when_it_is_our_own_fault_then_500() -> None:
    assert http_status(OsqueueError("m")) == 500


def test_status_when_the_error_brings_its_own_then_that() -> None:
    assert http_status(errors.BrokerProtocolError("m", status=413)) == 413


def test_table_when_read_then_every_tag_is_one_of_ours() -> None:
    assert all(errors.error_class(tag) is not None for tag in HTTP_STATUS)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_error_when_sent_and_read_then_class_and_words_are_kept(cls: type[OsqueueError]) -> None:
    error = cls("what happened")
    data = msgspec.json.encode(error_body(error))
    body = msgspec.json.decode(data, type=ErrorBody)
    back = error_from_body(body, status=http_status(error), method="submitJob")
    assert error_tag(back) == ("TransportRequestError" if cls is OsqueueError else error_tag(error))
    assert (back.message, back.method, back.remote) == ("what happened", "submitJob", True)
    assert back.applied == error.applied


def test_body_when_little_is_known_then_tag_and_message_alone() -> None:
    body = msgspec.json.encode(error_body(errors.JobNotFoundError("gone")))
    assert body == b'{"_tag":"JobNotFoundError","message":"gone"}'


def test_leader_when_known_then_it_travels() -> None:
    body = error_body(BrokerLeadershipError("not me", leader="h:1"))
    assert msgspec.json.decode(msgspec.json.encode(body)) == {
        "_tag": "BrokerLeadershipError", "message": "not me", "applied": "no", "leader": "h:1",
    }  # fmt: skip
    assert error_from_body(body, status=503, method="m").leader == "h:1"


@pytest.mark.parametrize("tag", ["SomethingNew", "", "OsqueueError", "TransportRequestError"])
def test_tag_when_it_is_none_of_ours_then_it_is_kept_beside(tag: str) -> None:
    error = error_from_body(ErrorBody(tag=tag, message="m"), status=418, method="m")
    assert isinstance(error, TransportRequestError)
    assert (error.remote_tag, error.status) == (tag, 418)


@pytest.mark.parametrize(
    ("said", "known"), [("no", "no"), ("unknown", "unknown"), ("maybe", None), (None, None)]
)
def test_applied_when_said_then_only_what_it_can_be(said: Any, known: Any) -> None:
    body = ErrorBody(tag="BrokerProtocolError", message="m", applied=said)
    assert error_from_body(body, status=503, method="m").applied == known
