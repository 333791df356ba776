"""Jobs that wait for others, through commits: who gets them, and who leads by then."""

from __future__ import annotations

import json
from typing import Any

from osqueue.engine.requests import Held
from osqueue.model.ops import NewJob, Submit
from osqueue.model.outcomes import Done, Grant, ParentMissing, Results

from .conftest import Start
from .harness import Trace
from .objects import taken_over


def jobs(data: bytes) -> dict[str, Any]:
    return {job["id"]: job for job in json.loads(data)["jobs"]}


def with_parent_held(lead: Start) -> tuple[Trace, Grant]:
    """`b` waits for `a`, which is held, and all that is durable."""
    t = lead()
    t.ask(Submit((NewJob("a"), NewJob("b", after=("a",)))))
    claim = t.claim()
    t.ok()
    t.ok()
    return t, t.grants(claim)[0]


def ids(t: Trace, held: Held) -> list[str]:
    return [grant.id for grant in t.grants(held)]


def test_parent_completed_while_a_claim_waits_then_end_and_claim_are_in_one_commit(
    lead: Start,
) -> None:
    t, grant = with_parent_held(lead)
    claim = t.claim(waits=True)
    completed = t.complete(grant)
    written = jobs(t.write.data)
    assert list(written) == ["b"]
    assert (written["b"]["status"], written["b"]["after"]) == ("in_progress", ["a"])
    assert t.waits(claim)
    t.ok()
    assert ids(t, claim) == ["b"]
    assert claim.position == completed.position
    t.finish()


def test_parent_completed_and_the_reply_lost_then_put_again_and_the_child_is_freed_once(
    lead: Start,
) -> None:
    t, grant = with_parent_held(lead)
    completed = t.complete(grant)
    first = t.write.data
    t.lands(t.write)
    t.unclear()
    t.runs(1_000)
    assert t.write.data == first, "the same bytes again"
    t.conflicts()
    t.reads()
    assert completed.outcome == Results((Done(),))
    again = t.complete(grant)
    claim, other = t.claim(waits=True), t.claim(waits=True)
    t.ok()
    assert again.outcome == Results((Done(),))
    assert ids(t, claim) == ["b"]
    assert t.waits(other)
    t.finish()


def test_parent_completed_and_another_leads_by_then_then_the_child_is_free_there(
    lead: Start, start: Start
) -> None:
    t, grant = with_parent_held(lead)
    t.complete(grant)
    t.lands(t.write)
    assert t.stored is not None
    data = taken_over(t.stored.data, epoch=999)
    t.puts(data)
    t.conflicts()
    t.reads()
    assert t.end is not None
    other = start(data, epoch=1_000)
    other.ok()
    claim = other.claim(waits=True)
    again = other.complete(grant)
    other.ok()
    assert again.outcome == Results((Done(),)), "a retry by who was not told"
    assert ids(other, claim) == ["b"]


def test_parent_completed_in_vain_then_the_child_waits_at_the_next_leader(
    lead: Start, start: Start
) -> None:
    t, grant = with_parent_held(lead)
    t.complete(grant)
    assert t.stored is not None
    data = taken_over(t.stored.data, epoch=999)  # before our write arrived
    t.puts(data)
    t.conflicts()
    t.reads()
    other = start(data, epoch=1_000)
    other.ok()
    claim = other.claim(waits=True)
    assert other.waits(claim)
    other.complete(grant)
    other.ok()
    assert ids(other, claim) == ["b"]


def test_parent_cancelled_then_its_end_and_those_of_its_children_are_one_commit(
    lead: Start,
) -> None:
    t, _ = with_parent_held(lead)
    cancelled = t.cancel("a")
    whole = json.loads(t.write.data)
    assert (whole["jobs"], [job["id"] for job in whole["finished"]]) == ([], ["a", "b"])
    t.ok()
    assert cancelled.outcome == Done()
    t.finish()


def test_submit_when_its_parent_is_in_the_commit_under_way_then_it_waits_for_it(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    child = t.submit("b", after=("a",))
    t.ok()
    assert jobs(t.write.data)["b"]["waitsFor"] == ["a"]
    t.ok()
    assert child.position is not None
    t.finish()


def test_submit_when_it_is_refused_then_answered_when_what_it_saw_is_durable(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.cancel("a")
    refused = t.submit("b", after=("a",))
    assert t.waits(refused), "the cancel may not come to pass"
    t.ok()
    t.ok()
    assert refused.outcome == ParentMissing("b", "a", "cancelled")
    t.finish()
