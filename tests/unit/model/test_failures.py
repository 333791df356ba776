"""What is kept of failures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from osqueue.config import ERRORS_BYTES_MAX, ERRORS_KEPT_MAX
from osqueue.model.failures import earlier_of, noted, with_one_more

from .driver import START, Driver, job_json, state_json
from .driver import noted as of_the_driver


def error(**fields: object) -> Raw:
    return Raw(json.dumps({"type": "E", "message": "m", **fields}).encode())


def decoded(earlier: bytes) -> list[Any]:
    return [json.loads(bytes(text)) for text in earlier_of(earlier)]


def test_noted_when_the_worker_is_known_then_it_says_when_and_whose() -> None:
    told = json.loads(bytes(noted(error(), at=5, attempt=2, worker_id='w"1')))
    assert told == {"type": "E", "message": "m", "at": 5, "attempt": 2, "workerId": 'w"1'}


def test_noted_when_an_older_claim_named_no_worker_then_none() -> None:
    assert "workerId" not in json.loads(bytes(noted(error(), at=5, attempt=2, worker_id=None)))


def test_earlier_when_there_are_more_than_are_kept_then_the_oldest_goes() -> None:
    earlier = b""
    for number in range(9):
        earlier = with_one_more(earlier, error(message=str(number)))
    assert [each["message"] for each in decoded(earlier)] == ["5", "6", "7", "8"]
    assert len(decoded(earlier)) == ERRORS_KEPT_MAX - 1


def test_earlier_when_long_then_its_telling_ends_are_kept_and_all_have_room() -> None:
    earlier = b""
    for _ in range(9):
        long = error(message="head" + "m" * 8_000, traceback="t" * 8_000 + "tail", attempt=3)
        earlier = with_one_more(earlier, long)
    kept = decoded(earlier)
    assert len(kept) == ERRORS_KEPT_MAX - 1
    assert len(earlier) <= ERRORS_BYTES_MAX
    for each in kept:
        assert each["message"].startswith("head")
        assert each["traceback"].endswith("tail")
        assert each["attempt"] == 3


def test_earlier_when_every_character_is_escaped_then_the_bytes_stay_bounded() -> None:
    earlier = b""
    for _ in range(9):
        earlier = with_one_more(earlier, error(message="\x01" * 8_000, traceback="\x01" * 8_000))
    assert 0 < len(earlier) <= ERRORS_BYTES_MAX + ERRORS_KEPT_MAX


@pytest.mark.parametrize("odd", [b'"' + b"x" * 5_000 + b'"', b"[" + b"1," * 3_000 + b"1]", b"7"])
def test_earlier_when_an_older_implementation_wrote_something_odd_then_it_does_no_harm(
    odd: bytes,
) -> None:
    queue = Driver(state_json(job_json(lastError=json.loads(odd))))
    queue.claim()
    queue.fail("a")
    assert len(queue.view("a").earlier) <= ERRORS_BYTES_MAX
    queue.reload()
    assert queue.view("a").last_error == of_the_driver()


def test_failures_when_it_fails_again_then_the_last_and_those_before_stand_apart() -> None:
    queue = Driver()
    queue.submit("a")
    for _ in range(2):
        queue.claim(worker="w")
        queue.fail("a")
        queue.passes(10)
    view = queue.view("a")
    assert view.last_error == of_the_driver(2, START.wall + 10)
    assert earlier_of(view.earlier) == [of_the_driver()]
    assert queue.job("a")["earlierErrors"] == decoded(bytes(of_the_driver()))
    before = queue.state.size
    queue.reload()
    assert queue.state.size == before
    assert queue.view("a") == view


def test_failures_when_the_lease_expires_then_they_say_whose_it_was() -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim(worker="gone")
    queue.passes(queue.limits.lease_timeout_ms)
    queue.expire()
    told = queue.job("a")["lastError"]
    assert (told["type"], told["attempt"], told["workerId"]) == ("LeaseExpired", 1, "gone")


def test_failures_when_the_job_has_ended_then_they_go_along() -> None:
    queue = Driver()
    queue.submit("a", max_attempts=3)
    for _ in range(2):
        queue.claim()
        queue.fail("a")
    (grant,) = queue.claim()
    queue.complete("a", grant.lease)
    queue.reload()
    view = queue.view("a")
    assert (view.status, view.last_error) == ("completed", of_the_driver(2))
    assert earlier_of(view.earlier) == [of_the_driver()]
