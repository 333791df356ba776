"""The table from which routes, document and client are made."""

from __future__ import annotations

import msgspec
import pytest

from osqueue.config import RetryPolicy
from osqueue.wire.messages import SubmitRequest
from osqueue.wire.operations import OPERATIONS, JobQuery, ListQuery, Operation, PutQuery


def test_table_when_read_then_names_and_routes_are_each_one_of_a_kind() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.verb, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_operation_when_read_then_its_path_and_verb_fit_together(operation: Operation) -> None:
    assert operation.path.startswith("/v1/")
    assert operation.verb in {"GET", "POST", "PUT", "DELETE"}
    assert operation.on_one_job == ("{jobId}" in operation.path)
    assert operation.summary.endswith(".")
    if operation.verb == "GET":
        assert operation.answer is not None


def test_list_query_when_empty_then_the_first_thousand_of_all() -> None:
    assert ListQuery() == ListQuery(limit=1_000, cursor=None, status=None, type=None)


@pytest.mark.parametrize("status", ["unclaimed", "in_progress", "dead"])
def test_list_query_when_the_status_is_a_live_one_then_it_is_taken(status: str) -> None:
    assert msgspec.convert({"status": status}, ListQuery).status == status


@pytest.mark.parametrize("status", ["", "completed", "DEAD", "dead\n", "unclaimed,dead"])
def test_list_query_when_the_status_is_none_of_these_then_it_is_refused(status: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="status"):
        msgspec.convert({"status": status}, ListQuery)


def test_put_query_when_made_of_a_request_then_it_says_the_same() -> None:
    policy = RetryPolicy(base_ms=1, factor=3.0, max_ms=9, jitter=0.5)
    request = SubmitRequest(type="t", retry=policy, timeout_ms=7, keep_result=True)
    query = PutQuery.of(request)
    assert (query.retry, query.timeout_ms, query.keep_result) == (policy, 7, True)
    assert PutQuery.of(SubmitRequest()).retry is None
    assert msgspec.to_builtins(PutQuery.of(SubmitRequest())) == {}


def test_put_query_when_it_is_of_a_job_after_others_then_they_stand_in_one_text() -> None:
    query = PutQuery.of(SubmitRequest(after=["a", "b.c"]))
    assert (query.after, query.parents) == ("a,b.c", ["a", "b.c"])
    assert PutQuery.of(SubmitRequest()).parents == []


@pytest.mark.parametrize("after", ["", "a", "..a,~", ",".join(["x" * 128] * 100)])
def test_put_query_when_after_names_jobs_then_it_is_taken(after: str) -> None:
    assert msgspec.convert({"after": after}, PutQuery).after == after


@pytest.mark.parametrize(
    "after", ["a,,b", ",", "a,", "a/b", "a,..", ".", "x" * 129, ",".join(["x"] * 101), "a\n"]
)
def test_put_query_when_after_names_no_jobs_then_it_is_refused(after: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="after"):
        msgspec.convert({"after": after}, PutQuery)


def test_put_query_when_it_says_part_of_a_policy_then_the_rest_is_the_default() -> None:
    query = msgspec.convert(
        {"retryMaxMs": "9", "keepResult": "true", "timeoutMs": "5"}, PutQuery, strict=False
    )
    assert query.retry == RetryPolicy(max_ms=9)
    assert (query.keep_result, query.timeout_ms) == (True, 5)


@pytest.mark.parametrize("wait_ms", [-1, 60_001])
def test_job_query_when_the_wait_is_out_of_bounds_then_it_is_refused(wait_ms: int) -> None:
    with pytest.raises(msgspec.ValidationError, match="waitMs"):
        msgspec.convert({"waitMs": wait_ms}, JobQuery)
