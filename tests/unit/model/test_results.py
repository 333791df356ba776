"""What completed jobs bring: kept with them, and counted."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET, Raw

from osqueue.model.ops import Complete, Drop, LeaseRef, Seal
from osqueue.model.outcomes import ArchiveBehind, Done, LeaseLost, Results, Sealed, Submitted
from osqueue.model.snapshot import decode_state

from .driver import Driver


def completed(queue: Driver, job_id: str, result: bytes | None) -> str:
    queue.submit(job_id)
    (grant,) = queue.claim()
    assert queue.complete(job_id, grant.lease, result=result) == Done()
    return grant.lease


@pytest.mark.parametrize("result", [b"null", b'{"a":[1, 2]}', b'"x"', b"1e5"])
def test_result_when_completed_then_kept_byte_for_byte_and_read_again(result: bytes) -> None:
    queue = Driver()
    completed(queue, "a", result)
    assert queue.view("a").result == Raw(result)
    queue.reload()
    assert queue.view("a").result == Raw(result)
    assert queue.json["finished"][0]["result"] == json.loads(result)


def test_result_when_there_is_none_then_nothing_is_written() -> None:
    queue = Driver()
    completed(queue, "a", None)
    assert queue.view("a").result is UNSET
    assert "result" not in queue.json["finished"][0]


def test_complete_when_repeated_with_another_result_then_the_first_stays() -> None:
    queue = Driver()
    lease = completed(queue, "a", b"1")
    assert queue.complete("a", lease, result=b"2") == Done()
    assert queue.complete("a", lease) == Done()
    assert queue.view("a").result == Raw(b"1")


def test_complete_when_the_lease_is_stale_then_its_result_is_not_taken() -> None:
    queue = Driver()
    queue.submit("a")
    (old,) = queue.claim()
    queue.release("a", old.lease)
    (new,) = queue.claim()
    assert queue.complete("a", old.lease, result=b"1") == LeaseLost("a")
    assert queue.complete("a", new.lease, result=b"2") == Done()
    assert queue.view("a").result == Raw(b"2")


def test_complete_when_some_of_a_batch_bring_results_then_each_has_its_own() -> None:
    queue = Driver()
    queue.submit("a", "b", "c")
    leases = {grant.id: grant.lease for grant in queue.claim(most=3)}
    refs = tuple(LeaseRef(job_id, lease) for job_id, lease in leases.items())
    assert queue.do(Complete("w", refs, (Raw(b"1"), UNSET, Raw(b"3")))) == Results((Done(),) * 3)
    assert [queue.view(each).result for each in "abc"] == [Raw(b"1"), UNSET, Raw(b"3")]


def test_result_when_the_state_is_at_its_bound_then_it_is_taken_all_the_same() -> None:
    queue = Driver(state_bytes_max=300)
    completed(queue, "a", b'"' + b"x" * 60_000 + b'"')
    assert queue.state.size == 0
    assert queue.submit("b") == Submitted(1)


def test_results_when_they_wait_for_the_archive_then_they_count_towards_its_bound() -> None:
    queue = Driver(archived=True, finished_bytes_max=50_000)
    completed(queue, "a", b'"' + b"x" * 60_000 + b'"')
    assert queue.submit("b") == ArchiveBehind(50_000)
    sealed = queue.do(Seal("t", 10, 2**20))
    assert isinstance(sealed, Sealed)
    assert len(json.loads(sealed.data)["result"]) == 60_000
    queue.do(Drop(sealed.key))
    assert queue.submit("b") == Submitted(1)


def test_results_when_the_archive_cannot_be_written_then_they_wait_at_the_states_bound() -> None:
    queue = Driver(archived=True, state_bytes_max=100_000)
    queue.submit("a", "b", "c", "d")
    refs = [LeaseRef(grant.id, grant.lease) for grant in queue.claim(most=4)]
    result = Raw(b'"' + b"x" * 60_000 + b'"')
    for ref in refs[:2]:
        assert queue.do(Complete("w", (ref,), (result,))) == Results((Done(),))

    assert queue.do(Complete("w", (refs[2],), (result,))) == ArchiveBehind(100_000)
    assert queue.view("c").status == "in_progress"
    assert queue.do(Complete("w", (refs[3],))) == Results((Done(),))

    sealed = queue.do(Seal("t", 10, 2**20))
    assert isinstance(sealed, Sealed)
    queue.do(Drop(sealed.key))
    assert queue.do(Complete("w", (refs[2],), (result,))) == Results((Done(),))


def test_results_when_nothing_archives_them_then_the_oldest_go_and_submits_go_on() -> None:
    queue = Driver(finished_bytes_max=100_000)
    for number in range(5):
        completed(queue, f"j{number}", b'"' + b"x" * 40_000 + b'"')
    assert [job["id"] for job in queue.json["finished"]] == ["j3", "j4"]
    assert queue.view("j0").created_at is None
    assert queue.state.ends.finished_bytes <= 100_000


def test_result_when_one_alone_is_beyond_the_bound_then_it_stays_until_the_next() -> None:
    queue = Driver(finished_bytes_max=1_000)
    completed(queue, "a", b'"' + b"x" * 5_000 + b'"')
    assert queue.view("a").result is not UNSET


def test_result_when_its_text_has_line_breaks_then_its_archive_entry_is_one_line() -> None:
    queue = Driver(archived=True)
    completed(queue, "a", b'{\n"a":\r\n1}')
    sealed = queue.do(Seal("t", 10, 2**20))
    assert isinstance(sealed, Sealed)
    assert sealed.data.count(b"\n") == 1
    assert json.loads(sealed.data)["result"] == {"a": 1}


def test_result_when_read_then_it_does_not_keep_the_whole_state_in_memory() -> None:
    queue = Driver()
    completed(queue, "a", b"1")
    data = queue.encoded
    state = decode_state(data, limits=queue.limits, now=queue.now)
    job = state.ends.finished_job("a")
    assert job is not None
    assert isinstance(job.result, Raw)
    assert memoryview(job.result).obj is not data
