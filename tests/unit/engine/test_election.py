from __future__ import annotations

import pytest

from osqueue.engine.election import Candidate, Decision, ProbeAnswer
from osqueue.model.snapshot import Origin
from osqueue.storage.protocol import Version

SILENT, LEADER = ProbeAnswer.SILENT, ProbeAnswer.LEADER
TAKE, WATCH, YIELD = Decision.TAKE, Decision.WATCH, Decision.YIELD
TIMEOUT_MS = 10_000


def leader(
    broker: str | None = "them:1", broker_id: str | None = "t", every: int = 3_000
) -> Origin:
    return Origin(
        format=1, epoch=5, commit="c", broker=broker, broker_id=broker_id, heartbeat_every=every
    )


class Watch:
    """A candidate that looks at the object now and then."""

    def __init__(self, at: int = 0) -> None:
        self.candidate = Candidate("me:1", timeout_ms=TIMEOUT_MS)
        self.at = at

    def look(
        self,
        version: str = "v1",
        origin: Origin | None = None,
        *,
        probe: ProbeAnswer = SILENT,
        after: int = 0,
    ) -> Decision:
        self.at += after
        return self.candidate.see(
            Version(version), origin or leader(), probe=probe, mono_ms=self.at
        )


def test_candidate_when_nobody_leads_then_it_takes_at_once() -> None:
    assert Watch().look(origin=leader(None, None), probe=LEADER) is TAKE


def test_candidate_when_the_address_is_its_own_then_it_takes_at_once() -> None:
    assert Watch().look(origin=leader("me:1")) is TAKE


@pytest.mark.parametrize("probe", [ProbeAnswer.REFUSED, ProbeAnswer.OTHER])
def test_candidate_when_the_leader_is_not_there_then_it_takes_at_once(probe: ProbeAnswer) -> None:
    assert Watch().look(probe=probe) is TAKE


def test_candidate_when_the_leader_answers_then_it_yields() -> None:
    watch = Watch()
    assert watch.look(probe=LEADER) is YIELD
    assert watch.look(probe=LEADER, after=10 * TIMEOUT_MS) is YIELD


@pytest.mark.parametrize("started_at", [0, 1_000_000_000])
def test_candidate_when_a_silent_leader_stands_still_then_it_takes_after_the_timeout(
    started_at: int,
) -> None:
    watch = Watch(started_at)
    assert watch.look() is WATCH
    assert watch.look(after=TIMEOUT_MS - 1) is WATCH
    assert watch.look(after=1) is TAKE


def test_candidate_when_the_leader_beats_slowly_then_it_waits_for_two_of_its_beats() -> None:
    watch, slow = Watch(), leader(every=20_000)
    assert watch.look(origin=slow) is WATCH
    assert watch.look(origin=slow, after=39_999) is WATCH
    assert watch.look(origin=slow, after=1) is TAKE


def test_candidate_when_the_silent_leader_writes_then_it_yields() -> None:
    watch = Watch()
    assert watch.look("v1") is WATCH
    assert watch.look("v2", after=9_000) is YIELD


def test_candidate_when_another_takes_over_then_it_watches_that_one_from_the_start() -> None:
    watch, other = Watch(), leader("other:1", "o")
    assert watch.look("v1") is WATCH
    assert watch.look("v2", other, after=9_000) is WATCH
    assert watch.look("v2", other, after=9_999) is WATCH
    assert watch.look("v2", other, after=1) is TAKE


def test_candidate_when_the_same_address_starts_anew_then_that_is_another_leader() -> None:
    watch = Watch()
    assert watch.look("v1", leader(broker_id="first")) is WATCH
    assert watch.look("v2", leader(broker_id="second"), after=9_000) is WATCH


def test_candidate_when_an_older_implementation_leads_then_its_address_tells_it_apart() -> None:
    watch, old = Watch(), Origin(broker="them:1")
    assert watch.look("v1", old) is WATCH
    assert watch.look("v2", old, after=5_000) is YIELD


def test_candidate_when_an_older_implementation_is_gone_then_it_takes_after_the_timeout() -> None:
    watch, old = Watch(), Origin(broker="them:1")
    assert watch.look("v1", old) is WATCH
    assert watch.look("v1", old, after=TIMEOUT_MS) is TAKE
