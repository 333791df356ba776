"""Sealing and dropping batches of ended jobs, and dead letters that leave with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from osqueue.model.ops import Drop, Retry, Seal
from osqueue.model.outcomes import (
    ArchiveBehind,
    Done,
    Leaving,
    NotFound,
    Outcome,
    Sealed,
    StateFull,
    Submitted,
)

from .driver import Driver

MIB = 1024 * 1024


def ended(*job_ids: str, **limits: Any) -> Driver:
    queue = Driver(archived=True, **limits)
    for job_id in job_ids:
        queue.submit(job_id)
        queue.cancel(job_id)
    return queue


def seal(queue: Driver, token: str = "t", *, jobs: int = 10, size: int = MIB) -> Outcome:
    return queue.do(Seal(token, jobs, size))


def sealed(queue: Driver, token: str = "t", *, jobs: int = 10, size: int = MIB) -> Sealed:
    outcome = seal(queue, token, jobs=jobs, size=size)
    assert isinstance(outcome, Sealed)
    return outcome


def ids(batch: Sealed) -> list[str]:
    return [json.loads(line)["id"] for line in batch.data.splitlines()]


def dead(queue: Driver, *job_ids: str, **fields: Any) -> None:
    for job_id in job_ids:
        queue.submit(job_id, max_attempts=1, **fields)
        queue.claim()
        queue.fail(job_id)
        queue.passes(1)


# Batches


def test_seal_when_nothing_has_ended_then_nothing_changes() -> None:
    queue = ended()
    revision = queue.state.revision
    assert seal(queue) == Done()
    assert queue.state.revision == revision


def test_seal_when_jobs_have_ended_then_the_oldest_are_fixed_in_order() -> None:
    queue = ended("a", "b", "c")
    revision = queue.state.revision
    batch = sealed(queue, jobs=2)
    assert (ids(batch), batch.jobs) == (["a", "b"], 2)
    assert batch.data.endswith(b"}\n")
    assert queue.json["outbox"] == {"key": batch.key, "ids": ["a", "b"]}
    assert queue.state.revision == revision + 1


def test_seal_when_the_bytes_are_bounded_then_at_least_one_job_is_in_it() -> None:
    queue = ended("a", "b", "c")
    assert ids(sealed(queue, size=1)) == ["a"]


def test_seal_when_a_batch_is_open_then_it_is_that_one_byte_for_byte() -> None:
    queue = ended("a", "b")
    first = sealed(queue, "one", jobs=1)
    revision = queue.state.revision
    queue.submit("c")
    queue.cancel("c")
    assert sealed(queue, "two") == first
    assert queue.state.revision == revision + 2  # the new job's, not the seal's
    queue.reload()
    assert sealed(queue, "three") == first


def test_seal_when_a_payload_has_line_breaks_then_its_entry_is_one_line_all_the_same() -> None:
    queue = Driver(archived=True, dead_max=0)
    payload = Raw(b'[\n{"id":"forged","text":"a\\nb"},\r\n1]')
    dead(queue, "a", payload=payload)
    batch = sealed(queue)
    assert batch.data.count(b"\n") == 1
    assert b"\r" not in batch.data
    assert json.loads(batch.data)["payload"] == [{"id": "forged", "text": "a\nb"}, 1]
    queue.do(Drop(batch.key))
    assert queue.do(Retry("a", batch.data.rstrip(b"\n"))) == Done()
    assert [grant.id for grant in queue.claim()] == ["a"]


@pytest.mark.parametrize("indent", [None, 2])
def test_seal_when_the_state_was_formatted_by_hand_then_the_entries_begin_as_ever(
    indent: int | None,
) -> None:
    queue = Driver(archived=True, dead_max=0)
    dead(queue, "a", payload=Raw(b"1"))
    queue.submit("b")
    queue.cancel("b")
    formatted = Driver(json.dumps(queue.json, indent=indent).encode(), archived=True)
    formatted.now = queue.now
    lines = sealed(formatted).data.splitlines()
    assert [line[:10] for line in lines] == [b'{"id":"a",', b'{"id":"b",']
    assert list(map(json.loads, lines)) == list(map(json.loads, sealed(queue).data.splitlines()))


def test_drop_when_the_batch_is_archived_then_exactly_its_jobs_lose_their_details() -> None:
    queue = ended("a", "b", "c")
    batch = sealed(queue, jobs=2)
    assert queue.do(Drop(batch.key)) == Done()
    assert "outbox" not in queue.json
    assert [job["id"] for job in queue.json["finished"]] == ["c"]
    assert [job_id for job_id, *_ in queue.json["recent"]] == ["a", "b"]
    assert queue.view("a").created_at is None
    assert queue.view("c").created_at is not None


def test_drop_when_repeated_or_of_another_batch_then_nothing_changes() -> None:
    queue = ended("a", "b")
    batch = sealed(queue, "one", jobs=1)
    before = queue.encoded
    assert queue.do(Drop("archive/other")) == Done()
    assert queue.encoded == before
    queue.do(Drop(batch.key))
    second = sealed(queue, "two")
    revision = queue.state.revision
    queue.do(Drop(batch.key))
    assert queue.state.revision == revision
    assert (ids(second), second.key != batch.key) == (["b"], True)


def test_seal_when_its_jobs_were_removed_by_hand_then_the_rest_is_in_it() -> None:
    queue = ended("a", "b")
    key = sealed(queue).key
    whole = queue.json
    whole["finished"] = whole["finished"][1:]
    queue.open(json.dumps(whole).encode())
    assert ids(sealed(queue)) == ["b"]
    queue.do(Drop(key))
    assert queue.json["finished"] == []


def test_finished_when_an_archive_is_used_then_more_than_the_bound_are_kept() -> None:
    queue = ended("a", "b", "c", finished_max=1)
    assert len(queue.json["finished"]) == 3


def test_finished_when_the_archive_is_given_up_then_an_open_batch_stays_until_dropped() -> None:
    queue = ended("a", "b", "c")
    key = sealed(queue, jobs=2).key
    other = Driver(queue.encoded, finished_max=0)
    other.submit("d")
    other.cancel("d")
    assert ids(sealed(other)) == ["a", "b"]
    other.do(Drop(key))
    assert other.json["finished"] == []


def test_submit_when_too_much_waits_for_the_archive_then_refused_and_claims_go_on() -> None:
    queue = ended("a", finished_bytes_max=300)
    queue.submit("b", "c", "d")
    queue.cancel("b")
    before = queue.encoded
    assert queue.submit("e") == ArchiveBehind(300)
    assert queue.encoded == before
    assert queue.submit("a", "c") == Submitted(0)
    assert queue.claim_ids() == ["c"]
    queue.complete("c")
    queue.do(Drop(sealed(queue).key))
    assert queue.submit("e") == Submitted(1)


# Dead letters that leave


def test_bury_when_there_are_too_many_dead_letters_then_the_oldest_leave_with_payload() -> None:
    queue = Driver(archived=True, dead_max=2)
    dead(queue, "a", "b", "c", payload=Raw(b'{"n":1}'))
    assert [job["id"] for job in queue.json["jobs"]] == ["b", "c"]
    (left,) = queue.json["finished"]
    assert (left["id"], left["status"], left["payload"]) == ("a", "dead", {"n": 1})
    assert left["lastError"]["type"] == "ValueError"
    assert (queue.counts().dead, queue.counts().dead_total) == (2, 3)
    view = queue.view("a")
    assert (view.status, view.payload) == ("dead", Raw(b'{"n":1}'))
    assert ids(sealed(queue)) == ["a"]


def test_bury_when_nothing_archives_then_all_dead_letters_stay() -> None:
    queue = Driver(dead_max=1)
    dead(queue, "a", "b", "c")
    assert queue.counts().dead == 3


def test_bury_when_the_bound_was_lowered_then_they_leave_a_few_at_a_time() -> None:
    queue = Driver(archived=True)
    dead(queue, "a", "b", "c", "d", "e")
    lower = Driver(queue.encoded, archived=True, dead_max=1)
    lower.seed = 100
    dead(lower, "f")
    assert lower.counts().dead == 4
    dead(lower, "g")
    assert [job["id"] for job in lower.json["finished"]] == ["a", "b", "c", "d"]


def test_dead_letters_when_some_are_retried_or_discarded_then_the_longest_dead_leave() -> None:
    queue = Driver(archived=True, dead_max=3)
    dead(queue, "a", "b", "c")
    queue.retry("a")
    queue.cancel("b")
    assert queue.claim_ids() == ["a"]
    queue.fail("a", retry=False)
    dead(queue, "d", "e")
    assert [job["id"] for job in queue.json["finished"]] == ["b", "c"]


@pytest.mark.parametrize("reload", [False, True])
def test_retry_when_the_dead_letter_has_left_but_is_not_sealed_then_it_lives_again(
    reload: bool,
) -> None:
    queue = Driver(archived=True, dead_max=0)
    dead(queue, "a", payload=Raw(b"[1]"), type="t", priority=3)
    if reload:
        queue.reload()
    assert queue.retry("a") == Done()
    assert queue.json["finished"] == []
    (grant,) = queue.claim()
    assert (grant.id, grant.payload, grant.type, grant.attempt) == ("a", Raw(b"[1]"), "t", 1)
    assert (grant.priority, grant.max_attempts) == (3, 1)
    assert queue.complete("a", grant.lease) == Done()


def test_retry_when_the_dead_letter_is_sealed_then_later() -> None:
    queue = Driver(archived=True, dead_max=0)
    dead(queue, "a")
    sealed(queue)
    before = queue.encoded
    assert queue.retry("a") == Leaving("a")
    assert queue.encoded == before


def archived(queue: Driver) -> bytes:
    batch = sealed(queue)
    queue.do(Drop(batch.key))
    return batch.data.rstrip(b"\n")


@pytest.mark.parametrize("remembered", [False, True])
def test_retry_when_the_dead_letter_is_in_the_archive_then_its_entry_brings_it_back(
    remembered: bool,
) -> None:
    queue = Driver(archived=True, dead_max=0)
    dead(queue, "a", payload=Raw(b"[1]"))
    line = archived(queue)
    if not remembered:
        queue.passes(100_000)
        queue.forget()
    assert queue.retry("a") == NotFound("a", "dead" if remembered else None)
    assert queue.do(Retry("a", line)) == Done()
    assert queue.do(Retry("a", line)) == Done()
    assert [grant.payload for grant in queue.claim(most=5)] == [Raw(b"[1]")]
    queue.complete("a")
    assert queue.do(Retry("a", line)) == NotFound("a", "completed")
    queue.reload()
    assert queue.view("a").status == "completed"


def test_retry_when_the_queue_is_full_then_a_dead_letter_stays_where_it_is() -> None:
    queue = Driver(archived=True, dead_max=0, state_bytes_max=680)
    dead(queue, "a", "b")
    line, other = sealed(queue).data.splitlines()
    queue.do(Drop(sealed(queue).key))
    queue.submit("c", payload=Raw(b"1"))
    assert queue.do(Retry("a", line)) == Done()
    before = queue.encoded
    assert queue.do(Retry("b", other)) == StateFull(680)
    assert queue.encoded == before
    queue.cancel("c")
    assert queue.do(Retry("b", other)) == Done()


def test_dead_letters_when_the_archive_is_given_up_then_none_is_lost() -> None:
    queue = Driver(archived=True, dead_max=0)
    dead(queue, "a", "b", payload=Raw(b"[1]"), type="t")
    key = sealed(queue, jobs=1).key
    other = Driver(queue.encoded, finished_max=0)
    assert (other.counts().dead, other.job("b")["payload"]) == (1, [1])
    assert ids(sealed(other)) == ["a"]
    other.do(Drop(key))
    assert other.json["finished"] == []
    other.reload()
    assert other.retry("b") == Done()
    (grant,) = other.claim()
    assert (grant.id, grant.payload, grant.type) == ("b", Raw(b"[1]"), "t")
    assert other.complete("b", grant.lease) == Done()


def test_retry_when_the_entry_is_of_another_job_or_not_dead_then_not_found() -> None:
    queue = Driver(archived=True, dead_max=0)
    dead(queue, "a")
    line = archived(queue)
    assert queue.do(Retry("b", line)) == NotFound("b")
    queue.submit("c")
    queue.cancel("c")
    other = archived(queue)
    queue.passes(100_000)
    queue.forget()
    assert queue.do(Retry("c", other)) == NotFound("c")


def test_submit_when_a_dead_letter_of_that_id_has_left_then_it_is_known() -> None:
    queue = Driver(archived=True, dead_max=0)
    dead(queue, "a", payload=Raw(b"1"))
    assert queue.submit("a", payload=Raw(b"1")) == Submitted(0)
    archived(queue)
    assert queue.submit("a", payload=Raw(b"1")) == Submitted(0)
