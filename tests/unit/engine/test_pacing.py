"""The pace of one writer among others."""

from __future__ import annotations

from osqueue.config import CommitSettings
from osqueue.engine.pacing import NEVER, YIELD_MS_MAX, Pacing


def landed(*, took_ms: int, met_at: int = 0) -> int:
    """When the next commit may begin after one that landed at 20 s."""
    pacing = Pacing(CommitSettings(), lambda: 1.0)
    pacing.met(met_at)
    pacing.landed(took_ms, 20_000)
    return pacing.not_before(due_at=0)


def test_commit_when_others_are_at_work_then_they_have_the_time_that_it_took() -> None:
    assert landed(took_ms=50) == 20_000 + 1 + 4 * 50


def test_commit_when_the_store_had_left_it_unanswered_then_callers_do_not_wait_for_that() -> None:
    assert landed(took_ms=15_000) == 20_000 + 1 + YIELD_MS_MAX


def test_commit_when_nobody_else_was_seen_then_it_waits_for_nobody() -> None:
    assert landed(took_ms=15_000, met_at=NEVER) < 20_000
