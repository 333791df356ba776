"""After a conflict, what stands in the object decides: all that can be found there."""

from __future__ import annotations

import json

import pytest

from osqueue.engine.requests import EndReason, ReadBack
from osqueue.errors import BrokerLeadershipError, CommitUnknownError
from osqueue.model.outcomes import Submitted
from osqueue.model.snapshot import read_origin

from .conftest import Start
from .harness import EPOCH, Trace
from .objects import edited, job_ids, older, taken_over, without_job


def test_conflict_when_the_version_is_still_our_base_then_it_is_put_again(lead: Start) -> None:
    t = lead()
    submitted, first = t.submit("a"), t.write
    t.conflicts()
    t.reads()
    t.runs(100)
    assert t.write == first
    t.ok()
    assert t.outcome(submitted) == Submitted(1)


def test_conflict_when_it_cannot_be_read_back_then_that_is_tried_until_it_can(lead: Start) -> None:
    t = lead()
    submitted = t.submit("a")
    t.lands(t.write)
    t.conflicts()
    for _ in range(3):
        t.fails_to_read()
        assert t.asks_for() == []
        t.runs(2_100)
        assert t.asks_for() == ["ReadBack"]
    t.reads()
    assert t.outcome(submitted) == Submitted(1)


def test_conflict_when_ours_was_edited_then_only_later_ones_are_applied_again(lead: Start) -> None:
    t = lead()
    before = t.submit("a", "b")
    ours = t.commit_id
    after = t.submit("c")
    t.puts(without_job(edited(t.write.data, note="by hand"), "a"))
    t.conflicts()
    t.reads()
    assert t.outcome(before) == Submitted(2)
    assert t.waits(after)
    assert job_ids(t.write.data) == ["b", "c"]
    assert json.loads(t.write.data)["note"] == "by hand"
    assert t.commit_id != ours
    t.ok()
    assert t.outcome(after) == Submitted(1)


def test_conflict_when_our_base_was_edited_then_all_are_applied_again_in_order(lead: Start) -> None:
    t = lead()
    t.submit("z")
    t.ok()
    first = t.submit("a")
    refused = t.commit_id
    second = t.submit("b")
    t.puts(without_job(edited(t.data, note="by hand"), "z"))
    t.conflicts()
    t.reads()
    assert t.waits(first)
    assert t.waits(second)
    assert job_ids(t.write.data) == ["a", "b"]
    assert json.loads(t.write.data)["note"] == "by hand"
    assert t.commit_id != refused
    t.ok()
    assert (t.outcome(first), t.outcome(second)) == (Submitted(1), Submitted(1))


def test_conflict_when_edit_also_changed_the_header_then_it_is_ours_again(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.puts(edited(t.data, epoch=3, broker="x:1", brokerId="x", heartbeatEvery=9))
    t.conflicts()
    t.reads()
    origin = read_origin(t.write.data)
    assert (origin.epoch, origin.broker, origin.broker_id) == (EPOCH, "me:1", "me")
    assert origin.heartbeat_every == 3_000


def test_conflict_at_takeover_when_base_was_edited_then_takeover_goes_on(start: Start) -> None:
    whole: dict[str, object] = {"broker": None, "brokerHeartbeat": 0, "jobs": []}
    data = json.dumps({**whole, "format": 1, "epoch": 7, "commit": "7-1-x"}).encode()
    t = start(data, epoch=8)
    t.puts(edited(data, note="by hand"))
    t.conflicts()
    t.reads()
    origin = read_origin(t.write.data)
    assert (origin.epoch, origin.lineage) == (8, {"7": "7-1-x"})
    t.ok()
    assert t.committer.leads


@pytest.mark.parametrize("at", ["first", "second"])
def test_conflict_when_another_epoch_leads_then_it_steps_down(lead: Start, at: str) -> None:
    t = lead()
    held = t.submit("a")
    if at == "second":
        t.unclear()
        t.runs(100)
    t.puts(taken_over(t.data, epoch=EPOCH + 1))
    t.conflicts()
    t.reads()
    assert (t.over.reason, t.over.leader) == (EndReason.FENCED, "rival:1")
    assert not t.committer.leads
    assert t.todo == []
    assert not t.waits(held)


def test_conflict_when_our_epoch_has_a_foreign_commit_then_it_steps_down(lead: Start) -> None:
    t = lead()
    held = t.submit("a")
    t.puts(edited(t.data, commit=f"{EPOCH}-77-other"))
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.FENCED
    assert t.refusal(held).applied == "unknown"


def test_conflict_when_older_implementation_wrote_then_our_state_is_kept_first(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    durable, commit = t.data, read_origin(t.data).commit
    in_flight = t.submit("b")
    pending = t.submit("c")
    t.puts(older(durable))
    t.conflicts()
    t.reads()
    assert t.asks_for() == ["Save"]
    assert t.goes_on
    arrived = t.submit("d")
    save = t.saves("queue.json.before-x")
    assert (save.suffix, save.data) == (f"before-{commit}", durable)
    assert t.over.reason is EndReason.OVERWRITTEN
    assert "queue.json.before-x" in t.over.message
    assert t.refusal(in_flight).applied == "unknown"
    assert [t.refusal(held).applied for held in (pending, arrived)] == ["no", "no"]


def test_leader_when_it_was_overwritten_then_it_is_not_ready_from_then_on(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.puts(older(t.data))
    t.conflicts()
    t.reads()
    assert t.asks_for() == ["Save"]
    assert not t.committer.confirmed_within(10_000, t.now.mono)


def test_overwritten_when_state_cannot_be_kept_then_the_end_says_so(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.puts(older(t.data))
    t.conflicts()
    t.reads()
    t.saves(None)
    assert "could not be kept" in t.over.message


def test_overwritten_when_it_never_led_then_nothing_is_kept(start: Start) -> None:
    whole: dict[str, object] = {"broker": None, "brokerHeartbeat": 0, "jobs": []}
    data = json.dumps(whole).encode()
    t = start(data)
    t.puts(edited(data, broker="old:1"))
    t.conflicts()
    t.reads()
    assert (t.over.reason, t.over.leader) == (EndReason.FENCED, "old:1")
    assert t.todo == []


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (b"", "empty"),
        (b'{"format":1,"jobs":[', "not a state object"),
        (b"[]", "not a state object"),
        (b'{"format":2,"epoch":100,"commit":"100-9-x","jobs":[]}', "format 2"),
    ],
)
def test_conflict_when_the_object_cannot_be_read_then_it_ends_and_touches_nothing(
    lead: Start, damage: bytes, named: str
) -> None:
    t = lead()
    in_flight, pending = t.submit("a"), t.submit("b")
    t.puts(damage)
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.CORRUPT
    assert named in t.over.message
    assert t.todo == []
    assert t.refusal(in_flight).applied == "unknown"
    assert t.refusal(pending).applied == "no"


def test_conflict_when_the_edit_broke_a_job_then_it_ends_as_corrupt(lead: Start) -> None:
    t = lead()
    held = t.submit("a")
    t.puts(edited(t.data, jobs=[{"id": 5}]))
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.CORRUPT
    assert t.refusal(held).applied == "unknown"


# The place is lost: the lineage tells what became of the commit under way


def fenced_by(t: Trace, data: bytes) -> None:
    t.puts(data)
    t.unclear()
    t.runs(100)
    t.conflicts()
    t.reads()


def test_fate_when_lineage_names_our_commit_then_its_writes_are_done(lead: Start) -> None:
    t = lead()
    in_flight, reads = t.submit("a"), t.stats()
    t.lands(t.write)
    fenced_by(t, taken_over(t.write.data, epoch=EPOCH + 1))
    assert t.outcome(in_flight) == Submitted(1)
    assert in_flight.position == (EPOCH, 2)
    assert isinstance(t.refusal(reads), BrokerLeadershipError)


def test_fate_when_lineage_names_an_earlier_one_then_it_was_not_applied(lead: Start) -> None:
    t = lead()
    in_flight, pending = t.submit("a"), t.submit("b")
    fenced_by(t, taken_over(t.data, epoch=EPOCH + 1))
    for held in (in_flight, pending):
        refusal = t.refusal(held)
        assert isinstance(refusal, BrokerLeadershipError)
        assert (refusal.applied, refusal.leader) == ("no", "rival:1")


def test_fate_when_lineage_does_not_name_us_then_it_is_unknown(lead: Start) -> None:
    t = lead()
    in_flight, pending, waiting = t.submit("a"), t.submit("b"), t.claim("none", waits=True)
    fenced_by(t, edited(taken_over(t.data, epoch=EPOCH + 1), lineage={}))
    refusal = t.refusal(in_flight)
    assert isinstance(refusal, CommitUnknownError)
    assert (refusal.applied, refusal.retryable) == ("unknown", True)
    assert t.refusal(pending).applied == "no"
    assert t.refusal(waiting).applied == "no"


def test_fate_when_two_brokers_have_led_since_then_lineage_still_tells(lead: Start) -> None:
    t = lead()
    in_flight = t.submit("a")
    t.lands(t.write)
    first = taken_over(t.write.data, epoch=EPOCH + 1)
    fenced_by(t, taken_over(first, epoch=EPOCH + 2, broker="third:1"))
    assert t.outcome(in_flight) == Submitted(1)
    assert t.over.leader == "third:1"


def test_requests_when_the_place_was_lost_then_they_are_told_the_leader(lead: Start) -> None:
    t = lead()
    t.submit("a")
    fenced_by(t, taken_over(t.data, epoch=EPOCH + 1))
    for held in (t.submit("b"), t.stats(), t.claim(waits=True)):
        refusal = t.refusal(held)
        assert isinstance(refusal, BrokerLeadershipError)
        assert (refusal.applied, refusal.leader) == ("no", "rival:1")


def test_read_back_when_asked_for_then_it_spares_the_version_that_is_known(lead: Start) -> None:
    t = lead(b'{"broker":null,"brokerHeartbeat":0,"jobs":[],"completedTotal":0}')
    t.submit("a")
    base = t.write.if_version
    assert base is not None
    t.conflicts()
    (read,) = [action for action in t.todo if isinstance(action, ReadBack)]
    assert read.unless == base
