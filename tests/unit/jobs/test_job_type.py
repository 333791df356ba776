"""What is said of a job type, checked when it is said."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.jobs.payloads import SendEmail

from osqueue.errors import ConfigError
from osqueue.jobs import Jobs, JobType
from osqueue.jobs.job_type import TypeOptions, check_options


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_attempts": 0}, "max_attempts must be a whole number from 1 on, not 0"),
        ({"max_attempts": 2.5}, "max_attempts must be a whole number"),
        ({"max_attempts": True}, "max_attempts must be a whole number"),
        ({"max_attempts": 2**31}, "max_attempts must be a whole number"),
        ({"concurrency": 0}, "concurrency must be a whole number"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0, not 0"),
        ({"timeout": -1}, "timeout must be a number of seconds"),
        ({"timeout": math.nan}, "timeout must be a number of seconds"),
        ({"timeout": math.inf}, "timeout must be a number of seconds"),
        ({"timeout": "30"}, "timeout must be a number of seconds"),
        ({"retry": 5}, "retry must be a Backoff"),
        ({"executor": "fork"}, "executor must be one of 'auto', 'thread', 'process', not 'fork'"),
    ],
)
def test_job_type_when_an_option_makes_no_sense_then_config_error(
    wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        JobType(SendEmail, **wrong)


@pytest.mark.parametrize(("timeout", "ms"), [(None, None), (30, 30_000), (0.0001, 1)])
def test_timeout_when_given_in_seconds_then_it_travels_in_milliseconds(
    timeout: float | None, ms: int | None
) -> None:
    assert JobType(SendEmail, timeout=timeout).timeout_ms == ms


def test_options_when_one_is_misspelt_then_config_error_tells_the_right_one() -> None:
    with pytest.raises(ConfigError, match="no option 'max_attemps'; did you mean 'max_attempts'"):
        check_options({"max_attemps": 3})
    with pytest.raises(ConfigError, match="no option 'colour'; those are max_attempts, timeout"):
        check_options({"colour": "red"})


def test_options_when_compared_with_the_fields_then_all_are_there() -> None:
    check_options(dict.fromkeys(TypeOptions.__annotations__))
    assert set(TypeOptions.__annotations__) < set(JobType.__struct_fields__)


def test_job_type_when_its_payload_is_a_handler_then_config_error_says_where_that_goes() -> None:
    @Jobs().job("email:send")
    def send_email(_email: SendEmail) -> None: ...

    for wrong in (send_email, send_email.__wrapped__):
        with pytest.raises(ConfigError, match=r"JobType\(SendEmail, handler="):
            JobType(wrong)
