"""Leases among several writers: renewals that others can see, and whose time is up by whom."""

from __future__ import annotations

import json
from typing import Any

from osqueue.config import QueueLimits
from osqueue.engine.tenure import Sharing
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, Heartbeat, LeaseRef, NewJob, Op, Submit
from osqueue.model.outcomes import Done, Grant, Results

from .conftest import FRESH, LIMITS, Start
from .harness import EPOCH, START, Trace
from .objects import job_ids, released, shared_by, taken_over

TIMEOUT = LIMITS.lease_timeout_ms
CLAIMED = (Submit((NewJob("theirs"),)), Claim("other", "seed"))


def job(data: bytes, at: int = 0) -> Any:
    return json.loads(data)["jobs"][at]


def others(writer: str, data: bytes, *ops: Op, at: int = START.wall) -> bytes:
    return shared_by(writer, data, *ops, now=Moment(at, 0))


def holding(share: Start) -> tuple[Trace, Grant]:
    """A writer whose worker has claimed a job."""
    t = share()
    t.submit("a")
    t.ok()
    claim = t.claim()
    t.ok()
    return t, t.grants(claim)[0]


def watching(share: Start) -> Trace:
    """A writer that sees another's lease, and has a claim waiting."""
    t = share(others("y", others("x", FRESH.encode(), *CLAIMED)))
    t.claim("none", waits=True)
    t.settles()
    return t


def beat() -> Heartbeat:
    return Heartbeat("other", (LeaseRef("theirs", "seed-0"),))


def test_heartbeat_when_the_written_one_is_young_then_it_stays_in_memory(share: Start) -> None:
    t, grant = holding(share)
    t.passes(9_000)
    held = t.heartbeat(grant)
    t.settles()
    assert t.outcome(held) == Results((Done(),))
    assert job(t.data)["heartbeat"] == START.wall


def test_heartbeat_when_the_written_one_is_a_third_old_then_it_is_written(share: Start) -> None:
    t, grant = holding(share)
    t.passes(10_000)
    held = t.heartbeat(grant)
    assert t.waits(held)
    t.ok()
    assert t.outcome(held) == Results((Done(),))
    assert job(t.data)["heartbeat"] == START.wall + 10_000


def test_heartbeat_when_the_clock_was_set_back_then_it_is_written(share: Start) -> None:
    t, grant = holding(share)
    t.wall_steps(-3_600_000)
    t.heartbeat(grant)
    assert t.asks_for() == ["Write"]


def test_own_lease_when_only_memory_knows_its_heartbeat_then_it_survives_a_rebuild(
    share: Start,
) -> None:
    t, grant = holding(share)
    t.goes_well(9_000)
    t.heartbeat(grant)
    t.settles()
    t.puts(others("y", t.data))
    t.claim("none", waits=True)
    t.goes_well(TIMEOUT - 100)
    assert job(t.data)["lease"] == grant.lease
    t.goes_well(1_500)
    assert "lease" not in job(t.data)


def test_own_lease_when_its_renewal_lost_a_race_then_it_is_written_again(share: Start) -> None:
    t, grant = holding(share)
    t.passes(10_000)
    held = t.heartbeat(grant)
    t.changes(others("y", t.data))
    t.goes_well(100)
    assert t.outcome(held) == Results((Done(),))
    assert job(t.data)["heartbeat"] == START.wall + 10_000


def test_foreign_lease_when_watched_standing_still_for_the_time_out_then_it_ends(
    share: Start,
) -> None:
    t = watching(share)
    t.goes_well(TIMEOUT - 100)
    assert "lease" in job(t.data)
    t.goes_well(1_500)
    assert job(t.data)["lastError"]["type"] == "LeaseExpired"


def test_foreign_lease_when_others_write_other_things_then_its_time_runs_on(share: Start) -> None:
    t = watching(share)
    for second in range(29):
        t.puts(others("xy"[second % 2], t.data))
        t.goes_well(1_000)
    assert "lease" in job(t.data)
    t.goes_well(2_500)
    assert "lease" not in job(t.data)


def test_foreign_lease_when_it_moves_then_it_has_a_full_time_out_again(share: Start) -> None:
    t = watching(share)
    t.goes_well(20_000)
    t.puts(others("y", t.data, beat(), at=t.now.wall))
    t.goes_well(TIMEOUT - 1_100)
    assert "lease" in job(t.data)
    t.goes_well(2_600)
    assert "lease" not in job(t.data)


def test_foreign_lease_when_claimed_again_then_it_has_a_full_time_out(share: Start) -> None:
    t = watching(share)
    t.goes_well(20_000)
    whole = json.loads(t.data)
    whole["jobs"][0]["lease"] = "another-0"
    t.puts(others("y", json.dumps(whole).encode()))
    t.goes_well(TIMEOUT - 1_100)
    assert "lease" in job(t.data)


def test_foreign_lease_when_a_leader_was_there_in_between_then_it_has_a_full_time_out(
    share: Start,
) -> None:
    t = watching(share)
    t.goes_well(20_000)
    t.puts(released(taken_over(t.data, epoch=EPOCH + 1)))
    t.goes_well(TIMEOUT - 1_100)
    assert "lease" in job(t.data)
    t.goes_well(2_600)
    assert "lease" not in job(t.data)


def test_foreign_lease_when_nobody_looks_then_nobody_takes_it_back(share: Start) -> None:
    t = share(others("x", FRESH.encode(), *CLAIMED))
    t.runs(3 * TIMEOUT)
    assert t.todo == []


def test_foreign_lease_when_looked_at_again_after_long_then_it_is_taken_back(share: Start) -> None:
    t = share(others("x", FRESH.encode(), *CLAIMED))
    t.runs(3 * TIMEOUT)
    claim = t.claim(waits=True)
    t.settles()
    t.goes_well(200)
    assert [grant.id for grant in t.grants(claim)] == ["theirs"]


def test_foreign_lease_when_a_script_is_short_then_it_never_ends_it(share: Start) -> None:
    t = share(others("x", FRESH.encode(), *CLAIMED))
    t.claim(waits=True)
    t.goes_well(TIMEOUT - 100)
    t.stop()
    assert "lease" in job(t.data)


def test_expiry_when_it_loses_a_race_then_it_is_due_again_at_once(share: Start) -> None:
    t = watching(share)
    while "Write" not in t.asks_for():
        t.runs(10)
        if "Write" not in t.asks_for():
            t.settles()
    t.changes(others("y", t.data))
    assert t.asks_for() == []
    t.goes_well(200)
    assert "lease" not in job(t.data)


def test_expiry_when_the_lease_was_renewed_meanwhile_then_it_is_not_taken_back(
    share: Start,
) -> None:
    t = watching(share)
    while "Write" not in t.asks_for():
        t.runs(10)
        if "Write" not in t.asks_for():
            t.settles()
    t.changes(others("y", t.data, beat(), at=t.now.wall))
    t.goes_well(TIMEOUT - 1_100)
    assert "lease" in job(t.data)


def test_expiry_when_the_process_stood_still_then_that_time_does_not_count(share: Start) -> None:
    t = watching(share)
    t.passes(TIMEOUT + 5_000)
    t.settles()
    t.goes_well(TIMEOUT - 2_500)
    assert "lease" in job(t.data)


def test_recent_ends_when_the_state_is_read_again_and_again_then_they_grow_old(
    start: Start,
) -> None:
    limits = QueueLimits(renewal_written_ms=10_000, finished_max=0)
    tenure = Sharing.named("me", epoch=EPOCH, takes=False)
    t = start(shared_by("x", FRESH.encode()), tenure=tenure, limits=limits)
    t.submit("a")
    t.settles()
    t.cancel("a")
    t.settles()
    assert len(json.loads(t.data)["recent"]) == 1
    t.claim("none", waits=True)
    for _ in range(70):
        t.puts(shared_by("y", t.data))
        t.goes_well(1_000)
    t.submit("b")
    t.settles()
    assert job_ids(t.data) == ["b"]
    assert json.loads(t.data)["recent"] == []
