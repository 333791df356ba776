"""The object is changed or removed behind the leader's back while nothing conflicts."""

from __future__ import annotations

import json

import pytest

from osqueue.engine.requests import EndReason
from osqueue.errors import CommitUnknownError
from osqueue.model.outcomes import Counts, Submitted
from osqueue.model.snapshot import read_origin

from .conftest import Start
from .harness import EPOCH, START, Trace
from .objects import edited, job_ids, older, taken_over

NEW_EPOCH = START.wall // 1_000
EXISTING = json.dumps(
    {
        "format": 1,
        "epoch": 7,
        "commit": "7-1-x",
        "broker": None,
        "brokerHeartbeat": 0,
        "jobs": [],
        "completedTotal": 3,
    }
).encode()


def leading_with_a_job(lead: Start) -> Trace:
    t = lead()
    t.submit("z")
    t.ok()
    return t


# Gone


@pytest.mark.parametrize("told_by", ["missing", "conflicts"])
def test_gone_when_no_write_is_unclear_then_everything_is_created_again(
    lead: Start, told_by: str
) -> None:
    t = leading_with_a_job(lead)
    old = read_origin(t.data).commit
    in_flight, pending = t.submit("a"), t.submit("b")
    t.vanishes()
    getattr(t, told_by)()
    t.reads()
    assert t.write.if_version is None
    assert job_ids(t.write.data) == ["z", "a", "b"]
    origin = read_origin(t.write.data)
    assert (origin.epoch, origin.lineage) == (NEW_EPOCH, {str(EPOCH): old})
    assert t.waits(in_flight)
    t.ok()
    assert t.outcome(in_flight) == t.outcome(pending) == Submitted(1)
    assert in_flight.position is not None
    assert in_flight.position > (EPOCH, 3)


def test_gone_when_a_write_was_unclear_then_only_its_writes_are_unknown(lead: Start) -> None:
    t = leading_with_a_job(lead)
    in_flight, reads = t.submit("a"), t.stats()
    t.unclear()
    pending = t.submit("b")
    t.runs(100)
    t.vanishes()
    t.missing()
    t.reads()
    refusal = t.refusal(in_flight)
    assert isinstance(refusal, CommitUnknownError)
    assert refusal.applied == "unknown"
    assert job_ids(t.write.data) == ["z", "b"]
    t.ok()
    assert t.outcome(pending) == Submitted(1)
    counts = t.outcome(reads)
    assert isinstance(counts, Counts)
    assert counts.unclaimed == 1, "it was in front of the write that survived"


def test_gone_when_conflict_was_false_then_its_writes_are_unknown(lead: Start) -> None:
    """A conflict over an unchanged version says nothing, so the write may have landed since."""
    t = leading_with_a_job(lead)
    in_flight = t.submit("a")
    t.conflicts()
    t.reads()
    t.runs(100)
    t.vanishes()
    t.missing()
    t.reads()
    assert t.refusal(in_flight).applied == "unknown"


def test_gone_when_found_then_it_is_said_loudly(lead: Start) -> None:
    t = leading_with_a_job(lead)
    t.submit("a")
    t.vanishes()
    t.missing()
    t.reads()
    assert any(notice.error and "GONE" in notice.message for notice in t.notices)


def test_gone_when_clock_is_behind_then_the_epoch_still_counts_up(start: Start) -> None:
    t = start(epoch=NEW_EPOCH + 50)
    t.ok()
    t.submit("a")
    t.vanishes()
    t.missing()
    t.reads()
    assert read_origin(t.write.data).epoch == NEW_EPOCH + 51


def test_gone_when_create_again_conflicts_with_a_rival_then_it_steps_down(lead: Start) -> None:
    t = leading_with_a_job(lead)
    before = t.data
    held = t.submit("a")
    t.vanishes()
    t.missing()
    t.reads()
    t.puts(taken_over(before, epoch=NEW_EPOCH + 7))
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.FENCED
    assert t.refusal(held).applied == "unknown"


def test_gone_when_an_older_implementation_creates_it_anew_then_our_state_is_kept(
    lead: Start,
) -> None:
    t = leading_with_a_job(lead)
    last = t.data
    held = t.submit("a")
    t.vanishes()
    t.missing()
    t.reads()
    t.puts(b'{"broker":"old:1","brokerHeartbeat":1,"jobs":[],"completedTotal":0}')
    t.conflicts()
    t.reads()
    save = t.saves("kept")
    assert (save.data, save.suffix) == (last, f"before-{read_origin(last).commit}")
    assert t.over.reason is EndReason.OVERWRITTEN
    assert t.refusal(held).applied == "unknown"


def test_gone_when_it_is_created_again_then_the_last_durable_state_is_still_shown(
    lead: Start,
) -> None:
    t = leading_with_a_job(lead)
    last = t.data
    t.submit("a")
    t.vanishes()
    t.missing()
    t.reads()
    assert t.committer.durable == last


def test_gone_when_create_again_landed_unknown_then_it_counts(lead: Start) -> None:
    t = leading_with_a_job(lead)
    held = t.submit("a")
    t.vanishes()
    t.missing()
    t.reads()
    t.lands(t.write)
    t.unclear()
    t.runs(100)
    t.conflicts()
    t.reads()
    assert t.outcome(held) == Submitted(1)


def test_gone_when_idle_then_a_check_finds_it_and_it_is_created_again(lead: Start) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    reads = t.stats()
    t.vanishes()
    t.checks()
    assert t.write.if_version is None
    assert job_ids(t.write.data) == ["z"]
    t.ok()
    assert isinstance(t.outcome(reads), Counts)
    assert reads.position is not None
    assert reads.position[0] == t.now.wall // 1_000


@pytest.mark.parametrize("told_by", ["missing", "conflicts"])
def test_gone_at_takeover_when_read_back_then_it_is_left_to_whoever_knows_the_last_state(
    start: Start, told_by: str
) -> None:
    """A leader that was taken for dead may have committed since: created again from what was read
    here, the object would lack that."""
    t = start(EXISTING, epoch=8)
    pending = t.submit("a")
    t.vanishes()
    getattr(t, told_by)()
    t.reads()
    end = t.committer.ended
    assert end is not None
    assert (end.reason, "gone" in end.message) == (EndReason.UNWRITABLE, True)
    assert t.refusal(pending).applied == "no"


# Found changed by a check while no write is under way


def test_check_when_object_was_edited_then_reads_see_the_edit(lead: Start) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    t.puts(edited(t.data, jobs=[], completedTotal=9))
    reads = t.stats()
    t.checks()
    t.checks()
    counts = t.outcome(reads)
    assert isinstance(counts, Counts)
    assert (counts.unclaimed, counts.completed_total) == (0, 9)


def test_check_when_object_was_edited_then_the_next_commit_builds_on_it(lead: Start) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    found = t.puts(edited(t.data, note="by hand"))
    t.stats()
    t.checks()
    t.submit("a")
    assert t.write.if_version == found.version
    assert json.loads(t.write.data)["note"] == "by hand"


def test_check_when_another_leads_then_it_steps_down(lead: Start) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    reads = t.stats()
    t.puts(taken_over(t.data, epoch=EPOCH + 1))
    t.checks()
    assert (t.over.reason, t.over.leader) == (EndReason.FENCED, "rival:1")
    assert t.refusal(reads).leader == "rival:1"


def test_check_when_older_implementation_wrote_then_our_state_is_kept(lead: Start) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    reads, last = t.stats(), t.data
    t.puts(older(last))
    t.checks()
    assert t.saves("k").data == last
    assert t.over.reason is EndReason.OVERWRITTEN
    assert t.refusal(reads).applied == "no"


def test_check_when_object_was_damaged_then_it_ends(lead: Start) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    t.stats()
    t.puts(b"")
    t.checks()
    assert t.over.reason is EndReason.CORRUPT


def test_check_when_a_write_has_begun_meanwhile_then_its_finding_is_left_to_it(
    lead: Start,
) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    t.stats()
    submitted = t.submit("a")
    t.lands(t.write)
    t.checks()
    assert t.goes_on
    t.conflicts()
    t.reads()
    assert t.outcome(submitted) == Submitted(1)


def test_check_when_it_is_answered_after_a_later_commit_then_nothing_is_concluded(
    lead: Start,
) -> None:
    t = leading_with_a_job(lead)
    t.runs(1_100)
    t.stats()
    t.submit("a")
    t.ok()
    t.checks()
    assert t.goes_on
    assert t.notices == []
