"""Who of the demo's brokers leads, and what all of them committed."""

from __future__ import annotations

import pytest

from osqueue.cli.demo.leaders import Leaders, Life
from osqueue.engine.election import Role
from osqueue.wire.messages import BrokerStatus

ONE = Life("broker 1", 4711)
TWO = Life("broker 2", 4712)


def says(role: Role, *, epoch: int, commits: int = 0) -> BrokerStatus:
    return BrokerStatus(
        ready=role is Role.LEADER,
        role=role,
        address="127.0.0.1:8080",
        broker_id="b",
        leader=None,
        epoch=epoch,
        commits=commits,
    )


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def leaders(notes: list[str]) -> Leaders:
    """Broker 1 has led for 10 commits; 5 of them were there before it was first heard."""
    leaders = Leaders(notes.append)
    leaders.heard(TWO, says(Role.STANDBY, epoch=7), 500)
    leaders.heard(ONE, says(Role.LEADER, epoch=7, commits=5), 1_000)
    leaders.heard(ONE, says(Role.LEADER, epoch=7, commits=10), 2_000)
    return leaders


def test_leaders_when_none_has_been_heard_then_none_and_no_commits(notes: list[str]) -> None:
    leaders = Leaders(notes.append)
    leaders.heard(ONE, says(Role.CANDIDATE, epoch=7, commits=1), 500)
    assert (leaders.leader, leaders.commits) == (None, 0)


def test_leaders_when_the_first_is_heard_then_nothing_is_noted(
    leaders: Leaders, notes: list[str]
) -> None:
    assert (leaders.leader, leaders.commits, notes) == (ONE, 5, [])


def test_leaders_when_another_takes_over_then_noted_with_the_time_between(
    leaders: Leaders, notes: list[str]
) -> None:
    leaders.heard(TWO, says(Role.CANDIDATE, epoch=7), 2_100)
    leaders.heard(TWO, says(Role.LEADER, epoch=8, commits=1), 2_250)
    leaders.heard(TWO, says(Role.LEADER, epoch=8, commits=3), 2_300)
    assert leaders.leader == TWO
    assert notes == ["broker 2 (4712) leads now, after 0.2 s"]


def test_leaders_when_they_change_then_the_commits_of_all_terms_are_added_up(
    leaders: Leaders,
) -> None:
    leaders.heard(TWO, says(Role.LEADER, epoch=8, commits=3), 2_300)
    leaders.heard(ONE._replace(pid=4713), says(Role.LEADER, epoch=9, commits=2), 2_900)
    leaders.heard(ONE._replace(pid=4713), says(Role.LEADER, epoch=9, commits=4), 3_000)
    assert leaders.commits == 5 + 3 + 4


def test_leaders_when_one_comes_back_from_a_pause_then_it_is_believed_only_to_stand_by(
    leaders: Leaders, notes: list[str]
) -> None:
    leaders.heard(TWO, says(Role.LEADER, epoch=8, commits=3), 5_000)
    leaders.heard(ONE, says(Role.LEADER, epoch=7, commits=11), 6_000)
    assert (leaders.leader, leaders.commits) == (TWO, 8)
    leaders.heard(ONE, says(Role.STANDBY, epoch=8), 6_100)
    leaders.heard(ONE, says(Role.STANDBY, epoch=8), 6_200)
    assert notes == ["broker 2 (4712) leads now, after 3.0 s", "broker 1 (4711) stands by now"]


def test_leaders_when_one_was_started_again_then_standing_by_is_no_news(
    leaders: Leaders, notes: list[str]
) -> None:
    leaders.heard(ONE._replace(pid=4713), says(Role.STANDBY, epoch=8), 3_000)
    assert notes == []
