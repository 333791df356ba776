"""Several writers on one queue that nobody leads: every edge between them, step by step."""

from __future__ import annotations

import json
from typing import Any

import pytest

from osqueue.engine.requests import EndReason
from osqueue.engine.tenure import Sharing
from osqueue.errors import (
    BrokerLeadershipError,
    CommitUnknownError,
    EngineStateError,
)
from osqueue.model.ops import NewJob, Submit
from osqueue.model.outcomes import NotFound, Submitted
from osqueue.model.snapshot import read_origin

from .conftest import FRESH, Start
from .harness import EPOCH, Trace
from .objects import edited, job_ids, older, released, shared_by, taken_over


def submits(*job_ids: str) -> Submit:
    return Submit(tuple(NewJob(job_id) for job_id in job_ids))


# The place


def test_start_when_nobody_leads_then_nothing_is_written(share: Start) -> None:
    t = share()
    assert t.committer.leads
    t.runs(100_000)
    assert t.todo == []


def test_start_when_idle_then_nothing_is_read_either(share: Start) -> None:
    t = share(shared_by("x", shared_by("x", FRESH.encode()), submits("a")))
    t.runs(100_000)
    assert t.todo == []


def test_commit_when_made_then_it_names_writer_and_number_and_no_broker(share: Start) -> None:
    t = share()
    t.submit("a")
    origin = read_origin(t.write.data)
    assert (origin.epoch, origin.commit) == (EPOCH, f"{EPOCH}-3-shared.me")
    assert (origin.broker, origin.broker_id, origin.heartbeat_every) == (None, None, None)


def test_lineage_when_on_anothers_version_then_its_commit_stands_last(share: Start) -> None:
    t = share()
    t.submit("a")
    assert read_origin(t.write.data).lineage == {
        "shared.first": f"{EPOCH}-1-shared.first",
        "shared.x": f"{EPOCH}-2-shared.x",
    }


def test_lineage_when_on_our_own_version_then_nothing_is_added(share: Start) -> None:
    t = share()
    t.submit("a")
    before = read_origin(t.write.data).lineage
    t.ok()
    t.submit("b")
    assert read_origin(t.write.data).lineage == before


def test_lineage_when_a_leader_released_it_then_it_stands_under_its_epoch(share: Start) -> None:
    led = taken_over(shared_by("x", FRESH.encode()), epoch=EPOCH)
    t = share(released(led))
    t.submit("a")
    entries = [*read_origin(t.write.data).lineage.items()]
    assert entries[-1] == (str(EPOCH), f"{EPOCH}-2-rival")
    assert t.commit_id == f"{EPOCH}-3-shared.me"


def test_lineage_when_a_leader_takes_over_then_the_writer_keeps_its_entry(share: Start) -> None:
    t = share()
    t.submit("a")
    t.ok()
    origin = read_origin(taken_over(t.data, epoch=EPOCH + 1))
    assert origin.lineage["shared.me"] == f"{EPOCH}-3-shared.me"


def test_takeover_when_a_dead_leader_is_named_then_one_commit_takes_the_place(start: Start) -> None:
    led = taken_over(shared_by("x", FRESH.encode()), epoch=EPOCH)
    t = start(led, tenure=Sharing.named("me", epoch=EPOCH + 1, takes=True))
    led_before = t.committer.leads
    origin = read_origin(t.write.data)
    assert (origin.epoch, origin.broker, origin.broker_id) == (EPOCH + 1, None, None)
    assert [*origin.lineage.items()][-1] == (str(EPOCH), f"{EPOCH}-1-rival")
    t.ok()
    assert (led_before, t.committer.leads) == (False, True)
    assert t.todo == []


def test_takeover_when_the_leader_writes_after_all_then_it_ends_with_its_address(
    start: Start,
) -> None:
    led = taken_over(shared_by("x", FRESH.encode()), epoch=EPOCH)
    t = start(led, tenure=Sharing.named("me", epoch=EPOCH + 1, takes=True))
    t.changes(edited(led, commit=f"{EPOCH}-2-rival"))
    assert (t.over.reason, t.over.leader) == (EndReason.FENCED, "rival:1")


def test_takeover_when_another_of_us_was_faster_then_it_goes_on_from_there(start: Start) -> None:
    led = taken_over(shared_by("x", FRESH.encode()), epoch=EPOCH)
    t = start(led, tenure=Sharing.named("me", epoch=EPOCH + 1, takes=True))
    t.changes(shared_by("y", led, epoch=EPOCH + 1))
    assert t.committer.leads
    assert t.todo == []
    t.submit("a")
    assert read_origin(t.write.data).epoch == EPOCH + 1


def test_creation_when_the_object_is_missing_then_the_first_commit_makes_it(start: Start) -> None:
    t = start(tenure=Sharing.named("me", epoch=EPOCH, takes=True))
    assert t.write.if_version is None
    t.ok()
    assert (t.committer.leads, read_origin(t.data).broker) == (True, None)


def test_creation_when_another_was_faster_then_it_goes_on_from_there(start: Start) -> None:
    t = start(tenure=Sharing.named("me", epoch=EPOCH, takes=True))
    t.changes(shared_by("x", FRESH.encode()))
    assert t.committer.leads
    t.submit("a")
    t.ok()
    assert job_ids(t.data) == ["a"]


# Conflicts with others


def test_conflict_when_another_wrote_then_all_is_applied_again_on_top(share: Start) -> None:
    t = share()
    first = t.submit("a")
    second = t.submit("b")
    t.changes(shared_by("y", t.data, submits("theirs")))
    t.runs(50)
    assert t.waits(first)
    assert job_ids(t.write.data) == ["theirs", "a", "b"]
    t.ok()
    assert (t.outcome(first), t.outcome(second)) == (Submitted(1), Submitted(1))


def test_conflict_when_it_was_ours_that_landed_then_the_caller_is_answered(share: Start) -> None:
    t = share()
    held = t.submit("a")
    t.lands(t.write)
    t.unclear()
    t.runs(100)
    t.changes(shared_by("y", t.data, submits("theirs")))
    assert t.outcome(held) == Submitted(1)
    assert held.position == (EPOCH, 3)
    assert t.todo == []


def test_conflict_when_ours_landed_and_others_wrote_twice_then_it_is_still_known(
    share: Start,
) -> None:
    t = share()
    held, later = t.submit("a"), t.submit("b")
    t.lands(t.write)
    t.unclear()
    t.runs(100)
    t.changes(shared_by("z", shared_by("y", t.data)))
    assert t.outcome(held) == Submitted(1)
    assert t.waits(later)
    t.runs(50)
    assert job_ids(t.write.data) == ["a", "b"]


def test_conflict_when_ours_landed_then_a_read_in_it_sees_what_stands_there_now(
    share: Start,
) -> None:
    t = share()
    t.submit("a")
    job = t.stats(consistent=True)
    t.lands(t.write)
    t.changes(shared_by("y", t.data, submits("theirs")))
    assert t.waits(job)
    t.settles()
    assert getattr(t.outcome(job), "unclaimed", None) == 2


def test_conflict_when_an_earlier_one_of_ours_is_named_then_it_was_not_applied(
    share: Start,
) -> None:
    t = share()
    t.submit("a")
    t.ok()
    held = t.submit("b")
    t.changes(shared_by("y", t.data))
    assert t.waits(held)
    t.runs(50)
    assert t.commit_id == f"{EPOCH}-5-shared.me"


def full_lineage(data: bytes, **more: str) -> bytes:
    """The object, with as many entries as there can be, none of which says anything about us."""
    others = {f"shared.o{n}": f"{EPOCH}-{900 + n}-shared.o{n}" for n in range(64 - len(more))}
    return edited(data, lineage={**more, **others})


def test_conflict_when_lineage_is_full_of_later_ones_then_the_fate_is_unknown(
    share: Start,
) -> None:
    t = share()
    held, later, waiting = t.submit("a"), t.submit("b"), t.claim("none", waits=True)
    t.changes(full_lineage(shared_by("y", t.data)))
    refusal = t.refusal(held)
    assert isinstance(refusal, CommitUnknownError)
    assert refusal.applied == "unknown"
    assert t.waits(later)
    assert t.waits(waiting)
    t.runs(50)
    assert job_ids(t.write.data) == ["b"]


@pytest.mark.parametrize("older_one", [f"{EPOCH}-2-shared.x", f"{EPOCH}-1-shared.first"])
def test_conflict_when_a_full_lineage_reaches_back_then_it_was_not_applied(
    share: Start, older_one: str
) -> None:
    t = share()
    held = t.submit("a")
    t.changes(full_lineage(shared_by("y", t.data), old=older_one))
    assert t.waits(held)
    t.runs(50)
    assert job_ids(t.write.data) == ["a"]


def test_conflict_when_an_older_implementation_was_there_between_then_it_is_unknown(
    share: Start,
) -> None:
    """It drops the lineage; whoever takes over from it begins a new one under a new epoch."""
    t = share()
    held = t.submit("a")
    t.lands(t.write)
    begun = json.loads(older(t.data)) | {"format": 1, "epoch": EPOCH + 50, "broker": None}
    data = edited(json.dumps(begun).encode(), commit=f"{EPOCH + 50}-1-shared.y")
    t.changes(shared_by("y", data))
    assert isinstance(t.refusal(held), CommitUnknownError)
    assert t.goes_on
    assert t.submit("b").error is None
    t.runs(50)
    assert read_origin(t.write.data).epoch == EPOCH + 50


def test_conflict_when_races_are_lost_again_and_again_then_pauses_grow(share: Start) -> None:
    t = share(jitter=1.0)
    t.submit("a")
    pauses = []
    for number in range(9):
        t.puts(shared_by(f"y{number}", t.data))
        t.pause(20)
        t.conflicts()
        began = t.now.mono
        while "ReadBack" not in t.asks_for():
            t.runs(1)
        pauses.append(t.now.mono - began)
        t.reads()
        assert t.asks_for() == ["Write"], "what was just read is written upon at once"
    assert pauses == [0, 40, 80, 160, 320, 320, 320, 320, 320]


def test_commits_when_others_are_at_work_then_they_are_given_time(share: Start) -> None:
    t = share(jitter=1.0)
    t.submit("a")
    t.changes(shared_by("y", t.data))
    t.pause(10)
    t.ok()
    t.submit("b")
    assert t.todo == []
    t.runs(40)
    assert t.todo == []
    t.runs(1)
    t.ok()
    t.runs(60_000)
    t.submit("c")
    t.pause(10)
    t.ok()
    t.submit("d")
    assert t.asks_for() == ["Write"], "they are gone by now"


def test_conflict_when_our_base_was_edited_then_it_goes_on_from_that(share: Start) -> None:
    t = share()
    held = t.submit("a")
    t.changes(edited(t.data, note="by hand"))
    t.runs(50)
    assert json.loads(t.write.data)["note"] == "by hand"
    assert t.commit_id == f"{EPOCH}-4-shared.me", "no name is used twice"
    t.ok()
    assert t.outcome(held) == Submitted(1)


def test_conflict_when_ours_landed_and_was_edited_then_later_ones_follow(share: Start) -> None:
    t = share()
    held, later = t.submit("a"), t.submit("b")
    t.changes(edited(t.write.data, note="by hand"))
    assert t.outcome(held) == Submitted(1)
    assert t.waits(later)
    assert job_ids(t.write.data) == ["a", "b"]


def test_conflict_when_nothing_has_changed_then_the_same_bytes_are_put_again(share: Start) -> None:
    t = share()
    t.submit("a")
    first = t.write
    t.conflicts()
    t.reads()
    t.runs(100)
    assert t.write == first


def test_conflict_when_an_old_copy_was_put_back_then_the_epoch_does_not_go_back(
    share: Start,
) -> None:
    t = share()
    t.stats()
    t.puts(edited(FRESH.encode(), epoch=EPOCH - 5, commit=f"{EPOCH - 5}-9-shared.y"))
    t.checks()
    t.submit("a")
    assert read_origin(t.write.data).epoch == EPOCH


# Meeting a leader


def test_leader_when_a_write_meets_it_then_callers_are_told_its_address(share: Start) -> None:
    t = share()
    in_flight, pending, waiting = t.submit("a"), t.submit("b"), t.claim("none", waits=True)
    t.changes(taken_over(t.data, epoch=EPOCH + 1))
    assert (t.over.reason, t.over.leader) == (EndReason.FENCED, "rival:1")
    for held in (in_flight, pending, waiting, t.submit("c")):
        refusal = t.refusal(held)
        assert isinstance(refusal, BrokerLeadershipError)
        assert (refusal.applied, refusal.leader) == ("no", "rival:1")


def test_leader_when_it_took_over_from_our_commit_then_that_is_answered(share: Start) -> None:
    t = share()
    held = t.submit("a")
    t.lands(t.write)
    t.changes(taken_over(t.data, epoch=EPOCH + 1))
    assert t.outcome(held) == Submitted(1)


def test_leader_when_a_check_meets_it_then_it_ends(share: Start) -> None:
    t = share()
    read = t.stats()
    t.puts(taken_over(t.data, epoch=EPOCH + 1))
    t.checks()
    assert isinstance(t.refusal(read), BrokerLeadershipError)
    assert t.over.leader == "rival:1"


def test_leader_when_it_has_released_again_then_work_goes_on(share: Start) -> None:
    t = share()
    held = t.submit("a")
    t.changes(released(taken_over(t.data, epoch=EPOCH + 1)))
    t.runs(50)
    assert t.commit_id == f"{EPOCH + 1}-4-shared.me"
    t.ok()
    assert t.outcome(held) == Submitted(1)


def test_older_implementation_when_it_writes_then_our_last_state_is_kept(share: Start) -> None:
    t = share()
    t.submit("a")
    t.changes(older(t.data))
    assert t.saves("queue.json.before-x").suffix == f"before-{EPOCH}-2-shared.x"
    assert t.over.reason is EndReason.OVERWRITTEN


@pytest.mark.parametrize("how", ["write", "check"])
def test_object_when_gone_then_it_is_not_made_again(share: Start, how: str) -> None:
    t = share()
    held = t.submit("a") if how == "write" else t.stats()
    t.vanishes()
    if how == "write":
        t.missing()
        t.reads()
    else:
        t.checks()
    assert t.asks_for() == ["Save"]
    t.saves("queue.json.before-x")
    assert t.over.reason is EndReason.CORRUPT
    assert "gone" in t.over.message
    assert not t.waits(held)


# Others' changes, and answers that need no write


def test_read_when_another_wrote_then_it_is_answered_from_there(share: Start) -> None:
    t = share()
    read = t.stats()
    t.puts(shared_by("y", t.data, submits("theirs")))
    t.checks()
    assert getattr(t.outcome(read), "unclaimed", None) == 1
    assert read.position == (EPOCH, 3)
    assert t.todo == []


def test_read_when_confirmed_within_a_second_then_it_is_answered_at_once(share: Start) -> None:
    t = share()
    t.stats()
    t.checks()
    t.passes(900)
    assert not t.waits(t.stats())
    t.passes(200)
    assert t.waits(t.stats())


def test_refusal_when_made_then_it_rests_on_what_stands_there_now(share: Start) -> None:
    t = share()
    t.stats()
    t.checks()
    cancelled = t.cancel("theirs")
    assert t.waits(cancelled)
    t.puts(shared_by("y", t.data, submits("theirs")))
    t.checks()
    t.settles()
    assert t.outcome(cancelled) != NotFound("theirs")


def test_empty_claim_when_another_submitted_then_it_gets_the_job(share: Start) -> None:
    t = share()
    claim = t.claim()
    t.puts(shared_by("y", t.data, submits("theirs")))
    t.checks()
    assert t.asks_for() == ["Write"]
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["theirs"]


def test_waiting_claim_when_another_submits_then_it_is_seen_within_a_second(share: Start) -> None:
    t = share()
    claim = t.claim(waits=True)
    t.settles()
    t.runs(500)
    assert t.todo == []
    t.puts(shared_by("y", t.data, submits("theirs")))
    t.runs(500)
    t.settles()
    assert [grant.id for grant in t.grants(claim)] == ["theirs"]


def test_waiting_claims_when_gone_then_nothing_is_looked_for_any_more(share: Start) -> None:
    t = share()
    claim = t.claim(waits=True)
    t.settles()
    t.withdraw(claim)
    t.runs(60_000)
    assert t.todo == []


def test_waiting_claim_when_looking_fails_then_it_looks_on(share: Start) -> None:
    t = share()
    t.claim(waits=True)
    t.runs(10)
    for _ in range(3):
        t.fails_to_check()
        t.runs(300)
    assert t.asks_for() == ["Check"]


# Stopping


def test_stop_when_idle_then_it_ends_without_a_write(share: Start) -> None:
    t = share()
    t.stop()
    assert t.over.reason is EndReason.RELEASED
    assert t.todo == []


def test_stop_when_a_commit_is_under_way_then_what_is_pending_follows(share: Start) -> None:
    t = share()
    first, second = t.submit("a"), t.submit("b")
    t.stop()
    assert isinstance(t.refusal(t.submit("c")), EngineStateError)
    t.changes(shared_by("y", t.data))
    t.goes_well(100)
    assert t.outcome(first) == t.outcome(second) == Submitted(1)
    assert t.over.reason is EndReason.RELEASED
    assert job_ids(t.data) == ["a", "b"]


def test_first_write_when_refused_for_now_then_it_is_tried_again(share: Start) -> None:
    t: Trace = share()
    held = t.submit("a")
    t.unapplied()
    t.goes_well(100)
    assert t.outcome(held) == Submitted(1)


def test_faulty_operation_when_it_fails_then_the_lineage_is_recorded_all_the_same(
    share: Start,
) -> None:
    t = share()
    t.stats()
    t.checks()
    nonsense: Any = (None,)
    assert t.ask(Submit(jobs=nonsense)).error is not None
    t.submit("a")
    assert f"{EPOCH}-2-shared.x" in read_origin(t.write.data).lineage.values()
