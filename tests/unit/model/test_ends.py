from __future__ import annotations

from typing import Any

from msgspec import UNSET

from osqueue.config import QueueLimits
from osqueue.model.codec import encode_finished, encode_recent
from osqueue.model.ends import End, EndMemory
from osqueue.model.job import Job, JobStatus


def memory(**limits: Any) -> EndMemory:
    return EndMemory(
        QueueLimits(**limits), encode_finished=encode_finished, encode_recent=encode_recent
    )


def ended(job_id: str, *, lease: str | None = None, at: int = 100) -> Job:
    return Job(job_id, "t", 1, UNSET, JobStatus.COMPLETED, lease=lease, ended_at=at)


def test_memory_when_a_job_is_added_then_it_is_found_by_id_and_lease() -> None:
    ends = memory()
    job = ended("a", lease="l")
    ends.add_job(job)
    assert "a" in ends
    assert ends.finished_job("a") is job
    assert ends.end_of_job("a") is None
    assert ends.how_job_ended("a") == ends.how_lease_ended("a", "l") == "completed"
    assert ends.how_lease_ended("a", "other") is ends.how_lease_ended("b", "l") is None


def test_memory_when_asked_for_the_unknown_then_nothing() -> None:
    ends = memory()
    assert "a" not in ends
    assert ends.how_job_ended("a") is ends.how_lease_ended("a", "l") is None
    assert ends.finished_job("a") is None
    assert ends.end_of_job("a") is None


def test_memory_when_finished_is_full_then_the_oldest_is_known_without_details() -> None:
    ends = memory(finished_max=2)
    for job_id in "abc":
        ends.add_job(ended(job_id, lease=f"l-{job_id}", at=5))
    assert [job.id for job in ends.finished] == ["b", "c"]
    assert ends.finished_job("a") is None
    assert ends.how_job_ended("a") == ends.how_lease_ended("a", "l-a") == "completed"
    end = ends.end_of_job("a")
    assert end is not None
    assert (end.id, end.how, end.at, end.lease) == ("a", "completed", 5, "l-a")


def test_memory_when_a_lease_ended_but_its_job_lives_then_the_job_has_no_end() -> None:
    ends = memory()
    ends.add_end(End("a", "failed", 5, "l1"))
    ends.add_end(End("a", "released", 6, "l2"))
    assert "a" not in ends
    assert ends.how_job_ended("a") is None
    assert (ends.how_lease_ended("a", "l1"), ends.how_lease_ended("a", "l2")) == (
        "failed",
        "released",
    )


def test_memory_when_a_job_ended_then_its_earlier_leases_are_still_known() -> None:
    ends = memory()
    ends.add_end(End("a", "failed", 5, "l1"))
    ends.add_job(ended("a", lease="l2"))
    assert ends.how_lease_ended("a", "l1") == "failed"
    assert ends.how_lease_ended("a", "l2") == "completed"


def test_trim_when_the_window_has_passed_then_older_ends_are_forgotten() -> None:
    ends = memory(dedupe_window_ms=100)
    ends.add_end(End("a", "completed", 5, "l1", since=10))
    ends.add_end(End("b", "completed", 5, since=11))
    ends.trim(110)
    assert "a" in ends
    ends.trim(111)
    assert "a" not in ends
    assert ends.how_lease_ended("a", "l1") is None
    assert "b" in ends


def test_trim_when_finished_is_old_then_it_stays() -> None:
    ends = memory(dedupe_window_ms=100)
    ends.add_job(ended("a", at=1))
    ends.trim(10**15)
    assert "a" in ends


def test_memory_when_more_ends_than_allowed_then_the_oldest_go_first() -> None:
    ends = memory(dedupe_max=2)
    for number in range(4):
        ends.add_end(End(f"j{number}", "completed", number, f"l{number}"))
    assert [end.id for end in ends.recent] == ["j2", "j3"]
    assert "j1" not in ends
    assert ends.how_lease_ended("j1", "l1") is None


def test_memory_when_an_id_ended_twice_then_forgetting_the_first_keeps_the_second() -> None:
    ends = memory(dedupe_max=2)
    ends.add_end(End("a", "cancelled", 1, "same"))
    ends.add_end(End("a", "completed", 2, "same"))
    ends.add_end(End("b", "completed", 3, "l"))
    assert ends.how_job_ended("a") == ends.how_lease_ended("a", "same") == "completed"
