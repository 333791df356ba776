"""When a broker takes over, and when it lets be."""

from __future__ import annotations

import pytest

from osqueue.engine.election import Ask, Halt, Load, Look, ProbeAnswer, Rest, Role, Take
from osqueue.engine.requests import EndReason

from .election_harness import ADDRESS, ME, SETTINGS, Watch, led_by

TIMEOUT = SETTINGS.heartbeat_timeout_ms
INTERVAL = SETTINGS.heartbeat_interval_ms
SLACK = 2_500
"""What looking and asking now and then may add."""


# Nobody leads


def test_start_when_there_is_no_object_then_it_takes_at_once() -> None:
    w = Watch()
    assert w.until(Take) == 0
    assert w.role is Role.CANDIDATE


def test_start_when_leadership_was_released_then_it_takes_at_once() -> None:
    w = Watch(led_by(None, None))
    assert w.until(Take) == 0
    assert w.count(Ask) == 0


def test_start_when_the_address_is_its_own_then_it_takes_at_once_and_asks_nobody() -> None:
    w = Watch(led_by(ADDRESS, "before"))
    assert w.until(Take) == 0
    assert w.count(Ask) == 0


@pytest.mark.parametrize("answer", [ProbeAnswer.REFUSED, ProbeAnswer.OTHER])
def test_start_when_the_leader_is_not_there_then_it_takes_at_once(answer: ProbeAnswer) -> None:
    w = Watch(led_by("them:1"))
    w.answers = answer
    assert w.until(Take) == 0


# A live leader


def test_standby_when_the_leader_answers_then_it_never_takes_and_names_it() -> None:
    w = Watch(led_by("them:1"))
    w.runs(3_600_000, beats_every=INTERVAL)
    assert w.election.leader == "them:1"


def test_standby_when_the_leader_answers_then_the_object_is_loaded_once_and_looked_at() -> None:
    w = Watch(led_by("them:1"))
    w.runs(600_000, beats_every=INTERVAL)
    assert w.count(Load) == 1
    assert 600_000 // INTERVAL - 20 <= w.count(Look) <= 600_000 // INTERVAL
    assert w.count(Ask) <= 6 * 600_000 // INTERVAL + 2


def test_standby_when_the_leader_answers_but_the_object_stands_still_then_it_lets_be() -> None:
    """It answers that it leads and can write: whatever the reason, it will write."""
    w = Watch(led_by("them:1"))
    w.runs(600_000)


def test_standby_when_the_leader_writes_but_is_silent_then_it_lets_be() -> None:
    w = Watch(led_by("them:1"))
    w.answers, w.silent_ms = ProbeAnswer.SILENT, 60_000
    w.runs(600_000, beats_every=INTERVAL)
    assert w.count(Load) == 1, "a large state is not loaded again and again"
    assert w.election.leader is None, "nobody is sent to it"


# A leader that dies


@pytest.mark.parametrize("answer", [ProbeAnswer.REFUSED, ProbeAnswer.OTHER])
def test_standby_when_the_leader_dies_then_it_takes_when_it_next_asks(answer: ProbeAnswer) -> None:
    w = Watch(led_by("them:1"))
    w.runs(30_000, beats_every=INTERVAL)
    w.answers = answer
    assert w.until(Take) <= INTERVAL


def test_standby_when_the_leader_hangs_then_it_takes_within_the_timeout_and_a_little() -> None:
    w = Watch(led_by("them:1"))
    w.runs(30_000, beats_every=INTERVAL)
    w.writes()
    w.answers, w.silent_ms = ProbeAnswer.SILENT, 60_000
    took = w.until(Take)
    assert TIMEOUT - INTERVAL <= took <= TIMEOUT + 2_000, "two seconds for noticing"


def test_standby_when_the_leader_hangs_then_nothing_is_taken_before_it_stood_still_so_long() -> (
    None
):
    w = Watch(led_by("them:1"))
    w.answers, w.silent_ms = ProbeAnswer.SILENT, 60_000
    w.runs(TIMEOUT - 1_000)
    w.writes()
    assert w.until(Take) >= TIMEOUT


def test_standby_when_the_leader_beats_slowly_and_hangs_then_two_of_its_beats_are_waited_for() -> (
    None
):
    w = Watch(led_by("them:1"))
    w.writes(heartbeat_every=60_000)
    w.answers, w.silent_ms = ProbeAnswer.SILENT, 60_000
    assert 120_000 <= w.until(Take) <= 120_000 + SLACK


def test_standby_when_a_slow_leader_came_up_to_speed_then_that_is_learnt_before_the_takeover() -> (
    None
):
    w = Watch(led_by("them:1"))
    w.writes(heartbeat_every=60_000)
    w.runs(10_000)
    w.writes(heartbeat_every=INTERVAL)  # it is watched now
    w.runs(10_000, beats_every=INTERVAL)
    w.answers, w.silent_ms = ProbeAnswer.SILENT, 60_000
    assert w.until(Take) <= TIMEOUT + INTERVAL + SLACK
    assert w.election.origin is not None
    assert w.election.origin.heartbeat_every == INTERVAL


def test_standby_when_the_leader_comes_back_in_time_then_it_lets_be() -> None:
    w = Watch(led_by("them:1"))
    w.answers, w.silent_ms = ProbeAnswer.SILENT, 60_000
    w.runs(TIMEOUT - 1_500)
    w.answers, w.silent_ms = ProbeAnswer.LEADER, 0
    w.runs(600_000, beats_every=INTERVAL)


def test_standby_when_another_took_over_meanwhile_then_that_one_is_asked() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000, beats_every=INTERVAL)
    w.writes(led_by("third:1", "third", 8))
    w.answers = ProbeAnswer.REFUSED
    w.until(Load)
    w.answers = ProbeAnswer.LEADER
    w.runs(60_000, beats_every=INTERVAL)
    assert w.election.leader == "third:1"


def test_standby_when_the_leader_gave_up_its_place_then_it_takes_at_once() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000, beats_every=INTERVAL)
    w.writes(led_by(None, None))
    w.answers = ProbeAnswer.RESIGNED
    assert w.until(Take) <= INTERVAL // 6


def test_standby_when_the_leader_let_go_and_is_only_heard_no_more_then_it_takes_at_once() -> None:
    """Something before it accepts the connection, and closes it."""
    w = Watch(led_by("them:1"))
    w.runs(10_000, beats_every=INTERVAL)
    w.writes(led_by(None, None))
    w.answers = ProbeAnswer.SILENT
    assert w.until(Take) <= INTERVAL // 6


def test_standby_when_a_silent_leader_lets_go_then_it_takes_before_the_timeout() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000, beats_every=INTERVAL)
    w.answers = ProbeAnswer.SILENT
    w.runs(2_000)
    w.writes(led_by(None, None))
    assert w.until(Take) <= INTERVAL + 2 * TIMEOUT // 10


def test_standby_when_the_leader_resigned_and_its_object_says_otherwise_then_it_waits() -> None:
    w = Watch(led_by("them:1"))
    w.answers = ProbeAnswer.RESIGNED
    assert w.until(Take) >= TIMEOUT


def test_take_when_the_object_has_moved_then_it_is_loaded_first() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000)
    w.writes()
    w.answers = ProbeAnswer.REFUSED
    w.until(Take)
    assert isinstance(w.done[-2], Load)


def test_take_when_the_object_went_back_to_what_was_loaded_then_it_is_loaded_again() -> None:
    """A copy was put back, and the store names versions by their bytes; what was loaded is gone."""
    w = Watch(led_by("them:1"))
    w.runs(10_000)
    w.version = 5
    w.until(Look)
    w.version = 0
    w.answers = ProbeAnswer.REFUSED
    w.until(Take)
    assert w.count(Load) == 2


# Older implementations


def test_standby_when_an_older_implementation_leads_then_it_waits_until_that_stands_still() -> None:
    w = Watch(led_by("old:1", None, None))
    w.answers, w.silent_ms = ProbeAnswer.SILENT, 60_000
    w.runs(60_000, beats_every=INTERVAL)
    assert w.until(Take) >= TIMEOUT - INTERVAL


def test_standby_when_an_older_implementation_overwrites_then_it_halts_for_good() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000)
    w.writes(led_by("old:1", None, None))
    w.answers = ProbeAnswer.REFUSED
    w.until(Halt)
    assert w.role is Role.HALTED


def test_standby_when_told_to_adopt_then_it_goes_on_from_what_was_overwritten() -> None:
    w = Watch(led_by("them:1"), adopt=True)
    w.runs(10_000)
    w.writes(led_by("old:1", None, None))
    w.answers = ProbeAnswer.REFUSED
    w.until(Take)


# The object is gone


def test_standby_when_the_object_vanishes_then_it_is_not_new_to_it() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000)
    w.vanishes()
    w.until(Halt)
    assert w.role is Role.HALTED


def test_standby_when_the_object_vanishes_and_is_created_again_then_it_stands_by() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000)
    before, w.origin = w.origin, None
    w.runs(TIMEOUT)
    w.writes(before, epoch=9)
    w.runs(600_000, beats_every=INTERVAL)
    assert w.election.leader == "them:1"


# The store does not answer


def test_standby_when_the_store_does_not_answer_then_it_asks_now_and_then() -> None:
    w = Watch(led_by("them:1"))
    w.runs(10_000)
    w.reads_fail, w.answers = True, ProbeAnswer.REFUSED
    assert len(w.runs(60_000)) <= 3 * 60_000 * 10 // TIMEOUT
    w.reads_fail = False
    w.until(Take)


# Losing, and rivals


def test_candidate_when_another_was_faster_then_it_stands_by_for_that_one() -> None:
    w = Watch(led_by(None, None))
    w.until(Take)
    w.writes(led_by("them:1", "them", 8))
    w.ends(EndReason.FENCED, "them:1")
    w.runs(60_000, beats_every=INTERVAL)
    assert (w.role, w.election.leader) == (Role.STANDBY, "them:1")


def test_candidate_when_the_store_refused_then_it_tries_again_after_a_while() -> None:
    w = Watch(led_by(None, None))
    w.until(Take)
    w.ends(EndReason.UNWRITABLE)
    assert w.until(Take) >= TIMEOUT // 10


def test_leader_when_it_handed_over_then_others_come_first() -> None:
    w = Watch(led_by(None, None))
    w.leads()
    w.election.hand_over()
    w.writes(led_by(None, None))
    w.ends(EndReason.RELEASED)
    w.runs(TIMEOUT - 100)
    assert w.until(Take) <= 200


def test_leader_when_it_handed_over_and_another_leads_then_that_is_seen_soon() -> None:
    w = Watch(led_by(None, None))
    w.leads()
    w.election.hand_over()
    w.writes(led_by(None, None))
    w.ends(EndReason.RELEASED)
    w.runs(300)
    w.writes(led_by("them:1", "them", 9))
    w.until(Ask, ms_max=200)
    assert w.election.leader == "them:1"


def test_leader_when_it_handed_over_and_the_next_did_so_too_then_it_takes_at_once() -> None:
    w = Watch(led_by(None, None))
    w.leads()
    w.election.hand_over()
    w.writes(led_by(None, ME, 8))
    w.ends(EndReason.RELEASED)
    w.runs(300)
    w.writes(led_by("them:1", "them", 9))
    w.runs(1_000)
    w.writes(broker=None)
    w.answers = ProbeAnswer.RESIGNED
    assert w.until(Take) <= INTERVAL // 3


def test_leader_when_fenced_by_its_own_address_then_they_do_not_take_turns() -> None:
    """Two brokers that advertise one address: each finds itself there, and must not conclude
    that the other is gone."""
    w = Watch(led_by(ADDRESS, "before"))
    w.leads()
    w.writes(led_by(ADDRESS, "rival", 9))
    w.ends(EndReason.FENCED, ADDRESS)
    w.runs(600_000, beats_every=INTERVAL)
    assert w.until(Take) >= TIMEOUT - INTERVAL, "once the other stands still"


@pytest.mark.parametrize("answer", [ProbeAnswer.REFUSED, ProbeAnswer.OTHER])
def test_leader_when_fenced_by_whom_it_took_for_gone_then_they_do_not_take_turns(
    answer: ProbeAnswer,
) -> None:
    """Two brokers of which each advertises an address that the other cannot reach."""
    w = Watch(led_by("them:1"))
    w.answers = answer
    w.leads()
    w.writes(led_by("them:1", "them", 9))
    w.ends(EndReason.FENCED, "them:1")
    w.runs(600_000, beats_every=INTERVAL)
    assert TIMEOUT - INTERVAL <= w.until(Take) <= TIMEOUT + SLACK


def test_leader_when_fenced_by_one_that_answers_then_it_takes_at_once_when_that_one_dies() -> None:
    w = Watch(led_by("them:1"))
    w.answers = ProbeAnswer.REFUSED
    w.leads()
    w.writes(led_by("them:1", "again", 9))
    w.ends(EndReason.FENCED, "them:1")
    w.answers = ProbeAnswer.LEADER
    w.runs(60_000, beats_every=INTERVAL)
    w.answers = ProbeAnswer.REFUSED
    assert w.until(Take) <= INTERVAL


def test_leader_when_fenced_then_it_names_the_next_one_and_not_the_last() -> None:
    w = Watch(led_by("dead:1"))
    w.answers = ProbeAnswer.REFUSED
    w.leads()
    w.writes(led_by("third:1", "third", 9))
    w.ends(EndReason.FENCED, "third:1")
    w.reads_fail = True
    w.runs(10_000)
    assert w.election.leader == "third:1"


def test_leader_when_it_handed_over_then_it_names_nobody_before_another_leads() -> None:
    w = Watch(led_by("dead:1"))
    w.answers = ProbeAnswer.REFUSED
    w.leads()
    w.election.hand_over()
    w.writes(led_by(None, ME, 8))
    w.ends(EndReason.RELEASED)
    assert w.election.leader is None


def test_standby_when_the_object_names_itself_then_it_takes_at_once() -> None:
    w = Watch(led_by(ADDRESS, ME))
    assert w.until(Take) == 0


def test_leader_when_nobody_waits_for_it_then_it_is_not_named_as_another() -> None:
    w = Watch(led_by(ADDRESS, "before"))
    w.step()
    assert w.election.leader is None


def test_standby_when_it_rests_then_never_for_longer_than_a_fraction_of_the_timeout() -> None:
    w = Watch(led_by("them:1"))
    w.runs(60_000, beats_every=INTERVAL)
    assert max(step.ms for step in w.done if isinstance(step, Rest)) <= TIMEOUT // 10


def test_candidate_when_the_store_refuses_again_and_again_then_it_tries_ever_more_seldom() -> None:
    w = Watch(led_by(None, None))
    pauses = []
    for _ in range(8):
        w.until(Take)
        began = w.now
        w.ends(EndReason.UNWRITABLE)
        w.until(Take)
        pauses.append(w.now - began)
        w.ends(EndReason.UNWRITABLE)
    assert pauses == sorted(pauses)
    assert pauses[0] <= 2 * TIMEOUT // 10
    assert pauses[-1] == 32 * TIMEOUT // 10
