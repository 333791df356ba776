"""What becomes of a commit's write: it goes well, is of unknown fate, is refused."""

from __future__ import annotations

import json

import pytest

from osqueue.engine.committer import Phase
from osqueue.engine.requests import EndReason, Write
from osqueue.model.outcomes import Submitted
from osqueue.model.snapshot import read_origin

from .conftest import Start
from .harness import EPOCH
from .objects import edited, job_ids, taken_over


def test_submit_when_its_commit_is_durable_then_it_is_answered_and_not_before(lead: Start) -> None:
    t = lead()
    submitted = t.submit("a")
    assert t.waits(submitted)
    t.ok()
    assert t.outcome(submitted) == Submitted(1)
    assert submitted.position == (EPOCH, 2)
    assert job_ids(t.data) == ["a"]


def test_takeover_when_first_write_is_durable_then_it_leads_and_not_before(start: Start) -> None:
    t = start()
    assert t.write.if_version is None
    leads = [t.committer.leads]
    t.ok()
    assert [*leads, t.committer.leads] == [False, True]
    origin = read_origin(t.data)
    assert (origin.epoch, origin.broker, origin.broker_id) == (EPOCH, "me:1", "me")
    assert (origin.commit, origin.heartbeat_every) == (f"{EPOCH}-1-me", 3_000)


def test_requests_when_a_write_is_under_way_then_they_form_the_next_commit(lead: Start) -> None:
    t = lead()
    first = t.submit("a")
    under_way = t.write
    second, third = t.submit("b"), t.submit("c")
    assert t.write is under_way
    t.ok()
    assert [t.waits(held) for held in (first, second, third)] == [False, True, True]
    assert job_ids(t.write.data) == ["a", "b", "c"]
    t.ok()
    assert second.position == third.position == (EPOCH, 3)


def test_commits_when_one_follows_another_then_each_builds_on_the_one_before(lead: Start) -> None:
    t = lead()
    ids = []
    for job_id in "abc":
        t.submit(job_id)
        assert t.stored is not None
        assert t.write.if_version == t.stored.version
        ids.append(t.commit_id)
        t.ok()
    assert len(set(ids)) == 3


# Unknown: the same bytes with the same precondition again, until OK or conflict


def test_write_when_its_fate_is_unknown_then_the_same_is_put_again_until_ok(lead: Start) -> None:
    t = lead()
    submitted = t.submit("a")
    first = t.write
    for _ in range(5):
        t.unclear()
        assert t.asks_for() == []
        t.submit(f"later{t.now.mono}")
        t.runs(2_100)
        assert t.write == first
    t.ok()
    assert t.outcome(submitted) == Submitted(1)
    assert len(job_ids(t.write.data)) == 6


def test_write_when_unknown_then_refused_outright_then_it_is_put_again(lead: Start) -> None:
    """After an unknown, also what is no unknown itself tells nothing about the first attempt."""
    t = lead()
    t.submit("a")
    first = t.write
    t.unclear()
    t.runs(2_100)
    t.unapplied("403 denied")
    assert t.goes_on
    t.runs(2_100)
    assert t.write == first


def test_pauses_when_a_write_stays_unknown_then_they_double_up_to_a_bound(lead: Start) -> None:
    t = lead(jitter=1.0)
    t.submit("a")
    pauses = []
    for _ in range(12):
        t.unclear()
        since = t.now.mono
        while not t.todo:
            t.runs(1)
        pauses.append(t.now.mono - since)
    assert pauses[:4] == [21, 41, 81, 161]
    assert set(pauses[7:]) == {2_001}


def test_pauses_when_jitter_is_least_then_they_are_half_as_long(lead: Start) -> None:
    t = lead(jitter=0.0)
    t.submit("a")
    t.unclear()
    t.runs(10)
    assert t.todo == []
    t.runs(1)
    assert t.asks_for() == ["Write"]


def test_write_when_it_landed_unknown_and_then_conflicts_then_it_counts_as_done(
    lead: Start,
) -> None:
    t = lead()
    submitted, position = t.submit("a"), (EPOCH, 2)
    t.lands(t.write)
    t.unclear()
    t.runs(100)
    t.conflicts()
    assert t.asks_for() == ["ReadBack"]
    t.reads()
    assert t.outcome(submitted) == Submitted(1)
    assert submitted.position == position
    t.submit("b")
    assert t.stored is not None
    assert t.write.if_version == t.stored.version


def test_write_when_a_proxy_sent_it_twice_then_the_conflict_is_seen_through(lead: Start) -> None:
    t = lead()
    submitted = t.submit("a")
    t.lands(t.write)
    t.conflicts()
    t.reads()
    assert t.outcome(submitted) == Submitted(1)


def test_late_write_when_a_reread_showed_the_old_version_then_it_still_counts(lead: Start) -> None:
    t = lead()
    submitted, first = t.submit("a"), t.write
    t.unclear()
    t.runs(100)
    t.conflicts()
    t.reads()
    assert t.waits(submitted), "the old version proves nothing"
    t.runs(100)
    assert t.write == first
    t.lands(first)
    t.conflicts()
    t.reads()
    assert t.outcome(submitted) == Submitted(1)


# Creating the object


def test_create_when_another_was_faster_then_it_steps_down(start: Start) -> None:
    t = start()
    held = t.submit("a")
    t.puts(taken_over(t.write.data, epoch=EPOCH + 1))
    t.conflicts()
    t.reads()
    assert (t.over.reason, t.over.leader) == (EndReason.FENCED, "rival:1")
    assert t.refusal(held).applied == "no"


def test_create_when_its_own_landed_late_then_it_leads(start: Start) -> None:
    t = start()
    t.lands(t.write)
    t.unclear()
    t.runs(100)
    t.conflicts()
    t.reads()
    assert t.committer.leads


def test_create_when_its_own_was_edited_at_once_then_it_leads_on_from_that(start: Start) -> None:
    t = start()
    t.puts(edited(t.write.data, note="by hand"))
    t.conflicts()
    t.reads()
    assert t.committer.leads
    t.submit("a")
    assert json.loads(t.write.data)["note"] == "by hand"


def test_create_when_it_conflicts_and_nothing_is_there_then_it_is_tried_again(
    start: Start,
) -> None:
    t = start()
    first = t.write
    t.conflicts()
    t.reads()
    assert t.phase is Phase.BACKING_OFF
    t.runs(100)
    assert t.write == first == Write(first.data, None)
    t.ok()
    assert t.committer.leads


# A store that refuses


@pytest.mark.parametrize("why", ["denied", "the disk is full"])
def test_first_write_when_store_refuses_it_then_it_never_leads(start: Start, why: str) -> None:
    t = start()
    held = t.submit("a")
    t.unapplied(why)
    assert t.over.reason is EndReason.UNWRITABLE
    assert why in t.over.message
    assert t.refusal(held).applied == "no"


def test_first_write_when_unknown_before_refused_then_it_is_tried_on(start: Start) -> None:
    t = start()
    t.unclear()
    t.runs(100)
    t.unapplied("denied")
    assert t.goes_on
    t.runs(100)
    t.ok()
    assert t.committer.leads


def test_write_when_store_refuses_a_leader_then_it_backs_off_and_recovers(lead: Start) -> None:
    t = lead()
    submitted, first = t.submit("a"), t.write
    for _ in range(4):
        t.unapplied("the disk is full")
        assert t.goes_on
        t.runs(2_100)
        assert t.write == first
    t.ok()
    assert t.outcome(submitted) == Submitted(1)
    assert len(t.notices) == 2, "one when it begins, one when it is over"
