from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw

from osqueue.broker import answers
from osqueue.broker.refusals import refusal
from osqueue.errors import (
    BrokerProtocolError,
    JobIdConflictError,
    JobNotFoundError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
)
from osqueue.model.outcomes import (
    BadCursor,
    Claimed,
    Counts,
    Done,
    Grant,
    IdConflict,
    JobView,
    LeaseLost,
    NotFound,
    Outcome,
    Page,
    StateFull,
)

COUNTS = Counts(
    unclaimed=5, in_progress=2, dead=3, delayed=1, completed_total=9, dead_total=4, broker=None
)


def encoded(message: object) -> bytes:
    return msgspec.json.encode(message)


def test_claimed_when_it_has_all_then_the_older_keys_come_first() -> None:
    grant = Grant("j", "t", Raw(b"[1, 2]"), "lease", 2, 3, 1_000, -5)
    assert encoded(answers.claimed(grant)) == (
        b'{"jobId":"j","payload":[1, 2],"type":"t","lease":"lease","attempt":2,"maxAttempts":3,'
        b'"createdAt":1000,"priority":-5}'
    )


def test_claimed_when_it_has_neither_payload_nor_type_then_both_are_left_out() -> None:
    grant = Grant("j", "", UNSET, "l", 1, 3, 0, 0)
    assert set(msgspec.json.decode(encoded(answers.claimed(grant)))) == {
        "jobId", "lease", "attempt", "maxAttempts", "createdAt", "priority",
    }  # fmt: skip


def test_info_when_the_job_runs_then_the_keys_stand_in_their_order() -> None:
    view = JobView(
        id="j", status="in_progress", type="t", payload=Raw(b"null"), created_at=1, attempts=2,
        max_attempts=None, worker_id="w", heartbeat=7,
    )  # fmt: skip
    assert encoded(answers.job_info(view)) == (
        b'{"id":"j","status":"in_progress","payload":null,"type":"t","workerId":"w","createdAt":1,'
        b'"attempts":2,"maxAttempts":0,"heartbeat":7}'
    )


def test_info_when_only_the_end_is_known_then_nothing_is_made_up() -> None:
    view = JobView(id="j", status="completed", ended_at=5)
    assert encoded(answers.job_info(view)) == b'{"id":"j","status":"completed","endedAt":5}'


def test_info_when_it_waits_for_its_time_then_that_and_its_priority_are_shown() -> None:
    view = JobView(
        id="j", status="unclaimed", type="", created_at=1, attempts=0, priority=-1, run_at=9
    )
    shown = msgspec.json.decode(encoded(answers.job_info(view)))
    assert (shown["priority"], shown["runAt"], shown["heartbeat"]) == (-1, 9, 0)
    assert "type" not in shown
    assert "workerId" not in shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b'{"type":"E","message":"m"}', {"type": "E", "message": "m"}),
        (b'{"type":"E","message":"m","traceback":"t","theirs":1}',
         {"type": "E", "message": "m", "traceback": "t"}),
        (b'"a text of somebody else"', {"type": "Unknown", "message": '"a text of somebody else"'}),
        (b"{}", {"type": "Unknown", "message": "{}"}),
    ],
)  # fmt: skip
def test_info_when_an_error_is_kept_then_it_is_shown_whoever_wrote_it(
    raw: bytes, shown: dict[str, str]
) -> None:
    view = JobView(id="j", status="dead", created_at=1, attempts=1, last_error=Raw(raw))
    info = msgspec.json.decode(encoded(answers.job_info(view)))
    assert info["lastError"] == shown


def test_stats_when_encoded_then_the_older_five_come_first() -> None:
    assert encoded(answers.stats(COUNTS, "host:1")) == (
        b'{"total":7,"unclaimed":5,"inProgress":2,"completedTotal":9,"brokerAddress":"host:1",'
        b'"delayed":1,"dead":3,"deadTotal":4}'
    )


def test_stats_when_the_object_names_the_leader_then_that_address() -> None:
    counts = msgspec.structs.replace(COUNTS, broker="leader:2")
    assert answers.stats(counts, "host:1").broker_address == "leader:2"


def test_page_when_it_is_not_the_last_then_a_cursor_stands_behind_the_jobs() -> None:
    view = JobView(id="j", status="dead", created_at=1, attempts=1)
    shown = msgspec.json.decode(encoded(answers.page(Page(COUNTS, (view,), "1-0.7"), "host:1")))
    assert list(shown)[:5] == [
        "total",
        "unclaimed",
        "inProgress",
        "completedTotal",
        "brokerAddress",
    ]
    assert list(shown)[-2:] == ["jobs", "nextCursor"]
    assert [job["id"] for job in shown["jobs"]] == ["j"]


def test_page_when_it_is_the_last_then_there_is_no_cursor() -> None:
    shown = msgspec.json.decode(encoded(answers.page(Page(COUNTS, (), None), "host:1")))
    assert shown["jobs"] == []
    assert "nextCursor" not in shown


@pytest.mark.parametrize(
    ("outcome", "error", "said"),
    [
        (NotFound("j"), JobNotFoundError, "there is no job j"),
        (NotFound("j", "cancelled"), JobNotFoundError, "job j is over: cancelled"),
        (LeaseLost("j"), LeaseLostError, "job j"),
        (IdConflict("j"), JobIdConflictError, "job j"),
        (StateFull(1234), OverloadedError, "1234 bytes"),
        (BadCursor(), BrokerProtocolError, "`cursor`"),
    ],
)
def test_refusal_when_of_each_kind_then_its_error_says_what_about(
    outcome: Outcome, error: type[OsqueueError], said: str
) -> None:
    told = refusal(outcome)
    assert type(told) is error
    assert said in told.message


@pytest.mark.parametrize("outcome", [None, Done(), Claimed(()), COUNTS])
def test_refusal_when_it_is_none_then_our_own_bug(outcome: Any) -> None:
    with pytest.raises(AssertionError, match="no refusal"):
        refusal(outcome)


def test_job_answer_when_done_then_the_id_alone() -> None:
    assert encoded(answers.job_answer("j", Done())) == b'{"jobId":"j"}'


def test_job_answer_when_refused_then_the_typed_error_with_it() -> None:
    shown = msgspec.json.decode(encoded(answers.job_answer("j", LeaseLost("j"))))
    assert shown["jobId"] == "j"
    assert shown["error"]["_tag"] == "LeaseLostError"
    assert set(shown["error"]) == {"_tag", "message"}
