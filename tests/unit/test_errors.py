"""Errors that say more than others, and what handlers raise."""

from __future__ import annotations

import osqueue
from osqueue.errors import (
    Discard,
    JobFailedError,
    OsqueueError,
    PayloadValidationError,
    ResultTimeoutError,
    Retry,
    error_class,
    error_tag,
    for_one,
)


def test_result_timeout_when_raised_then_it_is_a_timeout_of_python_too() -> None:
    error = ResultTimeoutError("not in time")
    assert isinstance(error, TimeoutError)
    assert isinstance(error, OsqueueError)
    assert (str(error), error.message, error.status) == ("not in time", "not in time", None)
    assert error_tag(error) == "ResultTimeoutError"
    assert str(for_one(error)) == "not in time"


def test_job_failed_when_it_comes_from_a_broker_that_cannot_say_it_then_it_is_empty() -> None:
    cls = error_class("JobFailedError")
    assert cls is JobFailedError
    error = cls("m", status=500, method="getJob")
    assert (error.job_id, error.job_status, error.traceback) == ("", "", None)


def test_payload_validation_when_a_schema_refused_then_each_field_is_named() -> None:
    assert PayloadValidationError("no").errors == ()
    error = PayloadValidationError("no", errors=(("$.to", "expected `str`"),))
    assert for_one(error).errors == (("$.to", "expected `str`"),)


def test_retry_and_discard_when_raised_then_they_are_plain_exceptions_with_a_reason() -> None:
    assert not isinstance(Retry(), OsqueueError)
    assert (Retry().after, str(Retry()), str(Retry(5, "busy"))) == (
        None,
        "to be tried again",
        "busy",
    )
    assert Retry(after=2.5).after == 2.5
    assert (Discard("never").reason, str(Discard("never"))) == ("never", "never")


def test_names_when_imported_from_the_package_then_they_are_there() -> None:
    for name in ("Discard", "JobFailedError", "ResultTimeoutError", "Retry"):
        assert getattr(osqueue, name).__name__ == name
