"""Jobs whose payload is an object of its own."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET, Raw

from osqueue.config import QueueLimits
from osqueue.model.apply import apply
from osqueue.model.codec import decode_job, encode_job
from osqueue.model.invariants import check
from osqueue.model.job import LargePayload, Moment, checksum
from osqueue.model.ops import (
    Cancel,
    Claim,
    Complete,
    Expire,
    Fail,
    GetJob,
    GetPayloadKeys,
    Lead,
    LeaseRef,
    NewJob,
    Op,
    Release,
    Retry,
    Submit,
)
from osqueue.model.outcomes import (
    Claimed,
    Done,
    IdConflict,
    JobView,
    Outcome,
    PayloadKeys,
    PayloadOutdated,
    Submitted,
)
from osqueue.model.snapshot import decode_state, encode_state
from osqueue.model.state import QueueState, weight_of

NOW = Moment(1_800_000_000_000, 0)
EPOCH = 7
TEXT = Raw(b'"' + b"x" * 98 + b'"')
ERROR = Raw(b'{"type":"E","message":"m"}')


def large(
    name: str = "a", *, type_: str = "t", epoch: int = EPOCH, text: Raw = TEXT
) -> LargePayload:
    size = len(memoryview(text))
    return LargePayload(f"payloads/{epoch}/{name}", size, checksum(type_, text))


def new(job_id: str, name: str | None = None, *, epoch: int = EPOCH, type_: str = "t") -> NewJob:
    return NewJob(job_id, type_, large=large(name or job_id, type_=type_, epoch=epoch))


def sized(job_id: str, size: int) -> NewJob:
    return NewJob(job_id, "t", large=LargePayload(f"payloads/{EPOCH}/{job_id}", size, 1))


class Queue:
    def __init__(self, limits: QueueLimits | None = None) -> None:
        self.state = QueueState(limits or QueueLimits())
        self.do(Lead(EPOCH, "me:1", "me", 3_000))

    def do(self, op: Op, *, serving: int = 0) -> Outcome:
        outcome = apply(self.state, op, Moment(NOW.wall, serving))
        check(self.state)
        return outcome

    def claim(self, *, most: int = 1, seed: str = "s", claim_id: str | None = None) -> list[str]:
        outcome = self.do(Claim("w", seed, None, most, claim_id))
        assert isinstance(outcome, Claimed)
        return [grant.id for grant in outcome.grants]

    @property
    def keys(self) -> set[str]:
        outcome = self.do(GetPayloadKeys())
        assert isinstance(outcome, PayloadKeys)
        return set(outcome.keys)


def key(name: str) -> str:
    return f"payloads/{EPOCH}/{name}"


def test_large_job_when_submitted_then_its_key_is_known_and_the_payload_weighs_nothing() -> None:
    queue = Queue()
    assert queue.do(Submit((new("a"),))) == Submitted(1)
    assert queue.keys == {key("a")}
    job = queue.state.jobs["a"]
    assert weight_of(job) == queue.state.size < 256 + 100
    found = queue.do(GetJob("a"))
    assert isinstance(found, JobView)
    assert (found.payload, found.large) == (UNSET, large("a"))


def test_large_job_when_claimed_then_the_grant_names_the_object() -> None:
    queue = Queue()
    queue.do(Submit((new("a"),)))
    outcome = queue.do(Claim("w", "s"))
    assert isinstance(outcome, Claimed)
    assert (outcome.grants[0].large, outcome.grants[0].payload) == (large("a"), UNSET)


@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH + 1, 70, 0])
def test_submit_when_the_object_is_of_another_epoch_then_refused_whole(epoch: int) -> None:
    queue = Queue()
    before = encode_state(queue.state)
    refused = queue.do(Submit((new("a"), NewJob("c"), new("b", epoch=epoch))))
    assert refused == PayloadOutdated(f"payloads/{epoch}/b")
    assert encode_state(queue.state) == before


def test_submit_when_the_key_lies_elsewhere_then_refused() -> None:
    job = NewJob("a", large=LargePayload("queue.json", 1, 1))
    assert Queue().do(Submit((job,))) == PayloadOutdated("queue.json")


def test_submit_when_nobody_leads_then_refused() -> None:
    outcome = apply(QueueState(QueueLimits()), Submit((new("a"),)), NOW)
    assert isinstance(outcome, PayloadOutdated)


def test_submit_when_repeated_with_another_object_then_that_is_unused() -> None:
    queue = Queue()
    queue.do(Submit((new("a", "first"),)))
    again = queue.do(Submit((new("a", "second"), new("b"))))
    assert again == Submitted(1, (key("second"),))
    assert queue.keys == {key("first"), key("b")}


def test_submit_when_repeated_under_a_later_epoch_then_known_all_the_same() -> None:
    queue = Queue()
    queue.do(Submit((new("a", "first"),)))
    queue.do(Lead(EPOCH + 1, "me:1", "me", 3_000))
    later = new("a", "second", epoch=EPOCH + 1)
    assert queue.do(Submit((later,))) == Submitted(0, (f"payloads/{EPOCH + 1}/second",))


@pytest.mark.parametrize("ended", [False, True])
def test_submit_when_the_same_content_comes_inline_then_known(ended: bool) -> None:
    queue = Queue()
    queue.do(Submit((new("a"),)))
    if ended:
        queue.do(Cancel("a"))
    assert queue.do(Submit((NewJob("a", "t", TEXT),))) == Submitted(0)
    assert queue.do(Submit((NewJob("a", "t", Raw(b"1")),))) == IdConflict("a")
    assert queue.do(Submit((new("a", "z", type_="u"),))) == IdConflict("a")
    assert queue.do(Submit((new("a", "z"),))) == Submitted(0, (key("z"),))


def test_submit_when_an_inline_job_comes_as_an_object_then_known() -> None:
    queue = Queue()
    queue.do(Submit((NewJob("a", "t", TEXT),)))
    assert queue.do(Submit((new("a"),))) == Submitted(0, (key("a"),))
    assert queue.do(Submit((sized("a", 100),))) == IdConflict("a")


def test_submit_when_two_of_a_batch_share_id_and_content_then_one_object_is_unused() -> None:
    queue = Queue()
    assert queue.do(Submit((new("a", "x"), new("a", "y")))) == Submitted(1, (key("y"),))
    assert queue.do(Submit((new("b", "x"), new("b", "y", type_="u")))) == IdConflict("b")


@pytest.mark.parametrize("how", ["complete", "cancel", "discard"])
def test_job_when_it_ends_then_its_object_is_freed_once(how: str) -> None:
    queue = Queue()
    queue.do(Submit((new("a"), new("b"))))
    if how != "cancel":
        queue.claim()
    ref = LeaseRef("a", "s-0")
    if how == "complete":
        queue.do(Complete("w", (ref,)))
    else:
        queue.do(Fail("w", ref, ERROR, retry=False))
        queue.do(Cancel("a"))
    assert queue.keys == {key("b")}
    assert queue.state.take_freed() == (key("a"),)
    assert queue.state.take_freed() == ()


def test_job_when_it_lives_on_then_its_object_stays() -> None:
    queue = Queue()
    queue.do(Submit((new("a"),)))
    queue.claim(seed="s")
    queue.do(Release("w", (LeaseRef("a", "s-0"),)))
    queue.claim(seed="r")
    queue.do(Expire(), serving=10**6)
    queue.claim(seed="q")
    assert queue.do(Fail("w", LeaseRef("a", "q-0"), ERROR, retry=False)) == Done()
    queue.do(Retry("a"))
    assert queue.keys == {key("a")}
    assert queue.state.take_freed() == ()


def test_objects_when_two_jobs_name_one_then_freed_with_the_last() -> None:
    queue = Queue()
    queue.do(Submit((new("a", "x"), new("b", "x"))))
    queue.do(Cancel("a"))
    assert (queue.keys, queue.state.take_freed()) == ({key("x")}, ())
    queue.do(Cancel("b"))
    assert (queue.keys, queue.state.take_freed()) == (set(), (key("x"),))


def test_state_when_written_and_read_then_objects_are_named_as_before() -> None:
    queue = Queue()
    queue.do(Submit((new("a"), NewJob("b", "t", TEXT), new("c"))))
    queue.claim(most=2)
    data = encode_state(queue.state)
    job = json.loads(data)["jobs"][0]
    assert (job["payloadKey"], job["payloadBytes"]) == (key("a"), 100)
    assert "payload" not in job
    again = decode_state(data, limits=QueueLimits(), now=NOW)
    check(again)
    assert encode_state(again) == data
    assert again.jobs["a"].large == large("a")
    assert again.jobs["b"].large is None
    assert set(again.payload_keys) == {key("a"), key("c")}


def test_large_job_when_written_then_its_own_fields_come_last() -> None:
    queue = Queue()
    queue.do(Submit((new("a"),)))
    text = encode_job(queue.state.jobs["a"])
    assert list(json.loads(text))[-3:] == ["payloadKey", "payloadBytes", "content"]
    assert decode_job(text).large == large("a")


def test_claim_when_jobs_are_large_then_bounded_but_never_empty() -> None:
    queue = Queue(QueueLimits(claim_bytes_max=100))
    queue.do(Submit((sized("a", 150), sized("b", 60), sized("c", 40), sized("d", 1))))
    assert queue.claim(most=9, seed="1") == ["a"]
    assert queue.claim(most=9, seed="2", claim_id="c") == ["b", "c"]
    assert queue.claim(most=9, seed="3", claim_id="c") == ["b", "c"]
    assert queue.claim(most=9, seed="4") == ["d"]
    assert queue.claim(most=9, seed="5") == []


def test_claim_when_the_next_job_does_not_fit_then_it_stays_first_in_line() -> None:
    queue = Queue(QueueLimits(claim_bytes_max=100))
    queue.do(Submit((NewJob("a", "t", TEXT), sized("b", 90), sized("c", 20))))
    assert queue.claim(most=9, seed="1") == ["a"]
    assert queue.claim(most=9, seed="2") == ["b"]
    assert queue.claim(most=9, seed="3") == ["c"]


def test_dead_letters_when_too_many_then_those_with_objects_stay() -> None:
    """In the archive nothing would keep their objects from being swept."""
    queue = Queue(QueueLimits(archived=True, dead_max=0))
    queue.do(Submit((new("a"), NewJob("b", "t", TEXT), new("c"), NewJob("d", "t", TEXT))))
    for at, job_id in enumerate(queue.claim(most=4)):
        queue.do(Fail("w", LeaseRef(job_id, f"s-{at}"), ERROR, retry=False))
    assert set(queue.state.jobs) == {"a", "c"}
    assert queue.keys == {key("a"), key("c")}
    assert queue.do(Retry("a")) == queue.do(Retry("b")) == Done()
    assert queue.keys == {key("a"), key("c")}
