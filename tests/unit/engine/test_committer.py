"""The committer's own rules; what it does with a store is traced in `tests/traces`."""

from __future__ import annotations

from typing import Any

import pytest

from osqueue.config import CommitSettings, LeadershipSettings
from osqueue.engine.committer import PATROL_MS, Phase
from osqueue.engine.requests import (
    Check,
    Conflicted,
    EndReason,
    Failed,
    Held,
    Landed,
    Unchanged,
    Write,
    Written,
)
from osqueue.model.ops import GetStats
from osqueue.model.snapshot import read_origin
from osqueue.storage.protocol import Version

from ...traces.harness import EPOCH, Trace
from ...traces.objects import edited
from .conftest import Start


def leading(start: Start, **settings: Any) -> Trace:
    trace = start(**settings)
    trace.ok()
    return trace


def test_durable_when_nothing_was_stored_then_it_is_an_empty_object(start: Start) -> None:
    t = start()
    assert t.committer.durable == b"{}"
    t.ok()
    assert t.committer.durable == t.data


def test_durable_when_a_commit_is_under_way_then_it_is_the_one_before(start: Start) -> None:
    t = leading(start)
    before = t.committer.durable
    t.submit("a")
    assert t.committer.durable == before
    t.ok()
    assert t.committer.durable != before


def test_position_when_commits_land_then_it_counts_them(start: Start) -> None:
    t = start()
    positions = [t.committer.position]
    t.ok()
    positions.append(t.committer.position)
    t.submit("a")
    t.ok()
    positions.append(t.committer.position)
    assert positions == [(EPOCH, 0), (EPOCH, 1), (EPOCH, 2)]


def test_take_when_it_was_taken_then_nothing_is_left(start: Start) -> None:
    t = leading(start)
    t.submit("a")
    assert t.committer.take() == ([], [])


def test_arrive_when_nothing_has_to_be_waited_for_then_it_answers_at_once(start: Start) -> None:
    t = leading(start)
    held = Held(op=GetStats())
    t.committer.arrive(held, t.now)
    assert t.committer.take() == ([], [held])


def test_arrive_when_leadership_is_stale_then_it_asks_at_once(start: Start) -> None:
    t = leading(start)
    t.runs(1_100)
    t.committer.arrive(Held(op=GetStats()), t.now)
    (actions, answers) = t.committer.take()
    assert [type(action) for action in actions] == [Check]
    assert answers == []


def test_checked_when_leadership_is_confirmed_then_it_answers_at_once(start: Start) -> None:
    t = leading(start)
    t.runs(1_100)
    held = t.stats()
    (check,) = t.todo
    assert isinstance(check, Check)
    t.committer.checked(Unchanged(), check, t.now)
    assert t.committer.take() == ([], [held])
    t.gone.add(held)


def test_written_when_reads_came_meanwhile_then_they_are_answered_at_once(start: Start) -> None:
    t = leading(start)
    t.submit("a")
    reads = t.stats()
    assert t.stored is not None
    t.committer.written(Written(Version("next")), t.now)
    (actions, answers) = t.committer.take()
    assert [type(action) for action in actions] == [Landed]
    assert answers == [t.asked[0], reads]
    t.gone |= set(t.asked)


def test_phase_when_a_write_goes_its_way_then_it_follows(start: Start) -> None:
    t = start()
    phases = [t.phase]
    t.ok()
    phases.append(t.phase)
    t.submit("a")
    t.unclear()
    phases.append(t.phase)
    t.runs(100)
    t.conflicts()
    phases.append(t.phase)
    t.abandon()
    phases.append(t.phase)
    assert phases == [
        Phase.WRITING,
        Phase.READY,
        Phase.BACKING_OFF,
        Phase.READING_BACK,
        Phase.ENDED,
    ]


@pytest.mark.parametrize(("age_ms", "confirmed"), [(499, False), (500, True)])
def test_confirmed_when_its_write_began_that_long_ago_then_it_counts(
    start: Start, age_ms: int, confirmed: bool
) -> None:
    t = start()
    t.passes(200)
    t.ok()
    t.passes(300)
    assert t.committer.confirmed_within(age_ms, t.now.mono) is confirmed


def test_confirmed_when_it_has_ended_then_it_is_not_any_more(start: Start) -> None:
    t = leading(start)
    t.abandon()
    assert not t.committer.confirmed_within(10_000, t.now.mono)
    assert not t.committer.leads


def test_begin_when_a_commit_is_under_way_then_that_is_a_bug(start: Start) -> None:
    t = start()
    with pytest.raises(AssertionError, match="one commit at a time"):
        t.committer.begin(t.now)


@pytest.mark.parametrize("answer", ["written", "read_back"])
def test_answer_when_nothing_was_asked_then_that_is_a_bug(start: Start, answer: str) -> None:
    t = leading(start)
    with pytest.raises(AssertionError):
        getattr(t.committer, answer)(Failed("") if answer == "read_back" else Conflicted(), t.now)


def test_commit_ids_when_commits_follow_then_they_name_epoch_number_and_broker(
    start: Start,
) -> None:
    t = start()
    assert t.commit_id == f"{EPOCH}-1-me"
    t.ok()
    t.submit("a")
    assert t.commit_id == f"{EPOCH}-2-me"
    t.puts(edited(t.data, note=1))
    t.conflicts()
    t.reads()
    assert t.commit_id == f"{EPOCH}-3-me", "a number is never used again"


def test_commit_when_fixed_then_its_header_is_as_of_that_moment(start: Start) -> None:
    t = leading(start)
    t.runs(700)
    t.submit("a")
    assert read_origin(t.write.data).broker_heartbeat == t.now.wall


def test_read_back_when_the_store_says_unchanged_then_it_is_put_again(start: Start) -> None:
    t = leading(start)
    t.submit("a")
    first = t.write
    t.conflicts()
    t.read_back(Unchanged())
    t.runs(100)
    assert t.write == first


def test_check_when_it_comes_after_the_end_then_nothing_happens(start: Start) -> None:
    t = leading(start)
    t.runs(1_100)
    t.stats()
    t.abandon()
    t.checked(Unchanged())
    assert t.todo == []


def test_check_when_it_is_of_no_version_of_ours_then_its_finding_is_ignored(start: Start) -> None:
    t = leading(start)
    t.committer.checked(Failed("odd"), Check(Version("other"), 0, 0), t.now)
    assert t.committer.leads


def test_saved_when_told_then_it_has_ended(start: Start) -> None:
    t = leading(start)
    t.committer.saved("k", t.now)
    assert t.over.reason is EndReason.OVERWRITTEN


def test_wakes_when_a_leader_has_nothing_to_do_then_it_sleeps_until_its_heartbeat(
    start: Start,
) -> None:
    t = leading(start, leadership=LeadershipSettings(heartbeat_interval_ms=2_000))
    assert t.wake == t.now.mono + 2_000


def test_wakes_when_a_write_is_under_way_then_it_looks_after_its_callers(start: Start) -> None:
    t = leading(start)
    t.submit("a")
    assert t.now.mono < t.wake <= t.now.mono + PATROL_MS


@pytest.mark.parametrize("ms", [0, 1, 7, 250, 3_000, 100_000])
def test_wakes_when_a_tick_had_nothing_to_do_then_the_next_lies_ahead(
    start: Start, ms: int
) -> None:
    """Whatever is under way: a wake that is due again and again would never let the loop rest."""
    for prepare in _SITUATIONS:
        t = start(commit=CommitSettings(interval_ms=100))
        prepare(t)
        t.passes(ms)
        t.committer.tick(t.now)
        actions, answers = t.committer.take()
        assert (actions, answers) == ([], [])
        assert t.end is not None or t.committer.next_wake(t.now) > t.now.mono


def _taking(_: Trace) -> None:
    """Its first write is under way."""


def _idle(t: Trace) -> None:
    t.ok()


def _paced(t: Trace) -> None:
    t.ok()
    t.submit("a")


def _in_flight(t: Trace) -> None:
    t.ok()
    t.submit("a")
    t.runs(100)
    t.submit("b")
    t.stats()


def _backing_off(t: Trace) -> None:
    _in_flight(t)
    t.unclear()


def _reading_back(t: Trace) -> None:
    _in_flight(t)
    t.conflicts()


def _unread(t: Trace) -> None:
    _reading_back(t)
    t.fails_to_read()


def _unconfirmed(t: Trace) -> None:
    t.ok()
    t.runs(1_200)
    t.stats()


def _check_failed(t: Trace) -> None:
    _unconfirmed(t)
    t.fails_to_check()


def _leased(t: Trace) -> None:
    t.ok()
    t.submit("a")
    t.claim()
    t.runs(100)
    t.writes(Written(t.puts(t.write.data).version))
    t.runs(29_890)


def _waiting(t: Trace) -> None:
    t.ok()
    t.claim(waits=True)


def _stopping(t: Trace) -> None:
    _in_flight(t)
    t.stop()


def _ended(t: Trace) -> None:
    t.abandon()


_SITUATIONS = (
    _taking,
    _idle,
    _paced,
    _in_flight,
    _backing_off,
    _reading_back,
    _unread,
    _unconfirmed,
    _check_failed,
    _leased,
    _waiting,
    _stopping,
    _ended,
)


def test_write_when_asked_for_then_it_names_the_version_that_it_replaces(start: Start) -> None:
    t = leading(start)
    t.submit("a")
    assert t.stored is not None
    assert t.todo == [Write(t.write.data, t.stored.version)]
