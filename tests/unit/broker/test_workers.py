"""What is known of workers, and for how long."""

from __future__ import annotations

import pytest

from osqueue.broker.workers import KnownWorker, Workers
from osqueue.wire.messages import WorkerInfo


class Time:
    """Two clocks, moved apart from one another."""

    def __init__(self) -> None:
        self.wall, self.mono = 1_700_000_000_000, 5

    def wall_ms(self) -> int:
        return self.wall

    def mono_ms(self) -> int:
        return self.mono

    def cpu_us(self) -> int:
        raise NotImplementedError

    def pass_ms(self, ms: int) -> None:
        self.wall, self.mono = self.wall + ms, self.mono + ms


@pytest.fixture
def time() -> Time:
    return Time()


def test_worker_when_it_was_heard_of_then_known_by_what_it_told_last(time: Time) -> None:
    workers = Workers(time)
    workers.seen("w", WorkerInfo(concurrency=3))
    time.pass_ms(1_000)
    workers.seen("w")
    assert workers.known(9) == [KnownWorker("w", WorkerInfo(concurrency=3), 1_700_000_001_000)]
    workers.seen("w", WorkerInfo(concurrency=4))
    assert workers.known(9)[0].info == WorkerInfo(concurrency=4)


def test_workers_when_some_are_asked_for_then_those_heard_of_last(time: Time) -> None:
    workers = Workers(time)
    for worker_id in ("a", "b", "c", "a"):
        workers.seen(worker_id)
    assert [each.id for each in workers.known(2)] == ["a", "c"]


def test_worker_when_it_is_silent_for_long_then_forgotten(time: Time) -> None:
    workers = Workers(time, forget_ms=1_000)
    workers.seen("gone", WorkerInfo())
    time.pass_ms(600)
    workers.seen("here")
    time.pass_ms(401)
    assert [each.id for each in workers.known(9)] == ["here"]
    workers.seen("gone")
    assert workers.known(1) == [KnownWorker("gone", None, time.wall)]


def test_worker_when_the_wall_clock_steps_then_its_age_is_as_it_was(time: Time) -> None:
    workers = Workers(time, forget_ms=1_000)
    workers.seen("w")
    time.mono += 100
    time.wall -= 3_600_000
    assert [time.wall - each.seen_at for each in workers.known(9)] == [100]


def test_workers_when_there_are_too_many_then_the_longest_silent_makes_room(time: Time) -> None:
    workers = Workers(time, most=2)
    for worker_id in ("a", "b", "a", "c"):
        workers.seen(worker_id)
    assert [each.id for each in workers.known(9)] == ["c", "a"]
