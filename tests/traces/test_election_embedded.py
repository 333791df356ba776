"""A leader that nobody can ask is judged by what it writes, and by nothing else."""

from __future__ import annotations

from osqueue.engine.election import Ask, Load, ProbeAnswer, Take
from osqueue.engine.requests import EndReason
from osqueue.wire.leaders import embedded_address

from .election_harness import SETTINGS, Watch, led_by

TIMEOUT = SETTINGS.heartbeat_timeout_ms
INTERVAL = SETTINGS.heartbeat_interval_ms
SLACK = 2_500
EMBEDDED = embedded_address("web-1", 4711)


def embedded() -> Watch:
    w = Watch(led_by(EMBEDDED))
    w.answers = ProbeAnswer.REFUSED  # what asking at such an address would bring
    return w


def commits(w: Watch, ms: int) -> None:
    """It writes as often as it has promised."""
    for number in range(ms // INTERVAL):
        w.runs(INTERVAL)
        w.writes(commit=f"7-{number}-them")


def test_standby_when_the_leader_is_embedded_then_nobody_is_asked_and_it_lets_be() -> None:
    w = embedded()
    commits(w, 600_000)
    assert w.count(Ask) == 0


def test_standby_when_an_embedded_leader_writes_then_it_is_named_and_seldom_read() -> None:
    w = embedded()
    commits(w, 600_000)
    assert w.election.leader == EMBEDDED
    assert w.count(Load) <= 600_000 // TIMEOUT + 2, "a state may be large"


def test_standby_when_an_embedded_leader_dies_then_it_takes_after_the_timeout() -> None:
    w = embedded()
    commits(w, 60_000)
    assert TIMEOUT <= w.until(Take) <= TIMEOUT + SLACK


def test_standby_when_an_embedded_leader_was_dead_before_then_it_takes_after_the_timeout() -> None:
    w = embedded()
    assert TIMEOUT <= w.until(Take) <= TIMEOUT + SLACK
    assert w.election.leader is None


def test_standby_when_an_embedded_leader_promised_to_be_slow_then_it_waits_for_twice_that() -> None:
    w = embedded()
    w.writes(heartbeat_every=60_000)
    assert 120_000 <= w.until(Take) <= 120_000 + SLACK


def test_standby_when_an_embedded_leader_lets_go_then_it_takes_within_an_interval() -> None:
    w = embedded()
    commits(w, 60_000)
    w.writes(broker=None, broker_id=None)
    assert w.until(Take) <= INTERVAL + SLACK


def test_standby_when_another_embedded_queue_of_its_own_process_leads_then_it_lets_be() -> None:
    w = embedded()
    w.writes(broker=EMBEDDED)
    w.election = type(w.election)(EMBEDDED, "me", settings=SETTINGS)
    commits(w, 600_000)
    assert w.election.leader == EMBEDDED


def test_embedded_when_its_takeover_had_landed_after_all_then_it_takes_at_once() -> None:
    w = Watch(led_by(None, None))
    w.election = type(w.election)(EMBEDDED, "me", settings=SETTINGS)
    w.until(Take)
    w.writes(led_by(EMBEDDED, "me", 8))
    w.ends(EndReason.UNWRITABLE)
    assert w.until(Take) < TIMEOUT


def test_standby_when_an_embedded_leader_is_followed_by_a_broker_then_that_one_is_asked() -> None:
    w = embedded()
    commits(w, 60_000)
    w.answers = ProbeAnswer.LEADER
    w.writes(broker="them:1", broker_id="other", epoch=8, commit="8-1-other")
    w.runs(TIMEOUT + INTERVAL, beats_every=INTERVAL // 2)
    assert w.election.leader == "them:1"
