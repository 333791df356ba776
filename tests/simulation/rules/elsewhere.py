"""Rules that a simulation does not show, and the test that holds each: what costs time but changes
nothing, what is of one place alone, and what is not in the simulated world.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ELSEWHERE", "Held"]


class Held(NamedTuple):
    """``test``: ``file::name``, below ``tests/``."""

    rule: str
    test: str


ELSEWHERE: Final = (
    Held(
        "applied again, a claim that had come from a waiter goes back to waiting",
        "traces/test_committer_waiting.py::test_reapplied_when_a_waiter_had_been_served_then_it_waits_again",
    ),
    Held(
        "one proof of leadership serves all who wait for one",
        "traces/test_committer_answers.py::test_check_when_many_wait_then_one_serves_them_all",
    ),
    Held(
        "events leave with their commit, not before",
        "traces/test_committer_events.py::test_events_when_the_commit_has_not_landed_then_nothing_is_told",
    ),
    Held(
        "an interval between commits is kept",
        "traces/test_committer_pacing.py::test_pacing_when_an_interval_is_set_then_commits_begin_no_sooner",
    ),
    Held(
        "encoding takes no more than its share of the processor",
        "traces/test_committer_pacing.py::test_pacing_when_encoding_is_dear_and_requests_keep_coming_then_it_takes_its_share",
    ),
    Held(
        "commits run back to back when encoding is cheap",
        "traces/test_committer_pacing.py::test_pacing_when_encoding_is_cheap_then_commits_run_back_to_back",
    ),
    Held(
        "a heartbeat that is due does not wait for limits on writes",
        "traces/test_committer_pacing.py::test_store_when_it_is_not_ready_for_long_then_what_waits_goes_with_the_heartbeat",
    ),
    Held(
        "brokers that cannot reach each other do not take turns",
        "traces/test_election_traces.py::test_leader_when_fenced_by_whom_it_took_for_gone_then_they_do_not_take_turns",
    ),
    Held(
        "a broker that has handed over lets others come first",
        "traces/test_election_traces.py::test_leader_when_it_handed_over_then_others_come_first",
    ),
    Held(
        "the first epoch is the second of the day, and none comes back",
        "unit/engine/test_leadership.py::test_chance_when_nothing_is_stored_then_it_begins_at_the_unix_second",
    ),
    Held(
        "an epoch of which only payload objects tell does not come again either",
        "unit/engine/test_leadership.py::test_chance_when_payloads_tell_of_a_higher_epoch_then_it_is_not_used_again",
    ),
    Held(
        "a damaged object is left untouched",
        "unit/engine/test_leadership.py::test_chance_when_the_object_cannot_be_read_then_it_is_left_untouched",
    ),
    Held(
        "what is remembered of ends is bounded in number",
        "unit/model/test_ends.py::test_memory_when_more_ends_than_allowed_then_the_oldest_go_first",
    ),
    Held(
        "the line of commits names the last writers only",
        "unit/model/test_state.py::test_succeed_when_many_wrote_before_then_the_last_64_are_kept_in_order",
    ),
    Held(
        "a payload that would not open again is refused",
        "unit/model/test_payload.py::test_payload_when_it_would_not_open_again_then_the_fault_is_named",
    ),
    Held(
        "a leader that lost its place without knowing sweeps nothing",
        "unit/engine/test_sweeper.py::test_sweep_when_a_rival_has_taken_over_then_it_deletes_nothing",
    ),
)
