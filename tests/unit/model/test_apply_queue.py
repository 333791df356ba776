"""What is done to the queue as a whole, and to the order of what waits in it."""

from __future__ import annotations

import pytest

from osqueue.model.outcomes import Done, NotFound, NotWaiting

from .driver import Driver, job_json, state_json


def test_pause_when_repeated_then_done_and_nothing_more_is_written() -> None:
    queue = Driver()
    assert queue.pause() == Done()
    before, revision = queue.encoded, queue.state.revision
    assert queue.pause() == Done()
    assert (queue.encoded, queue.state.revision) == (before, revision)
    assert queue.counts().paused


def test_resume_when_not_paused_then_done_and_nothing_is_written() -> None:
    queue = Driver()
    before, revision = queue.encoded, queue.state.revision
    assert queue.resume() == Done()
    assert (queue.encoded, queue.state.revision) == (before, revision)
    assert "paused" not in queue.json


def test_pause_when_jobs_are_held_then_all_that_ends_a_lease_goes_on() -> None:
    queue = Driver()
    queue.submit("done", "failed", "given back", "lapsed")
    queue.claim(most=4)
    queue.pause()
    queue.complete("done")
    queue.fail("failed")
    queue.release("given back")
    queue.passes(30_000)
    queue.expire()
    assert queue.claim_ids(most=9) == []
    queue.resume()
    assert queue.claim_ids(most=9) == ["failed", "given back", "lapsed"]


def test_pause_when_read_by_another_then_it_still_holds_until_resumed() -> None:
    queue = Driver()
    queue.submit("a")
    queue.pause()
    queue.reload()
    assert queue.json["paused"] is True
    assert queue.claim_ids() == []
    queue.resume()
    queue.reload()
    assert "paused" not in queue.json
    assert queue.claim_ids() == ["a"]


def test_state_when_written_without_the_field_then_the_queue_is_not_paused() -> None:
    queue = Driver(state_json(job_json(id="a")))
    assert not queue.counts().paused
    assert queue.claim_ids() == ["a"]


def test_pause_when_delays_end_meanwhile_then_their_jobs_come_after_resuming() -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall + 10)
    queue.pause()
    queue.passes(10)
    assert queue.claim_ids() == []
    assert queue.counts().delayed == 0
    queue.resume()
    assert queue.claim_ids() == ["a"]


def test_resume_when_jobs_were_ready_before_then_all_their_types_are_woken() -> None:
    queue = Driver()
    queue.submit("a", type="x")
    queue.submit("b", type="y")
    queue.state.ready.woken.clear()
    queue.pause()
    assert queue.state.ready.woken == set()
    queue.resume()
    assert queue.state.ready.woken == {"x", "y"}


def test_priority_when_set_then_the_job_is_where_it_would_be_had_it_come_so() -> None:
    queue = Driver()
    for job_id, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        queue.submit(job_id, priority=priority)
    assert queue.set_priority("a", 5) == Done()
    assert queue.set_priority("d", -1) == Done()
    assert queue.claim_ids(most=9) == ["d", "c", "a", "b"]


def test_priority_when_written_and_read_then_it_is_kept() -> None:
    queue = Driver()
    queue.submit("a", "b")
    queue.set_priority("b", -3)
    assert queue.job("b")["priority"] == -3
    queue.reload()
    assert queue.claim_ids(most=9) == ["b", "a"]


def test_priority_when_of_a_delayed_job_then_it_counts_once_the_delay_has_ended() -> None:
    queue = Driver()
    queue.submit("late", run_at=queue.now.wall + 10)
    queue.submit("now")
    assert queue.set_priority("late", -1) == Done()
    assert queue.counts().delayed == 1
    queue.passes(10)
    assert queue.claim_ids(most=2) == ["late", "now"]


def test_priority_when_set_back_while_delayed_then_the_old_entry_hands_nothing_out() -> None:
    queue = Driver()
    queue.submit("a", "other")
    queue.set_priority("a", -1)
    assert queue.claim_ids() == ["a"]
    queue.fail("a", delay_ms=1_000)
    queue.set_priority("a", 0)
    assert queue.claim_ids(most=9) == ["other"]
    queue.passes(1_000)
    assert queue.claim_ids(most=9) == ["a"]


def test_priority_when_set_to_and_fro_then_the_job_is_handed_out_once() -> None:
    queue = Driver()
    queue.submit("a", "b")
    for priority in (4, 0, 4, 0):
        queue.set_priority("a", priority)
    assert queue.claim_ids(most=9) == ["a", "b"]
    queue.release("a")
    assert queue.claim_ids(most=9) == ["a"]
    assert queue.claim_ids(most=9) == []


def test_priority_when_it_is_that_already_then_done_and_nothing_is_written() -> None:
    queue = Driver()
    queue.submit("a", priority=3)
    revision = queue.state.revision
    assert queue.set_priority("a", 3) == Done()
    assert queue.state.revision == revision


def test_priority_when_repeated_after_the_job_went_on_then_done_as_the_first_time() -> None:
    queue = Driver()
    queue.submit("a")
    queue.set_priority("a", 3)
    queue.claim()
    assert queue.set_priority("a", 3) == Done()
    assert queue.set_priority("a", 4) == NotWaiting("a", "in_progress")
    queue.complete("a")
    assert queue.set_priority("a", 3) == Done()


def test_priority_when_of_a_held_job_then_refused_and_its_next_attempt_keeps_the_old() -> None:
    queue = Driver()
    queue.submit("a", "b")
    queue.claim()
    assert queue.set_priority("a", 9) == NotWaiting("a", "in_progress")
    queue.fail("a")
    assert queue.claim_ids() == ["a"]


@pytest.mark.parametrize("known", [True, False])
def test_priority_when_the_job_is_over_then_refused_as_long_as_that_is_known(
    *, known: bool
) -> None:
    queue = Driver(finished_max=0)
    queue.submit("a")
    queue.cancel("a")
    if not known:
        queue.passes(60_001)
        queue.forget()
    over = NotWaiting("a", "cancelled") if known else NotFound("a")
    assert queue.set_priority("a", 9) == over


def test_priority_when_a_dead_letter_is_queued_again_then_it_can_be_set() -> None:
    queue = Driver()
    queue.submit("a", "b")
    queue.claim()
    queue.fail("a", retry=False)
    assert queue.set_priority("a", 9) == NotWaiting("a", "dead")
    queue.retry("a")
    assert queue.set_priority("a", 9) == Done()
    assert queue.claim_ids(most=9) == ["b", "a"]
