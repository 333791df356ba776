from __future__ import annotations

import pytest
from msgspec import UNSET, Raw, UnsetType

from osqueue.model.codec import encode_job
from osqueue.model.job import END_STATUSES, Job, JobStatus, payload_of


@pytest.mark.parametrize(
    ("max_attempts", "allowed"), [(None, 3), (0, 1), (1, 1), (2, 2), (-1, 1), (10, 10)]
)
def test_attempts_allowed_when_asked_for_then_at_least_one_and_three_by_default(
    max_attempts: int | None, allowed: int
) -> None:
    assert Job("a", "", 1, UNSET, max_attempts=max_attempts).attempts_allowed == allowed


@pytest.mark.parametrize(
    "payload", [UNSET, Raw(b"null"), Raw(b'{"a": [1,\n2]}'), Raw(b'"\xc3\xa9"')]
)
def test_payload_of_when_encoded_or_not_then_the_same_bytes(payload: Raw | UnsetType) -> None:
    job = Job("a", "t", 1, payload)
    assert payload_of(job) == payload
    encode_job(job)
    assert payload_of(job) == payload


def test_job_when_encoded_then_its_payload_is_kept_once() -> None:
    job = Job("a", "", 1, Raw(b'"' + b"x" * 50 + b'"'))
    encode_job(job)
    assert job.payload is None


def test_end_statuses_when_listed_then_the_four_of_an_ended_job() -> None:
    live = {JobStatus.UNCLAIMED, JobStatus.IN_PROGRESS, JobStatus.DEAD}
    assert set(JobStatus) - live == END_STATUSES
    assert {status.value for status in END_STATUSES} == {
        "completed",
        "cancelled",
        "expired",
        "discarded",
    }
